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
    pictures, sizes = judges.dense.shape[0], judges.dense.sum(0)
    for part in blocks(len(features)):
        own = judges.columns[:, features[part]]
        tried = correlated(own, judges.members)
        for i in range(own.shape[1]):
            at = slice(own.indptr[i], own.indptr[i + 1])
            order = np.argsort(-own.data[at], kind="stable")
            hits = judges.dense[own.indices[at][order]][:, tried[i]]
            found = measured(own.data[at][order], hits, pictures, sizes[tried[i]])
            names = (judges.names[c] for c in tried[i])
            made = [Association(name, *one) for name, one in zip(names, found, strict=True)]
            yield sorted(made, key=lambda a: (-above(a, pictures), a.name))[:KEPT]


def above(found: Association, pictures: int) -> float:
    """Average precision above chance, of what there is above it: frequent classes come cheap."""
    share = found.positives / pictures
    return (found.ap - share) / (1 - share)


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


def measured(
    values: Array, hits: Array, pictures: int, positives: Array
) -> list[tuple[float, float, float, int]]:
    """Average precision, AUROC, lift and size of ``k`` classes for one feature.

    Args:
        values: ``[n]`` its responses, all above 0, falling; perhaps none.
        hits: ``[n, k]`` whether those pictures belong to each class.
        pictures: How many there are in all.
        positives: ``[k]`` pictures of each class.
    """
    last = np.append(values[1:] != values[:-1], True)[: len(values)]  # of each tie
    ends = np.flatnonzero(last)
    true = np.concatenate([np.cumsum(hits, 0)[ends], positives[None]]).astype(np.float64)
    seen = np.append(ends + 1, pictures).astype(np.float64)[:, None]
    before = np.concatenate([np.zeros((1, true.shape[1])), true[:-1]])
    gained, wrong = true - before, seen - true
    false = wrong - np.concatenate([np.zeros((1, true.shape[1])), wrong[:-1]])
    ap = (gained * true / seen).sum(0) / positives
    # A negative of a tie loses to the positives above it, and draws with those of its tie.
    won = (false * (before + 0.5 * gained)).sum(0)
    auroc = won / (positives * (pictures - positives))
    lift = hits.sum(0) / max(len(hits), 1) / (positives / pictures)
    return list(zip(*(x.tolist() for x in (ap, auroc, lift, positives)), strict=True))
