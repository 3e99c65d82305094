"""How well each single unit detects a concept: average precision and AUROC (methods, section 7).

Ties as scikit-learn treats them: equal responses are one threshold, and silence is the last one.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import sparse
from scipy.stats import rankdata

from steerboard.spec.errors import InvalidRequest

Floats = npt.NDArray[np.float64]
Labels = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Expertise:
    """Average precision and AUROC of every unit ``[f]``; chance is ``prevalence`` and 0.5."""

    precision: Floats
    auroc: Floats
    prevalence: float

    def best(self, k: int) -> npt.NDArray[np.int64]:
        """The ``k`` units of largest average precision, best first."""
        return np.argsort(-self.precision, kind="stable")[:k]

    def above(self, tau: float) -> npt.NDArray[np.int64]:
        """All units whose average precision exceeds ``tau``, best first."""
        order = self.best(len(self.precision))
        return order[self.precision[order] > tau]


def expertise(responses: sparse.csc_array, labels: Labels) -> Expertise:
    """Every unit's.

    Args:
        responses: ``[n, f]``, not negative; see ``responses``.
        labels: Whether each picture shows the concept ``[n]``.

    Raises:
        InvalidRequest: No positive or no negative picture, or another number of labels.
    """
    check_labels(responses.shape[0], labels)
    found = [
        one_unit(responses.data[start:stop], labels[responses.indices[start:stop]], labels)
        for start, stop in zip(responses.indptr[:-1], responses.indptr[1:], strict=True)
    ]
    precision, auroc = np.array(found).reshape(-1, 2).T
    return Expertise(precision, auroc, float(labels.mean()))


def check_labels(pictures: int, labels: Labels) -> None:
    """One label a picture, and both kinds of pictures."""
    if len(labels) != pictures:
        raise InvalidRequest(f"{pictures} pictures have {len(labels)} labels: give one to each")
    if labels.all() or not labels.any():
        kind = "negative" if labels.all() else "positive"
        raise InvalidRequest(
            f"a concept needs positive and negative pictures: add at least one {kind} one"
        )


def one_unit(values: npt.NDArray[np.float32], own: Labels, labels: Labels) -> tuple[float, float]:
    """Average precision and AUROC from the pictures where the unit fires; the others are silent."""
    positives, count = int(labels.sum()), len(labels)
    order = np.argsort(-values, kind="stable")
    last = np.append(np.flatnonzero(np.diff(values[order])), len(values) - 1)[: len(values)]
    hits = np.append(np.cumsum(own[order])[last], positives)
    shown = np.append(last + 1, count)
    precision = float((np.diff(hits, prepend=0) / positives * hits / shown).sum())
    return precision, auroc(values, own, positives, count)


def auroc(values: npt.NDArray[np.float32], own: Labels, positives: int, count: int) -> float:
    """Mann and Whitney's U over all pairs; the silent pictures share the lowest ranks."""
    silent = count - len(values)
    ranks = rankdata(values) + silent
    total = float(ranks[own].sum()) + (positives - int(own.sum())) * (silent + 1) / 2
    pairs = positives * (count - positives)
    return (total - positives * (positives + 1) / 2) / pairs
