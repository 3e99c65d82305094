"""Each statistic against a second route: statsmodels, SciPy, or the definition inverted by hand."""

from itertools import product

import numpy as np
import pytest
from scipy.optimize import minimize_scalar
from scipy.stats import binom, mannwhitneyu, multinomial
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.proportion import confint_proportions_2indep, proportion_confint

from steerboard.analysis.evidence.effects import mean_share, share
from steerboard.analysis.evidence.statistics import (
    _resampled,
    auroc,
    cluster_bootstrap,
    expanded_tail,
    mcnemar_exact,
    newcombe,
    tango,
    tango_score,
)
from steerboard.analysis.intervals import Z95, clopper_pearson, wilson

TABLES = np.random.default_rng(0).integers(0, 30, (60, 4)).tolist()


@pytest.mark.parametrize(("method", "own"), [("wilson", wilson), ("beta", clopper_pearson)])
def test_intervals_of_rates_are_those_of_statsmodels(method: str, own) -> None:
    for hits, more, *_ in TABLES:
        expected = proportion_confint(hits, hits + more + 1, method=method)
        np.testing.assert_allclose(own(hits, hits + more + 1), expected, atol=1e-10)


def test_mcnemar_is_that_of_statsmodels() -> None:
    for both, fixes, breaks, neither in TABLES:
        table = [[both, breaks], [fixes, neither]]
        assert mcnemar_exact(fixes, breaks) == pytest.approx(mcnemar(table, exact=True).pvalue)
    assert mcnemar_exact(0, 0) == 1.0


def test_newcombe_without_association_is_the_interval_of_two_samples() -> None:
    # both * neither = fixes * breaks: phi is 0, and method 10 becomes Newcombe's for two samples.
    for a, b, c in ((2, 3, 4), (1, 5, 2), (6, 1, 1), (3, 3, 3)):
        both, fixes, breaks, neither = a * b, a * c, b * b, b * c
        n = both + fixes + breaks + neither
        expected = confint_proportions_2indep(
            both + fixes, n, both + breaks, n, method="newcomb", compare="diff"
        )
        np.testing.assert_allclose(newcombe(both, fixes, breaks, neither), expected, atol=1e-9)


def test_newcombe_gives_what_his_paper_prints() -> None:
    np.testing.assert_allclose(newcombe(36, 12, 2, 0), (0.0569, 0.3404), atol=5e-5)


def test_newcombes_positive_association_is_corrected_for_continuity() -> None:
    """Written out for one table: phi is (40 x 24 - 12 x 4 - 80 / 2) over the root of margins."""
    phi = (960 - 48 - 40) / np.sqrt(52 * 28 * 44 * 36)
    (low_a, high_a), (low_b, high_b) = (
        proportion_confint(k, 80, method="wilson") for k in (52, 44)
    )
    a, b = 52 / 80, 44 / 80
    down = np.sqrt((a - low_a) ** 2 - 2 * phi * (a - low_a) * (high_b - b) + (high_b - b) ** 2)
    up = np.sqrt((high_a - a) ** 2 - 2 * phi * (high_a - a) * (b - low_b) + (b - low_b) ** 2)
    np.testing.assert_allclose(newcombe(40, 12, 4, 24), (a - b - down, a - b + up), atol=1e-6)


def test_tangos_score_is_that_of_the_most_likely_table_with_this_difference() -> None:
    for _, fixes, breaks, neither in TABLES[:20]:
        n = fixes + breaks + neither + 1
        for delta in (-0.3, 0.05, 0.2):
            q = likely_breaks(fixes, breaks, n, delta)
            variance = n * (2 * q + delta * (1 - delta))
            expected = (fixes - breaks - n * delta) / np.sqrt(variance)
            assert tango_score(fixes, breaks, n, delta) == pytest.approx(expected, rel=1e-3)


def likely_breaks(fixes: int, breaks: int, n: int, delta: float) -> float:
    """Share of breaks of the most likely table, found by searching."""

    def unlikely(q: float) -> float:
        shares = np.array([q + delta, q, 1 - 2 * q - delta])
        return -(np.array([fixes, breaks, n - fixes - breaks]) * np.log(shares)).sum()

    low = max(0.0, -delta) + 1e-12
    return minimize_scalar(
        unlikely, bounds=(low, (1 - delta) / 2 - 1e-12), options={"xatol": 1e-10}
    ).x


def test_tangos_ends_are_where_its_test_turns() -> None:
    for _, fixes, breaks, neither in TABLES:
        n = fixes + breaks + neither + 1
        low, high = tango(fixes, breaks, n)
        assert low <= (fixes - breaks) / n <= high
        assert abs(tango_score(fixes, breaks, n, low) - Z95) < 1e-6
        assert abs(tango_score(fixes, breaks, n, high) + Z95) < 1e-6


def test_intervals_of_rates_cover_what_they_claim() -> None:
    """Exact coverage over all outcomes, for many true rates."""
    n, rates = 40, np.linspace(0.01, 0.99, 99)
    weight = binom.pmf(np.arange(n + 1)[:, None], n, rates)
    exact, score = (
        covered([own(k, n) for k in range(n + 1)], weight, rates)
        for own in (clopper_pearson, wilson)
    )
    assert exact.min() >= 0.95
    assert score.mean() >= 0.95  # Wilson's covers on average, not for each rate


def test_paired_intervals_cover_what_they_claim() -> None:
    n, shares = 30, [(f, b) for f in (0.02, 0.1, 0.3, 0.5) for b in (0.02, 0.1, 0.3)]
    cells = [(f, b) for f in range(n + 1) for b in range(n + 1 - f)]
    score = [tango(f, b, n) for f, b in cells]
    found = []
    for f, b in shares:
        weight = multinomial.pmf([(x, y, n - x - y) for x, y in cells], n, (f, b, 1 - f - b))
        found.append(covered(score, weight[:, None], np.array([f - b])))
    assert np.mean(found) >= 0.95 and np.min(found) > 0.93


def test_newcombes_interval_covers_what_it_claims() -> None:
    rng, n, hits = np.random.default_rng(1), 60, []
    for shares in ((0.7, 0.15, 0.05, 0.1), (0.5, 0.3, 0.02, 0.18), (0.3, 0.05, 0.05, 0.6)):
        for table in rng.multinomial(n, shares, 1500).tolist():
            low, high = newcombe(*table)
            hits.append(low <= shares[1] - shares[2] <= high)
    assert np.mean(hits) >= 0.95 - 2 * np.sqrt(0.95 * 0.05 / len(hits))


def covered(intervals, weight, truth):
    """Chance that the interval holds the truth ``[r]``; ``weight [outcome, r]``."""
    low, high = np.array(intervals).T
    return (weight * ((low[:, None] <= truth) & (truth <= high[:, None]))).sum(0)


def test_the_bootstrap_of_clusters_covers_where_pictures_would_not() -> None:
    rng, scenes, each, hits, naive = np.random.default_rng(2), 25, 4, 0, 0
    trials = 600
    for trial in range(trials):
        values = np.repeat(rng.normal(size=scenes), each) + 0.2 * rng.normal(size=scenes * each)
        clusters = np.repeat(np.arange(scenes), each).tolist()
        low, high = cluster_bootstrap(values, clusters, resamples=500, seed=trial)
        hits += low <= 0 <= high
        low, high = cluster_bootstrap(values, range(len(values)), resamples=500, seed=trial)
        naive += low <= 0 <= high
    assert hits / trials >= 0.95 - 2 * np.sqrt(0.95 * 0.05 / trials)
    assert naive / trials < 0.8


def test_the_interval_of_a_mean_over_draws_covers_however_alike_the_draws_are() -> None:
    rng, pictures, draws, trials = np.random.default_rng(4), 40, 10, 600
    for alike in (0.05, 1.0, 50.0):  # from all draws of a picture equal to all independent
        hits = 0
        for _ in range(trials):
            own = rng.beta(0.1 * alike, 0.9 * alike, pictures)
            found = mean_share((rng.random((pictures, draws)) < own[:, None]).tolist())
            assert found.n == pictures * draws and found.low <= found.value <= found.high
            hits += found.low <= 0.1 <= found.high
        assert hits / trials >= 0.95 - 2 * np.sqrt(0.95 * 0.05 / trials)


def test_a_mean_over_single_draws_is_the_plain_rate() -> None:
    assert mean_share([[True], [False], [True]]) == share(2, 3)
    assert mean_share([]) == share(0, 0)


def test_drawing_kinds_is_drawing_clusters() -> None:
    sums, counts = np.array([1.0, 1.0, 0.0, -1.0]), np.array([1.0, 1.0, 2.0, 2.0])
    every = np.array(list(product(range(4), repeat=4)))  # all draws, equally likely
    exact = sums[every].sum(1) / counts[every].sum(1)
    found = _resampled(sums, counts, 40_000, np.random.default_rng(0))
    for value, times in zip(*np.unique(exact, return_counts=True), strict=True):
        chance = times / len(exact)
        seen = np.isclose(found, value).mean()
        assert abs(seen - chance) < 5 * np.sqrt(chance * (1 - chance) / len(found))


def test_few_clusters_widen_the_interval_and_one_says_nothing() -> None:
    assert expanded_tail(5, 0.95) < expanded_tail(500, 0.95) < 0.025
    assert cluster_bootstrap([1.0, 2.0], ["a", "a"]) == (-np.inf, np.inf)


def test_auroc_is_that_of_scipy() -> None:
    rng = np.random.default_rng(3)
    scores, positive = rng.integers(0, 9, 80), rng.random(80) < 0.3
    expected = mannwhitneyu(scores[positive], scores[~positive]).statistic
    assert auroc(scores, positive) == pytest.approx(expected / (positive.sum() * (~positive).sum()))
    assert np.isnan(auroc([1.0], [True]))
