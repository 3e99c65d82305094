"""A catalogue on disk: ``NAME.parquet`` and, beside it, ``NAME.thumbnails.parquet`` (fsspec).

Rows stand by feature in groups of ``table.GROUP``, so that a page of features costs its own groups
and nothing else, and a column costs itself. What the whole is about stands in the metadata. Two
builds over the same pictures give the same bytes: there is no time in it.
"""

import json
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cached_property, lru_cache, partial
from typing import Any

import fsspec
import numpy as np
import pyarrow as pa

from steerboard.catalogue.columns import numbers
from steerboard.catalogue.groups import Groups
from steerboard.catalogue.partial import heat
from steerboard.catalogue.records import Array
from steerboard.catalogue.table import COLUMNS, SCHEMA, Known, tables
from steerboard.catalogue.thumbnails import Thumbnails, put, write_thumbnails
from steerboard.spec.catalogue import Detected, FeatureCard, Neighbour
from steerboard.spec.errors import InvalidRequest, NotFound
from steerboard.spec.jobs import Reference

VERSION = 2
KEY, NUMBER = b"steerboard.catalogue.about", b"steerboard.catalogue"
HELD_GROUPS, HELD_IMAGES = 32, 256  # row groups in memory: whole ones, and lists of pictures
SHOWN = [n for n in COLUMNS if n not in ("meaning", "fired")]
Facts = Mapping[str, Any]


def write(place: str, known: Known, about: Facts, thumbnails: bool = True) -> None:
    """Write a catalogue at ``place`` (ending in ``.parquet``), whole or not at all.

    What lies beside it comes first: where the catalogue is, the rest is.
    """
    if thumbnails:
        write_thumbnails(place, known.shelf.thumbnails)
    put(place, headed(known, about), tables(known))


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
        self._rows = Groups(fs, path)
        held = self._rows.foot.metadata or {}
        if int(held.get(NUMBER, 0)) != VERSION:
            raise InvalidRequest(
                f"{place} has schema {held.get(NUMBER, b'?').decode()}, and this version reads"
                f" {VERSION}: build it again"
            )
        self.about: Facts = json.loads(held[KEY])
        self._group = lru_cache(HELD_GROUPS)(partial(self._read_group, SHOWN))
        self._images = lru_cache(HELD_IMAGES)(partial(self._read_group, ["feature", "images"]))

    @property
    def place(self) -> str:
        """Where its file lies (fsspec)."""
        return self._place

    @property
    def dictionary(self) -> str:
        """Id of the dictionary."""
        return str(self.about["dictionary"])

    def __len__(self) -> int:
        return int(self._rows.foot.num_rows)

    def columns(self, *names: str) -> pa.Table:
        """Some columns of all features, and nothing else from the file."""
        return self._rows.columns(names)

    def meanings(self) -> Array:
        """``[n, d]`` the mean embedding of each feature's strongest pictures; float32."""
        column = self.columns("meaning").column("meaning")
        if column.null_count:
            raise InvalidRequest(f"{self._place} was built without embeddings: build it again")
        return halves(column).astype(np.float32)

    def pictures(self, features: Iterable[int], count: int) -> list[tuple[str, ...]]:
        """The strongest pictures of features by hex digest; none of one that has no row."""
        return [self._strongest(int(f))[:count] for f in features]

    def directions(self) -> bool:
        """Whether the decoder's rows were compared when it was built."""
        found = self.columns("redundancy").column("redundancy")
        return bool(found.null_count < len(found))

    def cards(self, features: Iterable[int], references: int = 16) -> list[FeatureCard]:
        """Cards of those features that are known, in the order asked."""
        found = (self._record(int(f)) for f in features)
        return [self._card(r, references) for r in found if r is not None]

    def thumbnails(self, digests: Iterable[str]) -> dict[str, bytes]:
        """JPEGs of pictures by hex digest; those that are not there are left out."""
        return self._thumbnails.get(digests)

    def warm(self) -> None:
        """Read small pictures in before somebody asks for them."""
        self._thumbnails.warm()

    @cached_property
    def _thumbnails(self) -> Thumbnails:
        return Thumbnails(self._fs, self._path.removesuffix(".parquet"))

    def _record(self, feature: int) -> dict[str, Any] | None:
        found = self._row(feature, self._group)
        record: dict[str, Any] | None = found and found.to_pylist()[0]
        return record

    def _strongest(self, feature: int) -> tuple[str, ...]:
        found = self._row(feature, self._images)
        return tuple(d.hex() for d in found.column("images")[0].as_py()) if found else ()

    def _row(self, feature: int, group: Callable[[int], tuple[Array, pa.Table]]) -> Any:
        """A table with the row of a feature; None where it has none."""
        number = bisect_right(self._rows.lowest, feature) - 1
        if number < 0:
            return None
        features, table = group(number)
        row = int(np.searchsorted(features, feature))
        if row == len(features) or features[row] != feature:
            return None
        return table.slice(row, 1)

    def _read_group(self, columns: list[str], number: int) -> tuple[Array, pa.Table]:
        table = self._rows.read([number], columns)
        return numbers(table.column("feature")), table

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


def halves(column: pa.ChunkedArray) -> Array:
    """``[n, d]`` float16 of a column of byte strings of one length, without a copy of each."""
    parts = []
    for chunk in column.chunks:
        ends = np.frombuffer(chunk.buffers()[1], np.int32)[chunk.offset :][: len(chunk) + 1]
        data = np.frombuffer(chunk.buffers()[2] or b"", np.uint8)
        parts.append(data[ends[0] : ends[-1]])
    joined = np.concatenate(parts) if parts else np.zeros(0, np.uint8)
    return joined.view("<f2").reshape(len(column), -1)


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
