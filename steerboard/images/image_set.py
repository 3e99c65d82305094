"""One interface over all of them: pictures, lazily, what is broken counted, named and skipped."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import fsspec

from steerboard.images import manifests
from steerboard.images.archives import TARS, Archives
from steerboard.images.arrow_sets import ArrowSet
from steerboard.images.conditions import condition
from steerboard.images.folders import Folder
from steerboard.images.manifests import Manifest
from steerboard.images.picture import SUFFIXES as PICTURES
from steerboard.images.picture import Broken, Entry, Lasting, Picture, Source, check
from steerboard.images.report import Report as Report
from steerboard.images.report import facts as facts
from steerboard.images.splits import HashSplit
from steerboard.spec.digest import image_digest
from steerboard.spec.errors import BadImage, InvalidRequest, NotFound, Unavailable

Kind = Literal["auto", "folder", "manifest", "webdataset", "huggingface"]


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
        report.seen.split, report.seen.where = self.split, self.where
        fits, seen = condition(self.where), set[bytes]()
        for entry in self.source.entries():
            if isinstance(entry, Broken):
                report.add(entry)
                continue
            report.seen.note(entry, self.splits is None)
            # A split by hash is known only with the bytes; whatever else does not fit is not read.
            if not fits(facts(entry)) or (
                self.splits is None and self.split not in ("", entry.split)
            ):
                continue
            found = self._read(entry)
            if isinstance(found, Broken):
                report.add(found)
                continue
            if self.splits is not None:
                report.seen.splits[found.split] += 1
            if self.split in ("", found.split):
                if bytes.fromhex(found.sha256) in seen:
                    report.duplicates += 1
                    continue
                seen.add(bytes.fromhex(found.sha256))
                report.pictures += 1
                yield found

    def _read(self, entry: Entry) -> Picture | Broken:
        found = read_entry(entry, self.decode)
        if self.splits is None or isinstance(found, Broken):
            return found
        return replace(found, split=self.splits.split(found))


def read_entry(entry: Entry, decode: bool = True) -> Picture | Broken:
    """A picture with its bytes, or why there are none; ``decode`` tries it whole."""
    try:
        data = entry.read()
        if not data:
            raise BadImage("the file is empty")
        if decode:
            check(data)
    except FileNotFoundError:
        return Broken(entry.key, "there is no such file")
    except BadImage as error:
        return Broken(entry.key, error.message)
    except (OSError, ValueError) as error:
        return Broken(entry.key, f"the file cannot be read ({error})")
    return Picture(entry.key, data, image_digest(data), entry.label, entry.split, entry.attributes)


def open_named(base: Path, images: str, manifest: str = "") -> Lasting:
    """A set as ``steerboard.yaml`` names it; raises NotFound, InvalidRequest and Unavailable.

    Args:
        base: The folder that paths start from; URLs stand as they are.
        images: Whatever ``open_images`` reads; with a manifest, the folder that its paths start
            from, or empty where they start beside it.
        manifest: A table, of JSON lines where its name does not say so; empty: none.
    """
    known = not manifest or manifest.endswith(manifests.SUFFIXES)
    return open_images(*places(base, images, manifest), "auto" if known else "manifest")


def places(base: Path, images: str, manifest: str = "") -> tuple[str, str]:
    """What ``open_images`` is to look at, and the folder that a manifest's paths start from."""
    there, table = (n if not n or "://" in n else str(base / n) for n in (images, manifest))
    return (table, there) if table else (there, "")


def open_images(place: str, images: str = "", kind: Kind = "auto") -> Lasting:
    """The source behind an fsspec URL or a path; raises NotFound, InvalidRequest, Unavailable.

    Args:
        place: A folder, a manifest, a tar (or ``shard-*.tar``, or a folder of tars), a Hugging
            Face folder.
        images: For a manifest: the folder that its paths start from.
        kind: What it is; by default it is looked at.
    """
    try:
        kind = looked_at(place) if kind == "auto" else kind
    except (OSError, ImportError) as error:
        raise Unavailable(f"{place} cannot be reached: {one_line(error)}") from error
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
    """What lies at a place, by name and by the files beside it; raises OSError too."""
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
    tables = sorted(n for n in names if n.endswith((".arrow", ".parquet")))
    if tables and (tables[0].endswith(".arrow") or not has_paths(fs, tables[0])):
        return "huggingface"  # and no table that names the pictures beside it
    if any(n.lower().endswith(TARS) for n in names):
        pictures = any(n.lower().endswith(PICTURES) for n in fs.find(root))
        return "folder" if pictures else "webdataset"
    return "folder"


def one_line(error: BaseException) -> str:
    """What an error says, without its further lines."""
    return (str(error) or type(error).__name__).splitlines()[0]


def has_paths(fs: object, path: str) -> bool:
    """Whether a Parquet file names pictures by path and does not hold them."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with fs.open(path, "rb") as file:  # type: ignore[attr-defined]
            schema = pq.ParquetFile(file).schema_arrow
    except pa.ArrowException as error:
        raise InvalidRequest(f"{path} cannot be read as Parquet: {one_line(error)}") from error
    return any(
        n in schema.names and pa.types.is_string(schema.field(n).type) for n in manifests.PATHS
    )
