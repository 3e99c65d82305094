"""Tar files in WebDataset form: the files of one sample share their name up to the first dot."""

import json
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import fsspec

from steerboard.images.manifests import LABELS, first, plain, text
from steerboard.images.picture import SUFFIXES, Broken, Entry
from steerboard.images.spans import Span, stamp_of, url_of
from steerboard.spec.errors import NotFound

TARS = (".tar", ".tar.gz", ".tgz")
PICTURES = tuple(s.removeprefix(".") for s in SUFFIXES)


@dataclass(frozen=True)
class Archives:
    """Samples of one tar or of several (``shard-*.tar``), in the order in which they lie there.

    ``.cls`` is the label, ``.txt`` a caption (attribute ``text``), ``.json`` further facts, of
    which ``label`` is the label and ``split`` the split. A tar is read as a stream, so that one
    sample is in memory at a time, whatever the size of the file.

    Args:
        place: fsspec URL of a tar or of a folder of them; may hold ``*``.
    """

    place: str

    def entries(self) -> Iterator[Entry | Broken]:
        """Sample by sample; raises NotFound."""
        fs, paths = self._tars()
        for path in paths:
            yield from samples(fs, path)

    def stamp(self) -> str:
        """Over the tars."""
        fs, paths = self._tars()
        return stamp_of(fs.info(path) for path in paths)

    def _tars(self) -> tuple[Any, list[str]]:
        fs, pattern = fsspec.core.url_to_fs(self.place)
        if "*" in pattern:
            paths = sorted(fs.glob(pattern))
        elif fs.isdir(pattern):
            paths = tars_in(fs, pattern)
        else:
            paths = [pattern]
        if not paths or not fs.exists(paths[0]):
            raise NotFound(f"there is no archive {self.place}")
        return fs, paths


def tars_in(fs: Any, folder: str) -> list[str]:
    """The archives of a folder and of its folders, by path."""
    return sorted(p for p in fs.find(folder, maxdepth=2) if p.lower().endswith(TARS))


def samples(fs: Any, path: str) -> Iterator[Entry | Broken]:
    """The samples of one tar; one that is cut short gives what came before the cut."""
    name, parts, spans = "", dict[str, bytes](), dict[str, Span]()
    url = url_of(fs, path)
    try:
        with fs.open(path, "rb") as file, tarfile.open(fileobj=file, mode="r|*") as tar:
            for member in tar:
                stem, kind = split_name(member.name)
                if not member.isfile() or not kind:
                    continue
                if stem != name and parts:
                    yield sample(name, parts, spans)
                    parts, spans = {}, {}
                name = stem
                held = tar.extractfile(member)
                parts[kind] = held.read() if held is not None else b""
                if path.endswith(".tar") and not member.issparse():
                    spans[kind] = Span(url, member.offset_data, member.size)
        if parts:
            yield sample(name, parts, spans)
    except (tarfile.TarError, EOFError, OSError) as error:
        yield Broken(path, f"the archive is damaged or cut short after {name!r} ({error})")


def split_name(path: str) -> tuple[str, str]:
    """Sample and kind of a member: ``a/b.seg.png`` is sample ``a/b``, kind ``seg.png``."""
    folder, slash, file = path.rpartition("/")
    stem, _, kind = file.partition(".")
    return folder + slash + stem, kind.lower()


def sample(name: str, parts: dict[str, bytes], spans: dict[str, Span]) -> Entry | Broken:
    """A sample from its files, and where each of them lies in the archive."""
    picture = next((kind for kind in parts if kind in PICTURES), "")
    if not picture:
        return Broken(name, f"the sample has no picture, only {', '.join(parts)}")
    try:
        facts = json.loads(parts["json"]) if "json" in parts else {}
        label = parts["cls"].decode().strip() if "cls" in parts else ""
        caption = {"text": parts["txt"].decode()} if "txt" in parts else {}
    except ValueError as error:
        return Broken(name, f"what stands beside the picture cannot be read ({error})")
    facts = facts if isinstance(facts, dict) else {}
    named = first(facts, LABELS)
    rest = {k: plain(v) for k, v in facts.items() if k not in (named, "split")}
    data = parts[picture]
    return Entry(
        f"{name}.{picture}",
        lambda: data,
        label or (text(facts[named]) if named else ""),
        text(facts.get("split")),
        caption | rest,
        spans.get(picture),
    )
