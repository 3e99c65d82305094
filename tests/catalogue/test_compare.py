"""Matching features: against plain correlations, and against an answer that is known."""

import numpy as np
import pytest
from scipy import sparse

from steerboard.catalogue.compare import Responses, compare
from steerboard.spec.catalogue import TOGETHER
from steerboard.spec.errors import InvalidRequest


def some(pictures: int, features: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    values = rng.lognormal(size=(pictures, features)) * (rng.random((pictures, features)) < 0.3)
    values[:, 3] = 0  # one that never fires
    values[:, 4] = 1  # one that never changes
    return values.astype(np.float32)


def responses(values: np.ndarray, skip: int = 0) -> Responses:
    names = [f"{i:064x}" for i in range(skip, skip + len(values))]
    return Responses(names, sparse.csr_array(values))


def test_a_dictionary_with_its_features_shuffled_is_matched_feature_by_feature() -> None:
    values = some(200, 30, 0)
    order = np.random.default_rng(1).permutation(30)
    found = compare(responses(values), responses(2.5 * values[:, order]))
    changing = [f for f in range(30) if f not in (3, 4)]
    for f, partner, r, mutual in zip(
        found.first.features,
        found.first.partners,
        found.first.correlations,
        found.first.mutual,
        strict=True,
    ):
        if f in changing:
            assert order[partner] == f and mutual and r == pytest.approx(1, abs=1e-6)
    assert found.first.alone(0.99).tolist() == [4]


def test_correlations_are_those_of_numpy_over_the_shared_pictures() -> None:
    a, b = some(150, 20, 2), some(150, 25, 3)
    b[:, 7] = a[:, 5] + 0.1 * b[:, 7]
    found = compare(responses(a), responses(b[30:], skip=30))
    assert found.pictures == 120
    with np.errstate(invalid="ignore", divide="ignore"):
        full = np.corrcoef(a[30:].T, b[30:].T)[:20, 20:]
    best = np.nanmax(np.where(np.isnan(full), -2, full), axis=1)
    for f, partner, r in zip(
        found.first.features, found.first.partners, found.first.correlations, strict=True
    ):
        if f != 4:
            assert r == pytest.approx(best[f], abs=1e-6)
            assert r == pytest.approx(full[f, partner], abs=1e-6)
    assert 3 not in found.first.features
    row = found.first.features.tolist().index(5)
    assert found.first.partners[row] == 7 and found.first.mutual[row]
    assert 5 not in found.first.alone(0.9) and len(found.first.alone(0.9)) >= 15


def test_features_that_meet_on_few_pictures_are_no_pair() -> None:
    """Twenty features that fire once, all on one picture, would all correlate perfectly."""
    a, b = np.zeros((60, 23), np.float32), np.zeros((60, 23), np.float32)
    a[7, :20] = b[7, :20] = 1
    rng = np.random.default_rng(4)
    for feature, times in ((20, TOGETHER - 1), (21, TOGETHER), (22, 30)):
        fires = rng.choice(60, times, replace=False)
        a[fires, feature] = rng.lognormal(size=times)
        b[fires, feature] = a[fires, feature]
    found = compare(responses(a), responses(b)).first
    assert found.alone(0.5).tolist() == list(range(21))
    assert np.isnan(found.correlations[:21]).all() and not found.mutual[:21].any()
    assert found.partners[21:].tolist() == [21, 22] and found.mutual[21:].all()
    assert found.together is not None and found.together[21:].tolist() == [TOGETHER, 30]
    assert found.seldom == 21


def test_the_count_beside_a_pair_is_that_of_pictures_on_which_both_fire() -> None:
    a, b = some(80, 12, 5), some(80, 12, 6)
    a[:, 6], b[:, 6] = 0, 0
    a[:6, 6] = b[:6, 6] = np.arange(1, 7)  # once alike on six pictures
    a[:, 7], b[:, 7] = 0, 0
    a[:4, 7] = b[:4, 7] = np.arange(1, 5)  # and once on four
    found = compare(responses(a), responses(b)).first
    at = {f: i for i, f in enumerate(found.features.tolist())}
    assert found.partners[at[6]] == 6 and found.correlations[at[6]] == pytest.approx(1)
    fires = (a != 0).T.astype(int) @ (b != 0).astype(int)
    for f, i in at.items():
        if np.isfinite(found.correlations[i]):
            assert found.together is not None and found.together[i] == fires[f, found.partners[i]]
            assert found.together[i] >= TOGETHER
    assert np.isnan(found.correlations[at[7]])


def test_catalogues_over_other_pictures_cannot_be_compared() -> None:
    with pytest.raises(InvalidRequest, match="share 10 pictures, and 20 are needed"):
        compare(responses(some(40, 6, 0)), responses(some(40, 6, 0), skip=30))
