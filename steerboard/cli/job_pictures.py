"""Which pictures ``steerboard jobs submit`` asks about; reads no model, and so needs no torch."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from steerboard.spec.errors import InvalidRequest, NotFound

if TYPE_CHECKING:
    from steerboard.images.picture import Broken, Entry, Picture, Source

PICTURES = (".jpg", ".jpeg", ".png", ".webp")
LISTED = 12


def pictures(images: str, config: Path, where: str, split: str) -> "list[Picture]":
    """What is named: a file, a folder, a manifest, or a set of the configuration.

    Raises:
        NotFound: There is nothing of that name.
        InvalidRequest: No picture fits.
    """
    from steerboard.images.image_set import ImageSet
    from steerboard.images.picture import Picture
    from steerboard.spec.digest import image_digest

    source = source_of(images, config)
    if isinstance(source, Alone):
        data = source.path.read_bytes()
        return [Picture(source.path.name, data, image_digest(data))]
    found = list(ImageSet(source, where, split, decode=False).pictures())
    if not found:
        raise InvalidRequest(why_none(source, images, where, split), field="images")
    return found


@dataclass(frozen=True)
class Alone:
    """One picture's file as a set."""

    path: Path

    def entries(self) -> "Iterator[Entry | Broken]":
        """See ``Source``."""
        from steerboard.images.picture import Entry

        yield Entry(self.path.name, self.path.read_bytes)

    def stamp(self) -> str:
        """See ``Source``."""
        found = self.path.stat()
        return f"{found.st_size}-{found.st_mtime_ns}"


def source_of(images: str, config: Path) -> "Source":
    """Where the pictures that were named come from; raises NotFound."""
    from steerboard.images.image_set import open_images

    path, sets = Path(images), image_sets(config)
    if path.is_dir() and images not in sets:
        tell_manifest(path)
    if path.is_file() and path.suffix.lower() in PICTURES:
        return Alone(path)
    if images in sets:
        return open_images(*sets[images])
    if not path.exists() and not any(sign in images for sign in ("://", "*")):
        known = f"; {config} names {', '.join(sets)}" if sets else ""
        raise NotFound(
            f"there is no picture, folder or image set {images!r}{known}", field="images"
        )
    return open_images(images)


def tell_manifest(folder: Path) -> None:
    """Say on standard error that a folder's own manifest is passed over, as everywhere else."""
    from steerboard.images.manifests import SUFFIXES

    for found in (folder / f"manifest{suffix}" for suffix in SUFFIXES):
        if found.suffix != ".parquet" and found.is_file():
            typer.echo(
                f"{folder} is read as a folder per class, and not by its {found.name}: name {found}"
                " to have its labels, splits and facts",
                err=True,
            )


def image_sets(config: Path) -> dict[str, tuple[str, str]]:
    """What ``open_images`` takes of each set of a steerboard.yaml; none where there is no file.

    Raises:
        InvalidRequest: It cannot be read.
    """
    import yaml

    from steerboard.images.image_set import places

    place = config / "steerboard.yaml" if config.is_dir() else config
    if not place.is_file():
        return {}
    try:
        sets: dict[str, Any] = yaml.safe_load(place.read_text()).get("image_sets") or {}
        base = place.parent
        named = {
            n: (str(s.get("images") or ""), str(s.get("manifest") or "")) for n, s in sets.items()
        }
        if not all(map(any, named.values())):
            raise KeyError("images")
        return {n: places(base, *where) for n, where in named.items()}
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
