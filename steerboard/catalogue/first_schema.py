"""Reads catalogues of schema 1, which knew rates, maxima and reference pictures only."""

from collections.abc import Iterable

import fsspec
import numpy as np
import pyarrow.parquet as pq

from steerboard.spec.catalogue import FeatureCard
from steerboard.spec.jobs import Reference


class FirstCatalogue:
    """The cards of one dictionary.

    Args:
        place: fsspec URL of the file; its name is the dictionary's.
    """

    def __init__(self, place: str) -> None:
        self.dictionary = place.rpartition("/")[2].removesuffix(".parquet")
        with fsspec.open(place, "rb") as file:
            self._table = pq.read_table(file)
        self._row = {f: i for i, f in enumerate(self._table.column("feature").to_pylist())}

    def cards(self, features: Iterable[int], references: int = 16) -> list[FeatureCard]:
        """Cards of those features that are known, in the order asked."""
        return [self._card(self._row[f], references) for f in features if f in self._row]

    def _card(self, row: int, count: int) -> FeatureCard:
        (record,) = self._table.slice(row, 1).to_pylist()
        heats = [
            np.asarray(h, np.float32).reshape(record["rows"], -1) for h in record["heats"][:count]
        ]
        references = zip(record["images"], record["activations"], heats, strict=False)
        return FeatureCard(
            dictionary=self.dictionary,
            feature=record["feature"],
            firing_rate=record["firing_rate"],
            maximum=record["maximum"],
            references=tuple(
                Reference(image=i, activation=a, heat=tuple(map(tuple, h.tolist())))
                for i, a, h in references
            ),
        )
