"""Which classes a feature detects: average precision, AUROC and lift of its response.

Exact over the pictures given. A picture on which the feature does not fire has response 0, and all
such are tied; ties are treated as scikit-learn treats them.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import sparse

from steerboard.catalogue.measures import blocks
from steerboard.catalogue.records import Array

FEWEST, MOST = 5, 1000  # pictures of a class below which it is none; classes looked at
TRIED, KEPT = 8, 4  # classes a feature: tried by correlation, then kept by precision
HELD = 2**16  # responses that are sorted at a time


@dataclass(frozen=True)
class Association:
    """How well a feature detects a class.

    Attributes:
        name: Such as ``label=owl``.
        ap: Average precision of the response as a score; chance is ``positives / pictures``.
        auroc: Chance is 0.5.
        lift: How many times as frequent the class is among pictures on which the feature fires.
        positives: Pictures of the class.
    """

    name: str
    ap: float
    auroc: float
    lift: float
    positives: int


def classes(facts: Sequence[tuple[str, ...]]) -> tuple[list[str], sparse.csc_array]:
    """The classes with pictures enough, and who belongs to them ``[picture, class]``."""
    counts = Counter(name for one in facts for name in one)
    fit = [n for n, c in counts.items() if FEWEST <= c <= len(facts) - 1]
    names = sorted(sorted(fit, key=lambda n: (-counts[n], n))[:MOST])
    place = {name: i for i, name in enumerate(names)}
    at = [(row, place[n]) for row, one in enumerate(facts) for n in one if n in place]
    rows, columns = np.array(at, np.int64).reshape(-1, 2).T
    ones = np.ones(len(rows), np.float64)
    return names, sparse.csc_array((ones, (rows, columns)), shape=(len(facts), len(names)))


@dataclass(frozen=True)
class Judges:
    """Responses by feature ``[picture, f]``, and who belongs to which class.

    Attributes:
        columns: The responses.
        names: Of the classes.
        members: ``[picture, class]``, sparse.
        dense: The same as truth values.
    """

    columns: sparse.csc_array
    names: list[str]
    members: sparse.csc_array
    dense: Array

    @classmethod
    def of(cls, responses: sparse.csr_array, facts: Sequence[tuple[str, ...]]) -> "Judges":
        """From responses ``[picture, f]`` and the classes of each picture."""
        names, members = classes(facts)
        return cls(sparse.csc_array(responses), names, members, members.toarray() > 0)


def associations(judges: Judges, features: Array) -> Iterator[list[Association]]:
    """For each feature the classes it detects best, by average precision above chance."""
    for part in blocks(len(features)):
        own = judges.columns[:, features[part]]
        tried = correlated(own, judges.members)
        for some in alike(own.indptr):
            found = measured(own[:, some], tried[some], judges.dense)
            kept = np.lexsort((tried[some], -found.above), axis=-1)[:, :KEPT]
            listed = (np.take_along_axis(x, kept, 1).tolist() for x in (tried[some], *found.told))
            for one in zip(*listed, strict=True):
                yield [Association(judges.names[c], *told) for c, *told in zip(*one, strict=True)]


def alike(ends: Array) -> Iterator[slice]:
    """Columns that begin and end at ``ends [n + 1]``, some at a time by what they hold."""
    start, last = 0, len(ends) - 1
    while start < last:
        stop = int(np.searchsorted(ends, ends[start] + HELD, side="right")) - 1
        stop = min(last, max(stop, start + 1))
        yield slice(start, stop)
        start = stop


def correlated(responses: sparse.csc_array, members: sparse.csc_array) -> Array:
    """``[f, TRIED]`` the classes whose membership goes most with the response (Pearson)."""
    n = members.shape[0]
    x = responses.astype(np.float64)
    both = (x.T @ members).toarray()
    means, shares = np.asarray(x.mean(0)).ravel(), np.asarray(members.mean(0)).ravel()
    spread = np.asarray((x * x).mean(0)).ravel() - means**2
    scale = np.sqrt(np.maximum(spread, 1e-30))[:, None] * np.sqrt(shares * (1 - shares))[None]
    values = (both / n - means[:, None] * shares[None]) / scale
    return np.argsort(-values, axis=1, kind="stable")[:, :TRIED]


@dataclass(frozen=True)
class Measured:
    """How well ``f`` features detect ``k`` classes each; all ``[f, k]``, see ``Association``."""

    ap: Array
    auroc: Array
    lift: Array
    positives: Array
    pictures: int

    @property
    def told(self) -> tuple[Array, ...]:
        """In the order of ``Association``."""
        return self.ap, self.auroc, self.lift, self.positives

    @property
    def above(self) -> Array:
        """Average precision above chance, of what there is above it: frequent classes are cheap."""
        share = self.positives / self.pictures
        found: Array = (self.ap - share) / (1 - share)
        return found


def measured(responses: sparse.csc_array, tried: Array, dense: Array) -> Measured:
    """Features as scores of classes, many at a time.

    Their pictures stand end to end by falling response; those of one response are a tie, and behind
    the others of a feature comes the tie of all pictures on which it does not fire.

    Args:
        responses: ``[picture, f]``, all above 0.
        tried: ``[f, k]`` the classes looked at.
        dense: ``[picture, class]`` who belongs to which.
    """
    pictures, sizes = dense.shape[0], np.diff(responses.indptr)
    positives = dense.sum(0)[tried]
    column = np.repeat(np.arange(len(sizes)), sizes)
    order = np.lexsort((-responses.data, column))
    values = responses.data[order]
    hits = dense[responses.indices[order][:, None], tried[column]]
    ends = np.flatnonzero(np.append((values[1:] != values[:-1]) | (np.diff(column) > 0), True))
    ends = ends[: len(values)]
    ties = np.bincount(column[ends], minlength=len(sizes))
    first = np.cumsum(ties + 1) - ties - 1  # of the ties of each feature
    own = np.arange(len(ends)) + column[ends]
    last = first + ties
    # Hits up to the end of each tie, of its own feature.
    before = np.concatenate([np.zeros((1, tried.shape[1]), np.int64), np.cumsum(hits, 0)])
    count = len(ends) + len(sizes)
    true, seen = np.empty((count, tried.shape[1])), np.empty(count)
    true[own] = before[ends + 1] - before[responses.indptr[column[ends]]]
    seen[own] = ends + 1 - responses.indptr[column[ends]]
    true[last], seen[last] = positives, pictures
    gained, false = since(true, first), since(seen[:, None] - true, first)
    ap = np.add.reduceat(gained * true / seen[:, None], first) / positives
    # A negative of a tie loses to the positives above it, and draws with those of its tie.
    won = np.add.reduceat(false * (true - 0.5 * gained), first)
    auroc = won / (positives * (pictures - positives))
    among = before[responses.indptr[1:]] - before[responses.indptr[:-1]]
    lift = among / np.maximum(sizes, 1)[:, None] / (positives / pictures)
    return Measured(ap, auroc, lift, positives, pictures)


def since(counts: Array, first: Array) -> Array:
    """``[m, k]`` what each tie adds to ``counts`` of all ties up to it, see ``measured``."""
    found = np.diff(counts, axis=0, prepend=0.0)
    found[first] = counts[first]
    return found
