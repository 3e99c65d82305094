"""What is known of each feature over an image set: how often it fires, and where it does most.

Partial catalogues merge in any order and any split: counts add, maxima and top lists are ordered
by activation with the picture's digest as the tie-breaker.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from steerboard.spec.answers import Code
from steerboard.spec.catalogue import FeatureCard
from steerboard.spec.jobs import Reference

Heat = npt.NDArray[np.float32]
SCHEMA = 1


@dataclass
class Partial:
    """Counts and top pictures of every feature that fired in a part of the set."""

    top: int
    images: int = 0
    fired: dict[int, int] = field(default_factory=dict)
    best: dict[int, list[tuple[float, str, Heat]]] = field(default_factory=dict)

    def add(self, image: str, code: Code, prefix: int, grid: tuple[int, int]) -> None:
        """Take in one picture's code; its heat map covers the patches only."""
        self.images += 1
        order = np.argsort(code.features, kind="stable")
        features, starts = np.unique(code.features[order], return_index=True)
        for feature, rows in zip(features.tolist(), np.split(order, starts[1:]), strict=True):
            peak = float(np.abs(code.values[rows]).max())
            self.fired[feature] = self.fired.get(feature, 0) + 1
            heat = np.zeros(prefix + grid[0] * grid[1], np.float32)
            heat[code.tokens[rows]] = code.values[rows]
            self._keep(feature, (peak, image, heat[prefix:].reshape(grid)))

    def _keep(self, feature: int, entry: tuple[float, str, Heat]) -> None:
        entries = self.best.setdefault(feature, [])
        entries.append(entry)
        if len(entries) >= 4 * self.top:
            self._trim(feature)

    def _trim(self, feature: int) -> None:
        kept = sorted(self.best[feature], key=lambda e: (-e[0], e[1]))[: self.top]
        self.best[feature] = kept

    def merge(self, other: "Partial") -> None:
        """Take in another part of the set."""
        self.images += other.images
        for feature, count in other.fired.items():
            self.fired[feature] = self.fired.get(feature, 0) + count
            self.best.setdefault(feature, []).extend(other.best[feature])
            self._trim(feature)

    def cards(self, dictionary: str) -> list[FeatureCard]:
        """One card a feature that ever fired, by number."""
        cards = []
        for feature in sorted(self.fired):
            self._trim(feature)
            best = self.best[feature]
            cards.append(
                FeatureCard(
                    dictionary=dictionary,
                    feature=feature,
                    firing_rate=self.fired[feature] / self.images,
                    maximum=best[0][0],
                    references=tuple(
                        Reference(image=i, activation=a, heat=tuple(map(tuple, h.tolist())))
                        for a, i, h in best
                    ),
                )
            )
        return cards


def write_cards(path: Path, cards: Sequence[FeatureCard]) -> None:
    """Save cards as Parquet, a row a feature."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = [
        {
            "feature": c.feature,
            "firing_rate": c.firing_rate,
            "maximum": c.maximum,
            "images": [r.image for r in c.references],
            "activations": [r.activation for r in c.references],
            "heats": [np.asarray(r.heat, np.float16).ravel().tolist() for r in c.references],
            "rows": len(c.references[0].heat),
        }
        for c in cards
    ]
    table = pa.Table.from_pylist(rows).replace_schema_metadata(
        {"steerboard.catalogue": str(SCHEMA)}
    )
    pq.write_table(table, path, compression="zstd")


class CatalogueFile:
    """Reads the cards of one dictionary."""

    def __init__(self, path: Path) -> None:
        self._dictionary = path.stem
        self._table = pq.read_table(path)
        self._row = {f: i for i, f in enumerate(self._table.column("feature").to_pylist())}

    def cards(self, features: Iterable[int], references: int) -> list[FeatureCard]:
        """Cards of those features that are known, in the order asked."""
        return [self._card(self._row[f], references) for f in features if f in self._row]

    def _card(self, row: int, count: int) -> FeatureCard:
        (record,) = self._table.slice(row, 1).to_pylist()
        heats = [
            np.asarray(h, np.float32).reshape(record["rows"], -1) for h in record["heats"][:count]
        ]
        references = zip(record["images"], record["activations"], heats, strict=False)
        return FeatureCard(
            dictionary=self._dictionary,
            feature=record["feature"],
            firing_rate=record["firing_rate"],
            maximum=record["maximum"],
            references=tuple(
                Reference(image=i, activation=a, heat=tuple(map(tuple, h.tolist())))
                for i, a, h in references
            ),
        )
