"""A Hugging Face data set on disk: Arrow files as saved, or Parquet files as published.

Only the files are read, with pyarrow; what the columns mean stands in ``dataset_info.json`` or in
the metadata of the schema, as the library ``datasets`` writes both.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
from fsspec.implementations.local import LocalFileSystem

from steerboard.images.folders import SPLITS
from steerboard.images.manifests import LABELS, first, plain, text
from steerboard.images.picture import Broken, Entry
from steerboard.images.spans import Span, stamp_of, url_of
from steerboard.spec.errors import InvalidRequest

SUFFIXES = (".arrow", ".parquet")
BATCH = 64  # rows read at a time, pictures and all


@dataclass(frozen=True)
class ArrowSet:
    """Every row of every Arrow or Parquet file below a folder, by file name.

    Args:
        place: fsspec URL of the folder, or of one such file.
    """

    place: str

    def entries(self) -> Iterator[Entry | Broken]:
        """File after file; raises InvalidRequest where no column holds pictures."""
        fs, root, paths = self._files()
        for path in paths:
            inner = path[len(root) :].lstrip("/") or path.rpartition("/")[2]
            try:
                yield from table(fs, path, inner)
            except (pa.ArrowException, OSError, EOFError, ValueError) as error:
                yield Broken(inner, f"the file is damaged or cut short ({error})")

    def stamp(self) -> str:
        """Over the files of rows."""
        fs, _, paths = self._files()
        return stamp_of(fs.info(path) for path in paths)

    def _files(self) -> tuple[Any, str, list[str]]:
        fs, root = fsspec.core.url_to_fs(self.place)
        found = [root] if fs.isfile(root) else sorted(fs.find(root))
        paths = [p for p in found if p.endswith(SUFFIXES) and "/cache-" not in p]
        if not paths:
            raise InvalidRequest(f"{self.place} holds no .arrow and no .parquet file")
        return fs, root, paths


def table(fs: Any, path: str, name: str) -> Iterator[Entry | Broken]:
    """The rows of one file; a picture is named by its own path, else by file and row."""
    features: Mapping[str, Any] | None = None
    number, split = 0, split_of(name)
    for batch in batches(fs, path):
        if features is None:
            features = described(fs, path, batch.schema)
            column = picture_column(batch.schema, features, name)
        for row in batch.to_pylist():
            yield entry(row, column, features, f"{name}#{number}", fs, path, split)
            number += 1


def batches(fs: Any, path: str) -> Iterator[pa.RecordBatch]:
    """Some rows at a time; Arrow files come as streams and as files."""
    with fs.open(path, "rb") as file:
        if path.endswith(".parquet"):
            yield from pq.ParquetFile(file).iter_batches(BATCH)
            return
        if file.read(6) == b"ARROW1":
            reader = pa.ipc.open_file(file)
            for i in range(reader.num_record_batches):
                yield from pieces(reader.get_batch(i))
            return
        file.seek(0)
        for batch in pa.ipc.open_stream(file):
            yield from pieces(batch)


def pieces(batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
    """A batch, ``BATCH`` rows at a time."""
    for start in range(0, batch.num_rows, BATCH):
        yield batch.slice(start, BATCH)


def described(fs: Any, path: str, schema: pa.Schema) -> Mapping[str, Any]:
    """What the columns mean, by name; empty where nobody wrote it down."""
    beside = path.rpartition("/")[0] + "/dataset_info.json"
    if fs.exists(beside):
        found = json.loads(fs.cat_file(beside)).get("features")
    else:
        held = (schema.metadata or {}).get(b"huggingface", b"{}")
        found = json.loads(held).get("info", {}).get("features")
    return found or {}


def picture_column(schema: pa.Schema, features: Mapping[str, Any], name: str) -> str:
    """The column that holds pictures: the one said to, else one of bytes; raises InvalidRequest."""
    for column, kind in features.items():
        if isinstance(kind, dict) and kind.get("_type") == "Image":
            return str(column)
    for field in schema:
        if pa.types.is_binary(field.type) or (
            pa.types.is_struct(field.type) and field.type.get_field_index("bytes") >= 0
        ):
            return str(field.name)
    raise InvalidRequest(
        f"no column of {name} holds pictures: there is {', '.join(schema.names)}, and none of bytes"
    )


def entry(
    row: dict[str, Any],
    column: str,
    features: Mapping[str, Any],
    key: str,
    fs: Any,
    path: str,
    split: str,
) -> Entry | Broken:
    """A row as an entry; class numbers become their names."""
    held = row.pop(column)
    held = {"bytes": held} if isinstance(held, bytes) else held or {}
    data, inner = held.get("bytes"), held.get("path")
    rest = {name: named(value, features.get(name)) for name, value in row.items()}
    label = first(rest, LABELS)
    own = text(rest.pop("split", None)) or split
    words = text(rest.pop(label)) if label else ""
    facts = {k: plain(v) for k, v in rest.items()}
    if data is not None:
        return Entry(key, lambda: bytes(data), words, own, facts)
    if not inner:
        return Broken(key, "the row holds no picture")
    at = span(fs, path.rpartition("/")[0], inner)
    return Entry(key, at.read, words, own, facts, at)


def span(fs: Any, folder: str, path: str) -> Span:
    """The file of a row without bytes: below the folder, or where it lay on this very machine."""
    if isinstance(fs, LocalFileSystem) and Path(path).is_absolute() and Path(path).is_file():
        return Span(url_of(fs, path))
    return Span(url_of(fs, f"{folder}/{path}"))


def named(value: Any, feature: Any) -> Any:
    """The name of a class number, where the names are known."""
    names = feature.get("names") if isinstance(feature, dict) else None
    if names and isinstance(value, int) and 0 <= value < len(names):
        return names[value]
    return value


def split_of(name: str) -> str:
    """``train/data-00000.arrow`` and ``data/train-00000-of-00002.parquet`` are of split train."""
    folder, _, file = name.rpartition("/")
    places = (*folder.split("/"), file.partition("-")[0].partition(".")[0])
    return next((p for p in places if p in SPLITS), "")
