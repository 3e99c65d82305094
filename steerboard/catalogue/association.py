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
    names, dense = judges.names, judges.dense
    for part in blocks(len(features)):
        own = judges.columns[:, features[part]]
        tried = correlated(own, judges.members)
        for i in range(own.shape[1]):
            rows = own.indices[own.indptr[i] : own.indptr[i + 1]]
            values = own.data[own.indptr[i] : own.indptr[i + 1]]
            found = [measured(names[c], rows, values, dense[:, c]) for c in tried[i]]
            yield sorted(found, key=lambda a: (-above(a, len(dense)), a.name))[:KEPT]


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


def measured(name: str, rows: Array, values: Array, member: Array) -> Association:
    """A feature that fires on ``rows`` with ``values > 0``, detecting ``member [picture]``."""
    total, positives = len(member), int(member.sum())
    order = np.argsort(-values, kind="stable")
    hits = member[rows][order]
    ends = np.flatnonzero(np.diff(values[order], append=np.nan) != 0)  # the last of each tie
    true = np.append(np.cumsum(hits)[ends], positives).astype(np.float64)
    seen = np.append(ends + 1, total).astype(np.float64)
    gained = np.diff(true, prepend=0.0)
    ap = float((gained * true / seen).sum() / positives)
    false = np.diff(seen - true, prepend=0.0)
    # A negative of a tie loses to the positives above it, and draws with those of its tie.
    won = (false * (true - gained)).sum() + 0.5 * (gained * false).sum()
    auroc = float(won / (positives * (total - positives)))
    lift = float(hits.mean() / (positives / total)) if len(rows) else 0.0
    return Association(name, ap, auroc, lift, positives)
