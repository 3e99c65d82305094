import pytest
from scipy.stats import binomtest

from steerboard.analysis.intervals import Rate, clopper_pearson, wilson


@pytest.mark.parametrize(("hits", "n"), [(0, 10), (3, 10), (10, 10), (170, 200)])
def test_intervals_agree_with_scipy(hits: int, n: int) -> None:
    test = binomtest(hits, n)
    assert wilson(hits, n) == pytest.approx(tuple(test.proportion_ci(method="wilson")), abs=1e-9)
    assert clopper_pearson(hits, n) == pytest.approx(
        tuple(test.proportion_ci(method="exact")), abs=1e-9
    )


def test_nothing_to_count_says_nothing() -> None:
    assert Rate(0, 0).interval == clopper_pearson(0, 0) == (0.0, 1.0)
