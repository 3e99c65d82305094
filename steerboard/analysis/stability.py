"""Whether a concept looks the same in another model (methods, section 7).

Over halves of the pictures see ``concepts.half_splits``, over two sets ``concepts.agreement``.
Units of two models do not correspond. So they are matched first: each unit of the one with the
unit of the other whose responses to the same pictures correlate most. Whoever matches and compares
on the same pictures finds agreement everywhere; here one half matches and the other compares.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy import sparse

from steerboard.analysis.concept_map import alike, of_experts
from steerboard.analysis.concepts import agreement
from steerboard.analysis.expertise import Expertise, Labels, check_labels, expertise
from steerboard.spec.errors import InvalidRequest

Floats = npt.NDArray[np.float64]
AT_ONCE = 512  # units whose correlations with all others are held


def over_models(
    one: sparse.csc_array, other: sparse.csc_array, labels: Labels, splits: int = 4, seed: int = 0
) -> Floats:
    """Agreement of AP profiles of two models through matched units ``[splits]``.

    Each split's figure is the mean of both ways: units of the one with their partners in the other,
    and the reverse.

    Args:
        one: Responses ``[n, f]`` of a model.
        other: Responses ``[n, g]`` of another model to the same pictures.
        labels: Whether each picture shows the concept ``[n]``.
        splits: How many.
        seed: Of the halves.

    Raises:
        InvalidRequest: Other pictures, or fewer than two of a kind.
    """
    check_labels(one.shape[0], labels)
    check_pictures(one, other)
    if min(labels.sum(), (~labels).sum()) < 2:
        raise InvalidRequest("halves need two positive and two negative pictures at least")
    rng, rows, out = np.random.default_rng(seed), (one.tocsr(), other.tocsr()), []
    for _ in range(splits):
        half = np.zeros(len(labels), bool)
        for kind in (labels, ~labels):
            members = rng.permutation(np.flatnonzero(kind))
            half[members[: len(members) // 2]] = True
        known = [r[half].tocsc() for r in rows]
        told = [expertise(r[~half].tocsc(), labels[~half]) for r in rows]
        ways = [(0, 1), (1, 0)]
        out.append(np.mean([through(told[a], told[b], partners(known[a], known[b]))
                            for a, b in ways]))  # fmt: skip
    return np.array(out)


def through(one: Expertise, other: Expertise, matched: npt.NDArray[np.int64]) -> float:
    """Correlation of AP profiles, a unit ``f`` of the one beside ``matched [f]`` of the other."""
    there = matched >= 0
    pair = [
        Expertise(e.precision[at], e.auroc[at], e.prevalence)
        for e, at in ((one, np.flatnonzero(there)), (other, matched[there]))
    ]
    return agreement(*pair)


def partners(one: sparse.csc_array, other: sparse.csc_array) -> npt.NDArray[np.int64]:
    """For each unit ``[f]`` the unit of the other that goes with it best; -1 for one without any.

    Raises:
        InvalidRequest: Responses to other pictures.
    """
    check_pictures(one, other)
    candidates = standard(other)
    out = np.full(one.shape[1], -1, np.int64)
    for start in range(0, one.shape[1], AT_ONCE):
        near = standard(one[:, start : start + AT_ONCE]).T @ candidates
        best = near.argmax(1)
        found = near[np.arange(len(near)), best] > 0
        out[start : start + len(near)] = np.where(found, best, -1)
    return out


def standard(responses: sparse.csc_array) -> npt.NDArray[np.float32]:
    """Columns of mean 0 and length 1 ``[n, f]``; those that never change are 0."""
    dense = responses.toarray().astype(np.float64)
    dense -= dense.mean(0)
    length = np.linalg.norm(dense, axis=0)
    moved = length > 1e-9 * max(1.0, float(np.abs(length).max(initial=0.0)))
    found: npt.NDArray[np.float32] = np.where(moved, dense / np.where(moved, length, 1), 0)
    return found.astype(np.float32)


def of_maps(names: Sequence[str], one: Sequence[Expertise], other: Sequence[Expertise]) -> float:
    """Whether the same concepts lie near each other: Spearman's rho of two concept maps.

    Needs no partners, and three concepts at least.
    """
    maps = [of_experts(names, found).similarity for found in (one, other)]
    return alike(*maps)


def check_pictures(one: sparse.csc_array, other: sparse.csc_array) -> None:
    """Both models have seen the same pictures."""
    if one.shape[0] != other.shape[0]:
        raise InvalidRequest(
            f"{one.shape[0]} and {other.shape[0]} pictures cannot be compared: show both models"
            " the same ones, in the same order"
        )
