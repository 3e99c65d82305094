"""From the merged state to rows: everything that needs all pictures, some features at a time."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from steerboard.catalogue.association import Judges, associations
from steerboard.catalogue.columns import Lists
from steerboard.catalogue.columns import table as from_columns
from steerboard.catalogue.labels import Vocabulary, labels
from steerboard.catalogue.measures import blocks, clarity, meaning, polysemanticity
from steerboard.catalogue.neighbours import Meetings, together
from steerboard.catalogue.partial import Partial
from steerboard.catalogue.records import Array
from steerboard.catalogue.shelf import Shelf
from steerboard.catalogue.shortlist import FREE, Shortlist

GROUP = 256  # features of a row group: what is read to show one page
FEWEST = 3  # pictures that a label takes: the mean of fewer is as far out as they are
QUANTILES = (0.1, 0.3, 0.5, 0.7, 0.9)  # of a feature's responses, by pictures drawn by lot
FLOATS, INTS = pa.list_(pa.float32()), pa.list_(pa.int32())
LISTED = {"images": pa.list_(pa.binary(32)), "activations": FLOATS, "heats": pa.binary()}
COLUMNS: dict[str, pa.DataType] = {
    "feature": pa.int32(),
    "fired": pa.int64(),
    "firing_rate": pa.float64(),
    "mean": pa.float64(),
    "maximum": pa.float64(),
    "clarity": pa.float32(),
    "polysemanticity": pa.float32(),
    "redundancy": pa.float32(),
    "label": pa.string(),
    "label_score": pa.float32(),
    "histogram": pa.list_(pa.int64()),
    "decoder_features": INTS,
    "decoder_cosines": FLOATS,
    "coactive_features": INTS,
    "coactive_overlaps": FLOATS,
    "classes": pa.list_(pa.string()),
    "class_ap": FLOATS,
    "class_auroc": FLOATS,
    "class_lift": FLOATS,
    "class_positives": INTS,
    **LISTED,
    **{f"sample_{name}": kind for name, kind in LISTED.items()},
    "meaning": pa.binary(),
}
SCHEMA = pa.schema(list(COLUMNS.items()))


@dataclass(frozen=True)
class Known:
    """What a table is made from.

    Attributes:
        partial: The merged state.
        shelf: Embeddings of the pictures it refers to.
        vocabulary: Words to label with, or None.
        nearest: Features nearest to others by decoder rows and their cosines, or None where
            that cannot be had.
        floor: The score below which a feature has no label.
    """

    partial: Partial
    shelf: Shelf
    vocabulary: Vocabulary | None = None
    nearest: Callable[[Array], tuple[Array, Array]] | None = None
    floor: float = 0.0


def tables(known: Known) -> Iterator[pa.Table]:
    """A table for each row group, by feature; those that never fired have no row."""
    fired, compared = rows_of(known.partial), Compared.of(known.partial)
    for part in blocks(len(fired), GROUP):
        yield table(known, fired[part], compared)


def rows_of(partial: Partial) -> Array:
    """``[n]`` the features that have a row."""
    return np.flatnonzero(partial.sums.fired)


@dataclass(frozen=True)
class Compared:
    """The panel, made ready for what compares its pictures."""

    judges: Judges
    meetings: Meetings

    @classmethod
    def of(cls, partial: Partial) -> "Compared":
        """The panel of a merged part."""
        responses = partial.panel.responses(partial.size)
        return cls(Judges.of(responses, partial.panel.facts()), Meetings.of(responses))


def table(known: Known, own: Array, compared: Compared) -> pa.Table:
    """The rows of some features ``own [b]``."""
    partial = known.partial
    met = together(compared.meetings, own)
    columns: dict[str, Any] = {
        "feature": own,
        "fired": partial.sums.fired[own],
        "firing_rate": partial.sums.fired[own] / partial.pictures,
        "mean": partial.sums.mean()[own],
        "maximum": partial.sums.maximum[own].astype(np.float64),
        "histogram": all_of(partial.sums.histogram[own]),
        "coactive_features": Lists(met.counts, met.features),
        "coactive_overlaps": Lists(met.counts, met.overlaps),
        **classes(list(associations(compared.judges, own))),
        **measured(known, own),
        **near(known.nearest, own),
        **listed(partial.best, own, ""),
        **listed(partial.drawn, own, "sample_", QUANTILES),
    }
    return from_columns(columns, SCHEMA)


def classes(found: list[Any]) -> dict[str, Any]:
    """Columns of the classes that features detect."""
    return {
        "classes": [[a.name for a in one] for one in found],
        "class_ap": [[a.ap for a in one] for one in found],
        "class_auroc": [[a.auroc for a in one] for one in found],
        "class_lift": [[a.lift for a in one] for one in found],
        "class_positives": [[a.positives for a in one] for one in found],
    }


def measured(known: Known, features: Array) -> dict[str, Any]:
    """Columns that go by the embeddings of the strongest pictures."""
    embeddings, there = known.shelf.top(known.partial, features)
    if not known.shelf.width:
        names = ("clarity", "polysemanticity", "label", "label_score", "meaning")
        return dict.fromkeys(names, [None] * len(features))
    means = meaning(embeddings, there)
    words: list[str | None] = [None] * len(features)
    scores = np.full(len(features), np.nan)
    if known.vocabulary is not None:
        best, scores = labels(known.vocabulary, means)
        fits = (scores >= known.floor) & (there.sum(1) >= FEWEST)
        words = [w if fit else None for w, fit in zip(best, fits, strict=True)]
    return {
        "clarity": nulls(clarity(embeddings, there)),
        "polysemanticity": nulls(polysemanticity(embeddings, there)),
        "label": words,
        "label_score": nulls(scores),
        "meaning": [row.tobytes() for row in means.astype("<f2")],
    }


def near(nearest: Callable[[Array], tuple[Array, Array]] | None, features: Array) -> dict[str, Any]:
    """Columns that go by the dictionary's directions; null without them."""
    if nearest is None:
        names = ("redundancy", "decoder_features", "decoder_cosines")
        return dict.fromkeys(names, [None] * len(features))
    which, cosines = nearest(features)
    return {
        "redundancy": cosines[:, 0].astype(np.float32),
        "decoder_features": all_of(which),
        "decoder_cosines": all_of(cosines),
    }


def all_of(values: Array) -> Lists:
    """The rows of ``[b, n]``."""
    return Lists(np.full(len(values), values.shape[1]), values.ravel())


def listed(
    held: Shortlist, features: Array, prefix: str, quantiles: Sequence[float] = ()
) -> dict[str, Any]:
    """Columns of a list of pictures: digests, responses, maps.

    In its own order; with ``quantiles`` those that stand there by falling response.
    """
    there = held.order[features] != FREE
    row, rank = np.nonzero(there)
    if quantiles:
        falling = np.argsort(np.where(there, -held.peaks[features], np.inf), 1, kind="stable")
        stands = (there.sum(1)[:, None] * np.array(quantiles)).astype(np.int64)
        row, which = np.nonzero(np.diff(stands, prepend=-1))
        rank = falling[row, stands[row, which]]
    at = features[row], rank
    counts = np.bincount(row, minlength=len(features))
    maps = held.maps[at]
    return {
        prefix + "images": Lists(counts, held.digests[at].astype(">u8")),
        prefix + "activations": Lists(counts, held.peaks[at]),
        prefix + "heats": Lists(counts * maps.shape[1], maps.ravel()),
    }


def nulls(values: Array) -> list[float | None]:
    """Not a number becomes null."""
    return [None if np.isnan(v) else v for v in values.tolist()]
