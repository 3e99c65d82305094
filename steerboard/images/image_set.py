"""One interface over all of them: pictures, lazily, what is broken counted, named and skipped."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Literal

import fsspec

from steerboard.images import manifests
from steerboard.images.archives import Archives
from steerboard.images.arrow_sets import ArrowSet
from steerboard.images.conditions import condition
from steerboard.images.folders import Folder
from steerboard.images.manifests import Manifest
from steerboard.images.picture import LISTED, Broken, Entry, Picture, Source, Value, check
from steerboard.images.splits import HashSplit
from steerboard.spec.digest import image_digest
from steerboard.spec.errors import BadImage, InvalidRequest, NotFound

Kind = Literal["auto", "folder", "manifest", "webdataset", "huggingface"]


@dataclass
class Report:
    """What became of a set while it was read.

    Attributes:
        pictures: How many were given out.
        broken: How many could not be read.
        named: The first of those, each with the reason.
        duplicates: How many held the same bytes as one before them; they are left out.
    """

    pictures: int = 0
    broken: int = 0
    named: list[Broken] = field(default_factory=list)
    duplicates: int = 0

    def add(self, broken: Broken) -> None:
        """Count and name a broken one."""
        self.broken += 1
        if len(self.named) < LISTED:
            self.named.append(broken)

    def nothing(self) -> InvalidRequest:
        """What to say where no picture was given out."""
        if not self.broken:
            return InvalidRequest(
                "no picture of the set could be read: there is none in it, or none that fits the"
                " split and the condition",
                field="images",
            )
        first = self.named[0]
        rest = (
            f" (and {self.broken - 1} others, each for its own reason)" if self.broken > 1 else ""
        )
        return InvalidRequest(
            f"no picture of the set could be read: {first.key}: {first.why}{rest}", field="images"
        )


@dataclass(frozen=True)
class ImageSet:
    """The pictures of a source that fit; nothing is read before it is asked for.

    Args:
        source: Where they come from.
        where: A condition over ``key``, ``label``, ``split`` and the attributes.
        split: Only this split; empty: all.
        splits: Splits by hash in place of those that the set names.
        decode: Try each picture whole; without, a file that is no picture is found by who uses it.
    """

    source: Source
    where: str = ""
    split: str = ""
    splits: HashSplit | None = None
    decode: bool = True

    def __iter__(self) -> Iterator[Picture]:
        return self.pictures()

    def pictures(self, report: Report | None = None) -> Iterator[Picture]:
        """All that fit, each content once; ``report`` is filled on the way."""
        report = Report() if report is None else report
        fits, seen = condition(self.where), set[bytes]()
        for entry in self.source.entries():
            if isinstance(entry, Broken):
                report.add(entry)
                continue
            # A split by hash is known only with the bytes; whatever else does not fit is not read.
            if not fits(facts(entry)) or (
                self.splits is None and self.split not in ("", entry.split)
            ):
                continue
            found = self._read(entry)
            if isinstance(found, Broken):
                report.add(found)
            elif self.split in ("", found.split):
                if bytes.fromhex(found.sha256) in seen:
                    report.duplicates += 1
                    continue
                seen.add(bytes.fromhex(found.sha256))
                report.pictures += 1
                yield found

    def _read(self, entry: Entry) -> Picture | Broken:
        try:
            data = entry.read()
            if not data:
                raise BadImage("the file is empty")
            if self.decode:
                check(data)
        except FileNotFoundError:
            return Broken(entry.key, "there is no such file")
        except BadImage as error:
            return Broken(entry.key, error.message)
        except (OSError, ValueError) as error:
            return Broken(entry.key, f"the file cannot be read ({error})")
        found = Picture(
            entry.key, data, image_digest(data), entry.label, entry.split, entry.attributes
        )
        return replace(found, split=self.splits.split(found)) if self.splits else found


def facts(entry: Entry) -> dict[str, Value]:
    """What a condition may ask about."""
    own: dict[str, Value] = {"key": entry.key, "label": entry.label, "split": entry.split}
    return {**entry.attributes, **own}


def open_images(place: str, images: str = "", kind: Kind = "auto") -> Source:
    """The source behind an fsspec URL or a path; raises NotFound and InvalidRequest.

    Args:
        place: A folder, a manifest, a tar (or ``shard-*.tar``), a Hugging Face folder.
        images: For a manifest: the folder that its paths start from.
        kind: What it is; by default it is looked at.
    """
    kind = looked_at(place) if kind == "auto" else kind
    match kind:
        case "folder":
            return Folder(place)
        case "manifest":
            return Manifest(place, images)
        case "webdataset":
            return Archives(place)
        case "huggingface":
            return ArrowSet(place)
    raise InvalidRequest(f"{kind!r} is no kind of image set")


def looked_at(place: str) -> Kind:
    """What lies at a place, by name and by the files beside it."""
    if place.rpartition("*")[2].endswith((".tar", ".tar.gz", ".tgz")):
        return "webdataset"
    fs, root = fsspec.core.url_to_fs(place)
    if not fs.exists(root):
        raise NotFound(f"there is nothing at {place}: name a folder, a manifest or a tar")
    if fs.isfile(root):
        if root.endswith(".arrow") or (root.endswith(".parquet") and not has_paths(fs, root)):
            return "huggingface"
        if root.endswith(manifests.SUFFIXES):
            return "manifest"
        raise InvalidRequest(
            f"{place} is no image set: name a folder, a .csv, .jsonl or .parquet, or a .tar"
        )
    names = fs.find(root, maxdepth=2)
    if any(n.endswith((".arrow", ".parquet")) for n in names):
        return "huggingface"
    return "folder"


def has_paths(fs: object, path: str) -> bool:
    """Whether a Parquet file names pictures by path and does not hold them."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    with fs.open(path, "rb") as file:  # type: ignore[attr-defined]
        schema = pq.ParquetFile(file).schema_arrow
    return any(
        n in schema.names and pa.types.is_string(schema.field(n).type) for n in manifests.PATHS
    )
