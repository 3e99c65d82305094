"""How well each single unit detects a concept: average precision and AUROC (methods, section 7).

Ties as scikit-learn treats them: equal responses are one threshold, and silence is the last one.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import sparse
from scipy.stats import rankdata

from steerboard.spec.errors import InvalidRequest

Floats = npt.NDArray[np.float64]
Labels = npt.NDArray[np.bool_]
SORTED_AT_ONCE = 2**21  # responses


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
        responses: ``[n, f]``; see ``responses``.
        labels: Whether each picture shows the concept ``[n]``.

    Raises:
        InvalidRequest: No positive or no negative picture, or another number of labels.
    """
    check_labels(responses.shape[0], labels)
    found = [skills(heard(part), labels) for part in some_units(responses)]
    precision, auroc = (np.concatenate([np.zeros(0), *each]) for each in zip(*found, strict=True))
    return Expertise(precision, auroc, float(labels.mean()))


def by_luck(labels: Labels, share: float = 0.05, units: int = 1000) -> float:
    """Average precision that one of units which answer at random exceeds with so small a chance.

    Of a unit that other pictures chose, less is no sign that it knows the concept. By so many
    random units, the same ones each time.
    """
    noise = np.random.default_rng(0).random((len(labels), units)) + 1.0
    found = expertise(sparse.csc_array(noise), labels)
    return float(np.quantile(found.precision, 1 - share))


def some_units(responses: sparse.csc_array) -> Iterator[sparse.csc_array]:
    """A few columns at a time: sorting takes several times the room of what is sorted."""
    start, units = 0, responses.shape[1]
    while start < units or not start:
        room = responses.indptr[start] + SORTED_AT_ONCE
        stop = max(start + 1, int(np.searchsorted(responses.indptr, room, "right")) - 1)
        yield responses[:, start : min(stop, units)]
        start = stop


def heard(responses: sparse.csc_array) -> sparse.csc_array:
    """The same order of pictures for every unit, silence being the least; nothing is negative.

    AP and AUROC know the order alone, so that responses with a sign become places in it.
    """
    if (responses.data > 0).all():
        return responses
    if (responses.data >= 0).all():
        found = responses.copy()
        found.eliminate_zeros()
        return found
    return sparse.csc_array(rankdata(responses.toarray(), method="min", axis=0))


def skills(responses: sparse.csc_array, labels: Labels) -> tuple[Floats, Floats]:
    """Average precision and AUROC ``[f]`` of responses that are positive or silent."""
    groups = ties(responses, labels)
    positives, count = int(labels.sum()), len(labels)
    silent = count - np.diff(responses.indptr)
    missed = positives - groups.per_unit(groups.gained)
    shares = groups.per_unit(groups.gained * groups.hits / groups.shown)
    precision = (shares + missed * positives / count) / positives
    ranks = groups.per_unit(groups.gained * groups.ranks(count)) + missed * (silent + 1) / 2
    pairs = positives * (count - positives)
    return precision, (ranks - positives * (positives + 1) / 2) / pairs


@dataclass(frozen=True)
class Ties:
    """Groups of equal responses of one unit, from the largest down, unit after unit ``[g]``.

    ``hits`` and ``shown`` count positives and pictures down to the end of each group, ``gained``
    and ``size`` those of the group itself. Silent pictures are in none: they come after.
    """

    unit: npt.NDArray[np.int64]
    hits: Floats
    shown: Floats
    gained: Floats
    size: Floats
    units: int

    def per_unit(self, values: Floats) -> Floats:
        """Sum over the groups of each unit ``[f]``."""
        return np.bincount(self.unit, values, self.units).astype(np.float64)

    def ranks(self, count: int) -> Floats:
        """Mean rank of each group's pictures among all, the smallest response having rank 1."""
        return count - self.shown + (self.size + 1) / 2


def ties(responses: sparse.csc_array, labels: Labels) -> Ties:
    """Sort every unit's responses, all units at once."""
    unit = np.repeat(np.arange(responses.shape[1]), np.diff(responses.indptr))
    order = np.lexsort((-responses.data, unit))
    unit, values = unit[order], responses.data[order]
    last = np.append((np.diff(unit) != 0) | (np.diff(values) != 0), True)[: len(unit)]
    ends = np.flatnonzero(last)
    before = np.concatenate([[0], np.cumsum(labels[responses.indices[order]])])
    own = before[ends + 1]
    start = responses.indptr[unit[ends]]
    return Ties(
        unit=unit[ends],
        hits=(own - before[start]).astype(np.float64),
        shown=(ends + 1 - start).astype(np.float64),
        gained=np.diff(own, prepend=0).astype(np.float64),
        size=np.diff(ends, prepend=-1).astype(np.float64),
        units=responses.shape[1],
    )


def check_labels(pictures: int, labels: Labels) -> None:
    """One label a picture, and both kinds of pictures."""
    if len(labels) != pictures:
        raise InvalidRequest(f"{pictures} pictures have {len(labels)} labels: give one to each")
    if labels.all() or not labels.any():
        kind = "negative" if labels.all() else "positive"
        raise InvalidRequest(
            f"a concept needs positive and negative pictures: add at least one {kind} one"
        )
