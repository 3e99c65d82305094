"""Agreement over two models: with itself, with a permuted copy, and with one that knows nothing."""

import numpy as np
import pytest
from scipy import sparse

from steerboard.analysis.concepts import agreement
from steerboard.analysis.expertise import expertise
from steerboard.analysis.stability import of_maps, over_models, partners
from steerboard.spec.errors import InvalidRequest

NAMES = ("one", "two", "three", "four", "five", "six")


def world(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Signed responses ``[n, f]`` of units that know six concepts more or less, and labels."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, len(NAMES), 360)
    skill = rng.normal(size=(len(NAMES), 80)) * (rng.random((len(NAMES), 80)) < 0.4) * 2
    return rng.normal(size=(360, 80)) + skill[labels], labels


def unrelated() -> np.ndarray:
    return np.random.default_rng(99).normal(size=(360, 90))


def csc(dense: np.ndarray) -> sparse.csc_array:
    return sparse.csc_array(dense)


def permuted(dense: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The same units in another order, each louder or quieter; and where each has gone."""
    rng = np.random.default_rng(7)
    order = rng.permutation(dense.shape[1])
    return dense[:, order] * rng.uniform(0.2, 5, dense.shape[1]), np.argsort(order)


def test_a_model_agrees_with_itself_and_with_a_permuted_copy() -> None:
    dense, labels = world()
    copy, gone = permuted(dense)
    assert partners(csc(dense), csc(copy)).tolist() == gone.tolist()
    for other in (dense, copy):
        np.testing.assert_allclose(over_models(csc(dense), csc(other), labels == 0), 1, atol=1e-9)
    shows = labels == 0
    plain = agreement(expertise(csc(dense), shows), expertise(csc(copy), shows))
    assert plain < 0.5  # without matching, a copy looks like a stranger


def test_a_model_that_knows_nothing_does_not_agree() -> None:
    dense, labels = world()
    found = [over_models(csc(dense), csc(unrelated()), labels == c).mean() for c in range(6)]
    assert abs(np.mean(found)) < 0.1 and max(map(abs, found)) < 0.3


def test_one_that_knows_some_lies_between() -> None:
    dense, labels = world()
    some = np.concatenate([dense[:, :40], unrelated()[:, :40]], axis=1)
    found = over_models(csc(dense), csc(some), labels == 0).mean()
    assert 0.3 < found < 0.95


def test_maps_agree_whatever_the_order_of_units() -> None:
    dense, labels = world()
    skills = [
        [expertise(csc(d), labels == c) for c in range(6)]
        for d in (dense, permuted(dense)[0], unrelated())
    ]
    assert of_maps(NAMES, skills[0], skills[1]) == pytest.approx(1)
    assert of_maps(NAMES, skills[0], skills[2]) < 0.7


def test_silent_units_have_no_partner() -> None:
    dense, labels = world()
    dense[:, 3], dense[:, 5] = 0, 2
    assert np.flatnonzero(partners(csc(dense), csc(dense)) < 0).tolist() == [3, 5]
    np.testing.assert_allclose(over_models(csc(dense), csc(dense), labels == 1), 1, atol=1e-9)


def test_other_pictures_are_refused() -> None:
    dense, labels = world()
    with pytest.raises(InvalidRequest, match="the same ones, in the same order"):
        over_models(csc(dense), csc(dense[:-1]), labels == 0)
    with pytest.raises(InvalidRequest, match="two positive"):
        over_models(csc(dense), csc(dense), np.arange(len(labels)) == 0)
