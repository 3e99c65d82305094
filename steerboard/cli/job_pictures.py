"""Which pictures ``steerboard jobs submit`` asks about; reads no model, and so needs no torch."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from steerboard.spec.errors import InvalidRequest, NotFound

if TYPE_CHECKING:
    from steerboard.images.picture import Picture, Source

PICTURES = (".jpg", ".jpeg", ".png", ".webp")
LISTED = 12


def pictures(images: str, config: Path, where: str, split: str) -> "list[Picture]":
    """What is named: a file, a folder, a manifest, or a set of the configuration.

    Raises:
        NotFound: There is nothing of that name.
        InvalidRequest: No picture fits.
    """
    from steerboard.images.image_set import ImageSet, open_images
    from steerboard.images.picture import Picture
    from steerboard.spec.digest import image_digest

    path, sets = Path(images), image_sets(config)
    if path.is_file() and path.suffix.lower() in PICTURES:
        data = path.read_bytes()
        return [Picture(path.name, data, image_digest(data))]
    if images in sets:
        source = open_images(*sets[images])
    elif not path.exists() and "://" not in images:
        known = f"; {config} names {', '.join(sets)}" if sets else ""
        raise NotFound(
            f"there is no picture, folder or image set {images!r}{known}", field="images"
        )
    else:
        source = open_images(images)
    found = list(ImageSet(source, where, split, decode=False).pictures())
    if not found:
        raise InvalidRequest(why_none(source, images, where, split), field="images")
    return found


def image_sets(config: Path) -> dict[str, tuple[str, str]]:
    """Manifest and folder of each set that a steerboard.yaml names; none where there is no file.

    Raises:
        InvalidRequest: It cannot be read.
    """
    import yaml

    place = config / "steerboard.yaml" if config.is_dir() else config
    if not place.is_file():
        return {}
    try:
        sets: dict[str, Any] = yaml.safe_load(place.read_text()).get("image_sets") or {}
        base = place.parent
        return {n: (str(base / s["manifest"]), str(base / s["images"])) for n, s in sets.items()}
    except (yaml.YAMLError, AttributeError, KeyError, TypeError):
        raise InvalidRequest(
            f"{place} does not say where its image sets are: see `steerboard check config {place}`"
        ) from None


def why_none(source: "Source", images: str, where: str, split: str) -> str:
    """What keeps every picture of a set out."""
    from steerboard.images.image_set import facts
    from steerboard.images.picture import Broken

    known = [facts(e) for e in source.entries() if not isinstance(e, Broken)]
    if not known:
        return f"{images!r} holds no picture that can be read"
    splits = sorted({str(f["split"]) for f in known if f["split"]})
    if split and split not in splits:
        return f"{images!r} has no split {split!r}; it has {listed(splits) or 'none'}"
    names = sorted({name for f in known for name in f})
    among = f" of split {split!r}" if split else ""
    return (
        f"of {len(known)} pictures of {images!r} none{among} fits {where!r}; what can be asked"
        f" about is {listed(names)}"
    )


def listed(words: list[str]) -> str:
    """The first of them."""
    return ", ".join(words[:LISTED]) + (", ..." if len(words) > LISTED else "")


def labels(found: "list[Picture]", positive: str) -> tuple[bool, ...]:
    """Whether each picture fits a condition."""
    from steerboard.images.conditions import condition

    fits = condition(positive)
    return tuple(
        fits({**p.attributes, "key": p.key, "label": p.label, "split": p.split}) for p in found
    )
