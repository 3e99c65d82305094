"""What is foretold of ripple, counted one by one; and whether it is of any use."""

import numpy as np
import pytest
from scipy.stats import pearsonr, rankdata

from steerboard.analysis.evidence.downstream import Activity, coactivation, cosine, forecast
from steerboard.spec.edits import SteerSet, scale


@pytest.fixture
def own() -> Activity:
    """Twelve pictures, nine features, seldom active."""
    rng = np.random.default_rng(0)
    before = np.maximum(0, rng.normal(size=(12, 9)))
    return Activity(before, np.maximum(0, before + rng.normal(size=(12, 9))))


def test_coactivation_is_how_often_a_feature_fires_beside_the_edited_ones(own: Activity) -> None:
    found = coactivation(own, {"middle": own}, scale("resid_post.1", "middle", -1.0, 2, 5))
    for g in range(9):
        wanted = 0.0
        for f in (2, 5):
            fires = [n for n in range(12) if own.before[n, f] != 0]
            moved = np.mean([abs(own.after[n, f] - own.before[n, f]) for n in range(12)])
            wanted += moved * np.mean([own.before[n, g] != 0 for n in fires])
        assert found[g] == pytest.approx(wanted)


def test_cosine_is_of_decoder_rows_and_none_without_them(own: Activity) -> None:
    rows, steer = (
        np.random.default_rng(1).normal(size=(9, 4)),
        scale("resid_post.1", "middle", -1.0, 2),
    )
    found = cosine("middle", {"middle": own}, steer, {"middle": rows})
    assert found is not None
    moved = np.abs(own.after - own.before)[:, 2].mean()
    for g in range(9):
        near = rows[g] @ rows[2] / np.sqrt((rows[g] @ rows[g]) * (rows[2] @ rows[2]))
        assert found[g] == pytest.approx(moved * abs(near))
    assert cosine("middle", {"middle": own}, steer, {}) is None
    assert cosine("last", {"middle": own}, SteerSet(), {"last": rows}) is None


@pytest.mark.parametrize(("noise", "informative"), [(0.3, True), (30.0, False)])
def test_a_forecast_is_informative_where_its_ranks_are_those_that_came(
    noise: float, informative: bool
) -> None:
    rng = np.random.default_rng(2)
    guess = rng.random(200)
    moved = guess + noise * rng.random(200)
    found = forecast("coactivation", guess, moved)
    assert found.spearman == pytest.approx(pearsonr(rankdata(guess), rankdata(moved)).statistic)
    assert found.informative is informative and found.features == 200
    assert (found.spearman >= 0.5) is informative


def test_a_forecast_of_what_does_not_vary_says_nothing() -> None:
    assert forecast("cosine", np.ones(5), np.arange(5.0)).spearman == 0
    assert not forecast("cosine", np.ones(5), np.arange(5.0)).informative
