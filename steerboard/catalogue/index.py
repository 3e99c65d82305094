"""What lists of features go by, in memory: numbers, labels and classes; never pictures or maps.

Of 49,152 features that is a few megabytes. The mean embeddings that searching by meaning takes are
read with the first such search, and stay in memory at length one.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from steerboard.catalogue.columns import numbers
from steerboard.catalogue.file import Catalogue, halves
from steerboard.catalogue.labels import Vocabulary
from steerboard.catalogue.measures import blocks, unit
from steerboard.catalogue.records import Array
from steerboard.spec.catalogue import CatalogueClass, CatalogueInfo, Statistic, StatisticRange

MEASURED: tuple[Statistic, ...] = (
    "firing_rate",
    "mean",
    "maximum",
    "clarity",
    "polysemanticity",
    "redundancy",
    "label_score",
)
DETECTION: Mapping[Statistic, str] = {  # of a class, and the columns that hold it
    "precision": "class_ap",
    "auroc": "class_auroc",
    "lift": "class_lift",
}
BLOCK = 8192  # features whose meanings are compared at a time


@dataclass(frozen=True)
class Words:
    """Words, and which of them each feature has: ``codes [n]``, -1 for none."""

    words: tuple[str, ...]
    codes: Array


@dataclass(frozen=True)
class Classes:
    """Which classes features detect: entry i says so of feature ``rows[i]``.

    Attributes:
        names: Of the classes.
        rows: ``[e]`` places of features in the index.
        codes: ``[e]`` places of classes in ``names``.
        values: ``[e]`` how well, by statistic; ``precision`` is the average precision.
        positives: ``[c]`` pictures of each class.
    """

    names: tuple[str, ...]
    rows: Array
    codes: Array
    values: Mapping[Statistic, Array]
    positives: Array

    def of(self, code: int, count: int) -> dict[Statistic, Array]:
        """``[count]`` how well all features detect a class; 0 where it is not listed."""
        own = self.codes == code
        out: dict[Statistic, Array] = {name: np.zeros(count) for name in self.values}
        for name, value in self.values.items():
            out[name][self.rows[own]] = value[own]
        return out


class Index:
    """The features of a catalogue, by place ``0 .. n - 1`` in the order of their numbers.

    Args:
        catalogue: What it is read from.

    Attributes:
        features: ``[n]`` their numbers, rising.
        statistics: ``[n]`` each; nan where it is not known.
        labels: What they are called by the text tower.
        classes: What they detect.
        best: ``[n]`` place of the class that each detects best, -1 for none.
    """

    def __init__(self, catalogue: Catalogue) -> None:
        self.catalogue = catalogue
        lists = ("classes", *DETECTION.values(), "class_positives")
        table = catalogue.columns("feature", "label", *MEASURED, *lists)
        self.features: Array = numbers(table.column("feature"))
        self.statistics: dict[Statistic, Array] = {s: floats(table.column(s)) for s in MEASURED}
        self.labels = coded(table.column("label").combine_chunks())
        self.classes = classes(table)
        self.best = self._first()
        self.statistics["feature"] = self.features.astype(np.float64)

    def __len__(self) -> int:
        return len(self.features)

    def place(self, features: Array) -> tuple[Array, Array]:
        """Places of features, and which of them are there at all ``[m]``."""
        at = np.searchsorted(self.features, features).clip(0, max(len(self) - 1, 0))
        there = self.features[at] == features if len(self) else np.zeros(len(features), bool)
        return at, there

    def meaning(self, known: Vocabulary) -> Array:
        """``[n, c]`` scores of the words' meanings, as for labels: all in one product."""
        found: Array = self.units @ (known.texts - known.empty).T.astype(np.float32)
        return found

    @cached_property
    def units(self) -> Array:
        """``[n, d]`` the meanings at length one, float32: 4 n d bytes, 100 MB of 49,152 by 512."""
        held = self._meanings()
        out = np.empty(held.shape, np.float32)
        for part in blocks(len(self), BLOCK):
            out[part] = unit(held[part].astype(np.float32))
        return out

    def warm(self) -> None:
        """Have what searches take in memory before the first one."""
        _ = self.units, self.info

    def _meanings(self) -> Array:
        """``[n, d]`` as they lie in the file, float16; zero where none were taken."""
        column = self.catalogue.columns("meaning").column("meaning")
        return halves(column) if not column.null_count else np.zeros((len(self), 1), "<f2")

    @cached_property
    def info(self) -> CatalogueInfo:
        """What the catalogue is of."""
        about, named = (
            self.catalogue.about,
            zip(self.classes.names, self.classes.positives.tolist(), strict=True),
        )
        return CatalogueInfo(
            dictionary=self.catalogue.dictionary,
            fingerprint=str(about["dictionary_fingerprint"]),
            model=str(about["model"]),
            pictures=int(about["pictures"]),
            features=len(self),
            size=int(about["size"]),
            label_floor=float(about.get("label_floor") or 0.0),
            labelled=int((self.labels.codes >= 0).sum()),
            grid=tuple(about["grid"]),
            classes=tuple(CatalogueClass(name=n, positives=p) for n, p in named),
            statistics=tuple(self._ranges()),
        )

    def _ranges(self) -> list[StatisticRange]:
        known = {s: v[np.isfinite(v)] for s, v in self.statistics.items()}
        return [
            StatisticRange(statistic=s, low=float(v.min()), high=float(v.max()), known=len(v))
            for s, v in known.items()
            if len(v)
        ]

    def _first(self) -> Array:
        """The class that stands first in each feature's list, best above chance; how well each."""
        rows, first = np.unique(self.classes.rows, return_index=True)
        codes = np.full(len(self), -1)
        codes[rows] = self.classes.codes[first]
        for name, value in self.classes.values.items():
            self.statistics[name] = np.full(len(self), np.nan)
            self.statistics[name][rows] = value[first]
        return codes

    @property
    def detection(self) -> dict[Statistic, Array]:
        """``[n]`` how well each feature detects the class that it detects best."""
        return {name: self.statistics[name] for name in DETECTION}


def floats(column: pa.ChunkedArray) -> Array:
    """Numbers; nan where they are null."""
    return numbers(column.cast(pa.float64()))


def coded(array: Any) -> Words:
    """Words by their places in a list; null and empty are none."""
    if not isinstance(array, pa.DictionaryArray):
        array = pc.dictionary_encode(array)
    words = tuple(array.dictionary.to_pylist())
    codes = numbers(array.indices, nothing=-1).astype(np.int64)
    empty = [i for i, word in enumerate(words) if not word]
    return Words(words, np.where(np.isin(codes, empty), -1, codes))


def classes(table: pa.Table) -> Classes:
    """What features detect, from the lists of all rows."""
    lists = table.column("classes").combine_chunks()
    sizes = numbers(pc.list_value_length(lists))

    def flat(name: str) -> Array:
        return numbers(table.column(name).combine_chunks().flatten())

    words = coded(lists.flatten())
    values = {s: flat(name).astype(np.float64) for s, name in DETECTION.items()}
    positives = np.zeros(len(words.words), np.int64)
    positives[words.codes] = flat("class_positives")
    rows = np.repeat(np.arange(len(table)), sizes)
    return Classes(words.words, rows, words.codes, values, positives)
