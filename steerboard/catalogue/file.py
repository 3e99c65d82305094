"""A catalogue on disk: ``NAME.parquet`` and, beside it, ``NAME.thumbnails.parquet`` (fsspec).

Rows stand by feature in groups of ``table.GROUP``, so that a page of features costs its own groups
and nothing else, and a column costs itself. What the whole is about stands in the metadata. Two
builds over the same pictures give the same bytes: there is no time in it.
"""

import json
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Any

import fsspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from steerboard.catalogue.partial import heat
from steerboard.catalogue.records import Array
from steerboard.catalogue.shelf import Shelf
from steerboard.catalogue.table import COLUMNS, SCHEMA, Known, tables
from steerboard.spec.catalogue import Detected, FeatureCard, Neighbour
from steerboard.spec.errors import InvalidRequest, NotFound
from steerboard.spec.jobs import Reference

VERSION = 2
KEY, NUMBER = b"steerboard.catalogue.about", b"steerboard.catalogue"
THUMBNAILS = ".thumbnails.parquet"
THUMBS = pa.schema([("sha256", pa.binary(32)), ("jpeg", pa.binary())])
HELD_GROUPS = 32
SHOWN = [n for n in COLUMNS if n not in ("meaning", "fired")]
Facts = Mapping[str, Any]


def write(place: str, known: Known, about: Facts, thumbnails: bool = True) -> None:
    """Write a catalogue at ``place`` (ending in ``.parquet``), whole or not at all."""
    put(place, headed(known, about), tables(known))
    if thumbnails:
        write_thumbnails(place, known.shelf)


def headed(known: Known, about: Facts) -> pa.Schema:
    """The schema with what the whole is about in its metadata."""
    facts = {
        **about,
        "pictures": known.partial.pictures,
        "set": f"{known.partial.digest:064x}",
        "size": known.partial.size,
        "panel": len(known.partial.panel.pictures()),
        "label_floor": known.floor,
    }
    head = {KEY: json.dumps(facts, sort_keys=True).encode(), NUMBER: str(VERSION).encode()}
    return SCHEMA.with_metadata(head)


def write_thumbnails(place: str, shelf: Shelf) -> None:
    """Write the thumbnails of a catalogue beside it, by digest."""
    held = shelf.thumbnails
    names = sorted(held)
    parts = (
        pa.table({"sha256": [*map(bytes.fromhex, p)], "jpeg": [held[n] for n in p]}, THUMBS)
        for p in (names[i : i + 256] for i in range(0, len(names), 256))
    )
    if names:
        put(place.removesuffix(".parquet") + THUMBNAILS, THUMBS, parts)


def put(place: str, schema: pa.Schema, parts: Iterable[pa.Table]) -> None:
    """Write tables as row groups into a file that appears when it is complete."""
    fs, path = fsspec.core.url_to_fs(place)
    fs.makedirs(path.rpartition("/")[0], exist_ok=True)
    half = f"{path}.half"
    with (
        fs.open(half, "wb") as file,
        pq.ParquetWriter(file, schema, compression="zstd", compression_level=9) as out,
    ):
        for part in parts:
            out.write_table(part.replace_schema_metadata(schema.metadata))
    fs.mv(half, path)


class Catalogue:
    """Reads what is known of the features of one dictionary.

    Only the foot of the file is read at first: which features are in which group.

    Args:
        place: fsspec URL of the file.

    Attributes:
        about: Model, dictionary and set that it was built over.
    """

    def __init__(self, place: str) -> None:
        fs, path = fsspec.core.url_to_fs(place)
        if not fs.exists(path):
            raise NotFound(f"there is no catalogue {place}: build one first")
        self._place, self._fs, self._path = place, fs, path
        with fs.open(path, "rb") as file:
            self._foot = pq.ParquetFile(file).metadata
        held = self._foot.metadata or {}
        if int(held.get(NUMBER, 0)) != VERSION:
            raise InvalidRequest(
                f"{place} has schema {held.get(NUMBER, b'?').decode()}, and this version reads"
                f" {VERSION}: build it again"
            )
        self.about: Facts = json.loads(held[KEY])
        self._lowest = [
            self._foot.row_group(i).column(0).statistics.min
            for i in range(self._foot.num_row_groups)
        ]
        self._group = lru_cache(HELD_GROUPS)(self._read_group)

    @property
    def dictionary(self) -> str:
        """Id of the dictionary."""
        return str(self.about["dictionary"])

    def __len__(self) -> int:
        return int(self._foot.num_rows)

    def columns(self, *names: str) -> pa.Table:
        """Some columns of all features, and nothing else from the file."""
        with self._fs.open(self._path, "rb") as file:
            return pq.read_table(file, columns=list(names))

    def meanings(self) -> Array:
        """``[n, d]`` the mean embedding of each feature's strongest pictures; float32."""
        column = self.columns("meaning").column("meaning")
        if column.null_count:
            raise InvalidRequest(f"{self._place} was built without embeddings: build it again")
        data = np.frombuffer(b"".join(column.to_pylist()), "<f2")
        return data.reshape(len(column), -1).astype(np.float32)

    def cards(self, features: Iterable[int], references: int = 16) -> list[FeatureCard]:
        """Cards of those features that are known, in the order asked."""
        found = (self._record(int(f)) for f in features)
        return [self._card(r, references) for r in found if r is not None]

    def thumbnails(self, digests: Iterable[str]) -> dict[str, bytes]:
        """JPEGs of pictures by hex digest; those that are not there are left out."""
        place = self._path.removesuffix(".parquet") + THUMBNAILS
        wanted = [bytes.fromhex(d) for d in digests]
        if not self._fs.exists(place):
            return {}
        with self._fs.open(place, "rb") as file:
            table = pq.read_table(file, filters=[("sha256", "in", wanted)])
        return {r["sha256"].hex(): r["jpeg"] for r in table.to_pylist()}

    def _record(self, feature: int) -> dict[str, Any] | None:
        number = bisect_right(self._lowest, feature) - 1
        if number < 0:
            return None
        features, table = self._group(number)
        row = int(np.searchsorted(features, feature))
        if row == len(features) or features[row] != feature:
            return None
        record: dict[str, Any] = table.slice(row, 1).to_pylist()[0]
        return record

    def _read_group(self, number: int) -> tuple[Array, pa.Table]:
        with self._fs.open(self._path, "rb") as file:
            table = pq.ParquetFile(file).read_row_group(number, columns=SHOWN)
        return table.column("feature").to_numpy(), table

    def _card(self, record: dict[str, Any], count: int) -> FeatureCard:
        same = ("feature", "firing_rate", "maximum", "mean", "clarity", "polysemanticity")
        grid = tuple(self.about["grid"])
        return FeatureCard(
            dictionary=self.dictionary,
            **{name: record[name] for name in (*same, "redundancy", "label_score")},
            label=record["label"] or "",
            histogram=tuple(record["histogram"]),
            classes=tuple(detected(record)),
            neighbours=tuple(neighbours(record, "decoder_features", "decoder_cosines")),
            coactive=tuple(neighbours(record, "coactive_features", "coactive_overlaps")),
            references=tuple(references(record, "", grid, count)),
            sample=tuple(references(record, "sample_", grid, count)),
        )


def detected(record: dict[str, Any]) -> Iterator[Detected]:
    """The classes that a feature detects."""
    names = ("classes", "class_ap", "class_auroc", "class_lift", "class_positives")
    for name, ap, auroc, lift, positives in zip(*(record[n] for n in names), strict=True):
        yield Detected(name=name, ap=ap, auroc=auroc, lift=lift, positives=positives)


def neighbours(record: dict[str, Any], which: str, how: str) -> Iterator[Neighbour]:
    """Features near a feature, and how near."""
    for feature, value in zip(record[which] or (), record[how] or (), strict=True):
        yield Neighbour(feature=feature, value=value)


def references(
    record: dict[str, Any], prefix: str, grid: tuple[int, ...], count: int
) -> Iterator[Reference]:
    """Pictures with their maps on the grid."""
    images = record[prefix + "images"]
    maps = np.frombuffer(record[prefix + "heats"], np.int8).reshape(len(images), *grid)
    listed = zip(images, record[prefix + "activations"], maps, strict=True)
    for _, (image, peak, shades) in zip(range(count), listed, strict=False):
        rows = tuple(map(tuple, heat(shades, peak).tolist()))
        yield Reference(image=image.hex(), activation=peak, heat=rows)
