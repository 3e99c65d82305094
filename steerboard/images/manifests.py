"""A table that names pictures: CSV, JSON lines or Parquet, a row a picture."""

import csv
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from posixpath import join
from typing import Any

import fsspec
import pyarrow.parquet as pq

from steerboard.images.picture import Broken, Entry, Value
from steerboard.images.spans import LOCAL, Span, stamp_of, url_of
from steerboard.spec.errors import InvalidRequest, NotFound

SUFFIXES = (".csv", ".tsv", ".jsonl", ".ndjson", ".parquet")
PATHS = ("path", "file_name", "filename", "file", "image")
LABELS = ("label", "class", "category")


@dataclass(frozen=True)
class Manifest:
    """Rows with a path (``path``, ``file_name``, ...), perhaps a label, a split, and further facts.

    Args:
        place: fsspec URL of the table; its name says what it is.
        images: fsspec URL of the folder that paths start from; empty: where the table lies.
    """

    place: str
    images: str = ""

    def entries(self) -> Iterator[Entry | Broken]:
        """In the order of the rows; a row that cannot be used is named by its number."""
        root = self.images or self.place.rpartition("/")[0] or "."
        fs, base = fsspec.core.url_to_fs(root)
        for number, row in enumerate(self._rows(), 1):
            path = first(row, PATHS)
            if not isinstance(row, dict) or not path:
                yield Broken(f"row {number}", f"names no picture: give it a {PATHS[0]!r}")
                continue
            key = str(row[path])
            at = span(fs, base, key)
            label = first(row, LABELS)
            rest = {k: plain(v) for k, v in row.items() if k not in (path, label, "split")}
            yield Entry(
                key,
                at.read,
                text(row[label]) if label else "",
                text(row.get("split")),
                rest,
                at,
            )

    def stamp(self) -> str:
        """Over the table and over the pictures on this machine; others are taken to stay."""
        fs, path = fsspec.core.url_to_fs(self.place)
        own = stamp_of([fs.info(path)])
        here = (e.at.url for e in self.entries() if isinstance(e, Entry) and e.at)
        return own + stamp_of(map(on_disk, (url for url in here if url.startswith(LOCAL))))

    def _rows(self) -> Iterator[Any]:
        try:
            yield from read_rows(self.place)
        except FileNotFoundError as error:
            raise NotFound(f"there is no manifest {self.place}") from error
        except (UnicodeDecodeError, csv.Error, OSError, ValueError) as error:
            raise InvalidRequest(f"the manifest {self.place} cannot be read: {error}") from error


def span(fs: Any, base: str, key: str) -> Span:
    """A picture that is named by a path below ``base``, a whole path, or a URL."""
    return Span(key if "://" in key else url_of(fs, join(base, key)))


def on_disk(url: str) -> dict[str, Any]:
    """What tells that a file has changed."""
    try:
        found = os.stat(url.removeprefix(LOCAL))
    except OSError:
        return {"name": url}
    return {"name": url, "size": found.st_size, "mtime": found.st_mtime_ns}


def read_rows(place: str) -> Iterator[Any]:
    """The rows of a table; None for a line that is no JSON object."""
    if place.endswith(".parquet"):
        with fsspec.open(place, "rb") as file:
            for batch in pq.ParquetFile(file).iter_batches(1024):
                yield from batch.to_pylist()
        return
    with fsspec.open(place, "rt", encoding="utf-8-sig", newline="") as lines:
        if place.endswith((".csv", ".tsv")):
            yield from csv.DictReader(lines, delimiter="\t" if place.endswith(".tsv") else ",")
        else:
            yield from (parsed(line) for line in lines if line.strip())


def parsed(line: str) -> Any:
    """A line of JSON, or None."""
    try:
        found = json.loads(line)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def first(row: Any, names: tuple[str, ...]) -> str:
    """The first of ``names`` that a row fills, or empty."""
    if not isinstance(row, Mapping):
        return ""
    return next((name for name in names if row.get(name) not in (None, "")), "")


def text(value: object) -> str:
    """A label as text; null is empty."""
    return "" if value is None else str(value)


def plain(value: object) -> Value:
    """A fact as a plain value; numbers in CSV come as text and count as numbers in conditions."""
    if value is None or isinstance(value, str | bool):
        return value
    if isinstance(value, int | float):
        return float(value)
    return json.dumps(value, sort_keys=True, default=str)
