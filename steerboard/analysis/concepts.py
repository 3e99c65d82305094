"""Concepts: pictures that show something and pictures that do not, and who can tell them apart.

Given by hand, by a filter over a manifest, or by a text query.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse

from steerboard.analysis.expertise import Expertise, expertise
from steerboard.analysis.responses import CHUNK, Place, responses
from steerboard.spec.errors import InvalidRequest
from steerboard.spec.requests import Embed, ImageRef
from steerboard.spec.runner import Runner

Floats = npt.NDArray[np.float64]
Facts = Mapping[str, Any]


@dataclass(frozen=True)
class Concept:
    """A name and two sets of pictures, none of them empty."""

    name: str
    positives: tuple[ImageRef, ...]
    negatives: tuple[ImageRef, ...]

    def __post_init__(self) -> None:
        missing = [w for w in ("positives", "negatives") if not getattr(self, w)]
        if missing:
            raise InvalidRequest(
                f"the concept {self.name!r} has no {missing[0]}: name at least one picture of each"
                " kind",
                field=missing[0],
            )

    @property
    def images(self) -> tuple[ImageRef, ...]:
        """Positives, then negatives."""
        return self.positives + self.negatives

    @property
    def labels(self) -> npt.NDArray[np.bool_]:
        """True for each positive, in the order of ``images``."""
        return np.arange(len(self.images)) < len(self.positives)


def by_manifest(
    name: str,
    rows: Sequence[tuple[Facts, ImageRef]],
    wanted: Facts,
    instead: Facts | None = None,
) -> Concept:
    """Positives are the rows whose facts are all of ``wanted``.

    Negatives are those with all of ``instead``; by default all others.
    """
    hits = [all(facts.get(k) == v for k, v in wanted.items()) for facts, _ in rows]
    misses = [
        not hit if instead is None else all(facts.get(k) == v for k, v in instead.items())
        for hit, (facts, _) in zip(hits, rows, strict=True)
    ]
    pairs = list(zip(rows, hits, misses, strict=True))
    positives = tuple(image for (_, image), hit, _ in pairs if hit)
    return Concept(name, positives, tuple(i for (_, i), hit, miss in pairs if miss and not hit))


def by_text(
    runner: Runner, model: str, text: str, images: Sequence[ImageRef], count: int
) -> Concept:
    """Positives are the ``count`` pictures nearest to a text, negatives the farthest ones.

    Nearest by the model's own embeddings: what it takes for the concept, mistakes included.
    """
    (query,) = runner.embed(Embed(model=model, texts=(text,))).results()
    near = embeddings(runner, model, images) @ query.values
    if not 1 <= count <= len(images) // 2:
        raise InvalidRequest(
            f"of {len(images)} pictures at most {len(images) // 2} can be the nearest and as many"
            f" the farthest, not {count}",
            field="count",
        )
    order = np.argsort(-near, kind="stable")
    chosen = [tuple(images[i] for i in part) for part in (order[:count], order[-count:])]
    return Concept(text, *chosen)


def embeddings(runner: Runner, model: str, images: Iterable[ImageRef]) -> Floats:
    """Unit-length image embeddings ``[n, e]``, asked for in chunks."""
    waiting, found = iter(images), []
    while chunk := tuple(islice(waiting, CHUNK)):
        found += [e.values for e in runner.embed(Embed(model=model, images=chunk)).results()]
    return np.array(found, np.float64)


def experts(runner: Runner, model: str, where: str | Place, concept: Concept) -> Expertise:
    """Every unit's skill at the concept; a word is a dictionary, whose features are meant."""
    return expertise(responses(runner, model, where, concept.images), concept.labels)


def half_splits(
    answers: sparse.csc_array, labels: npt.NDArray[np.bool_], splits: int = 10, seed: int = 0
) -> Floats:
    """Agreement of AP profiles over disjoint halves ``[splits]``; see ``agreement``.

    Halves keep the share of positives; each needs two positives and two negatives.
    """
    rng = np.random.default_rng(seed)
    if min(labels.sum(), (~labels).sum()) < 2:
        raise InvalidRequest("half splits need two positive and two negative pictures at least")
    rows, out = answers.tocsr(), np.zeros(splits)
    for s in range(splits):
        half = np.zeros(len(labels), bool)
        for kind in (labels, ~labels):
            members = rng.permutation(np.flatnonzero(kind))
            half[members[: len(members) // 2]] = True
        one, two = (expertise(rows[part].tocsc(), labels[part]) for part in (half, ~half))
        out[s] = agreement(one, two)
    return out


def agreement(one: Expertise, two: Expertise) -> float:
    """Correlation of two AP profiles over the units that are not silent in both.

    Two data sets are compared the same way. Units of two models do not correspond: compare their
    concept maps instead (``concept_map.alike``).
    """
    heard = np.any([~np.isclose(e.precision, e.prevalence) for e in (one, two)], axis=0)
    pair = np.array([one.precision[heard], two.precision[heard]])
    if pair.shape[1] < 2 or np.ptp(pair, axis=1).min() == 0:
        return 0.0
    return float(np.corrcoef(pair)[0, 1])
