"""Image sets as people read of them: what they are called, how large they are, what is amiss."""

from services.ui import markup
from steerboard.api.convert_library import ImageSet


def called(found: ImageSet, split: str = "") -> str:
    """Such as ``photos (3 broken pictures left out)``, with its split; as the boxes show it."""
    name = found.title or found.id
    return f"{name}, {split} split" if split else name


def line(found: ImageSet) -> str:
    """Its title with how many pictures can be used, or why there are none; in markdown."""
    name = markup.plain(called(found))
    if not found.size:
        return name
    return f"**{name}** · {found.size:,} picture{'s' if found.size > 1 else ''}"


def broken(found: ImageSet) -> bool:
    """Whether pictures of it were left out; its title says how many."""
    return bool(found.size) and found.title not in ("", found.id)
