"""Tests and intervals for a change measured on the same pictures before and after.

Every picture is right or wrong before and after: ``both`` right, ``fixes`` (wrong, then right),
``breaks`` (right, then wrong), ``neither``. The difference is (fixes - breaks) / n. Intervals of
single rates are in ``steerboard.analysis.intervals``.
"""

from collections.abc import Callable, Sequence
from math import sqrt

import numpy as np
import numpy.typing as npt
from scipy.optimize import brentq
from scipy.stats import binomtest, norm, rankdata, t

from steerboard.analysis.intervals import Z95, wilson

Floats = npt.NDArray[np.float64]
RESAMPLES = 2000
NUMBERS = 1_000_000  # held at once while resampling


def mcnemar_exact(fixes: int, breaks: int) -> float:
    """Two-sided p of "a change is as likely to fix as to break"; 1 where nothing changed.

    McNemar (1947) in its exact form: binomial with one half over the pictures that changed.
    """
    changed = fixes + breaks
    return float(binomtest(fixes, changed, 0.5).pvalue) if changed else 1.0


def newcombe(
    both: int, fixes: int, breaks: int, neither: int, z: float = Z95
) -> tuple[float, float]:
    """Interval of the paired difference by squaring and adding two Wilson intervals.

    Newcombe (1998), Statistics in Medicine 17, 2635, method 10; (-1, 1) for no pictures.
    """
    n = both + fixes + breaks + neither
    if not n:
        return -1.0, 1.0
    after, before = (both + fixes) / n, (both + breaks) / n
    low_a, high_a = wilson(both + fixes, n, z)
    low_b, high_b = wilson(both + breaks, n, z)
    phi = _association(both, fixes, breaks, neither)
    down = _hypotenuse(after - low_a, high_b - before, phi)
    up = _hypotenuse(high_a - after, before - low_b, phi)
    return max(-1.0, after - before - down), min(1.0, after - before + up)


def _association(both: int, fixes: int, breaks: int, neither: int) -> float:
    """Phi of the two by two table, its positive values corrected for continuity."""
    n = both + fixes + breaks + neither
    cross = float(both * neither - fixes * breaks)
    if cross > 0:
        cross = max(cross - n / 2, 0.0)
    margins = (both + fixes) * (breaks + neither) * (both + breaks) * (fixes + neither)
    return cross / sqrt(margins) if margins else 0.0


def _hypotenuse(a: float, b: float, phi: float) -> float:
    return sqrt(max(0.0, a * a - 2 * phi * a * b + b * b))


def tango_score(fixes: int, breaks: int, n: int, delta: float) -> float:
    """Standardised distance of the observed difference from ``delta`` in (-1, 1).

    Tango (1998), Statistics in Medicine 17, 891: the variance is taken at the most likely table
    whose difference is ``delta``.
    """
    b = -fixes - breaks + (2 * n - fixes + breaks) * delta
    c = -breaks * delta * (1 - delta)
    q = (sqrt(max(0.0, b * b - 8 * n * c)) - b) / (4 * n)
    variance = n * (2 * q + delta * (1 - delta))
    off = fixes - breaks - n * delta
    if variance <= 0:
        return 0.0 if off == 0 else float(np.sign(off)) * np.inf
    return float(off / sqrt(variance))


def tango(fixes: int, breaks: int, n: int, z: float = Z95) -> tuple[float, float]:
    """All differences that the score test of Tango (1998) does not reject; (-1, 1) for n = 0."""
    if not n:
        return -1.0, 1.0
    seen, edge = (fixes - breaks) / n, 1 - 1e-9
    low = _crossing(lambda d: tango_score(fixes, breaks, n, d) - z, -edge, min(seen, edge))
    high = _crossing(lambda d: tango_score(fixes, breaks, n, d) + z, max(seen, -edge), edge)
    return (-1.0 if low is None else low), (1.0 if high is None else high)


def _crossing(score: Callable[[float], float], low: float, high: float) -> float | None:
    """Where a falling score meets zero, or None where it keeps its sign."""
    ends = (np.clip(score(low), -1e9, 1e9), np.clip(score(high), -1e9, 1e9))
    if low >= high or ends[0] * ends[1] > 0:
        return None
    return float(brentq(lambda d: np.clip(score(d), -1e9, 1e9), low, high, xtol=1e-12))


def cluster_bootstrap(
    values: npt.ArrayLike,
    clusters: Sequence[object],
    level: float = 0.95,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> tuple[float, float]:
    """Interval of the mean of ``values [n]``, whole clusters drawn with replacement.

    Pictures of one scene are not independent, scenes are. The percentiles are widened for few
    clusters as Hesterberg (2015), The American Statistician 69, 371, proposes. One cluster gives
    (-inf, inf): nothing is known of how scenes differ.
    """
    sums, counts = _by_cluster(np.asarray(values, np.float64), clusters)
    if len(sums) < 2:
        return -np.inf, np.inf
    means = _resampled(sums, counts, resamples, np.random.default_rng(seed))
    tail = expanded_tail(len(sums), level)
    low, high = np.quantile(means, [tail, 1 - tail])
    return float(low), float(high)


def _resampled(sums: Floats, counts: Floats, resamples: int, rng: np.random.Generator) -> Floats:
    """Means ``[r]``, each of as many clusters as there are, drawn with replacement.

    Clusters of the same sum and count are one kind, and how often each kind is drawn is
    multinomial: the same distribution as drawing clusters, of which there may be thousands while
    fixes and breaks make few kinds.
    """
    kinds, times = np.unique(np.stack([sums, counts], axis=1), axis=0, return_counts=True)
    size = max(1, NUMBERS // len(kinds))  # resamples at a time: large sets fit in memory too
    parts = [min(size, resamples - done) for done in range(0, resamples, size)]
    drawn = [rng.multinomial(len(sums), times / len(sums), part) @ kinds for part in parts]
    total = np.concatenate(drawn)
    found: Floats = total[:, 0] / total[:, 1]
    return found


def expanded_tail(clusters: int, level: float) -> float:
    """The share cut off on each side, such that the width is that of Student's interval."""
    reach = sqrt(clusters / (clusters - 1)) * t.ppf((1 - level) / 2, clusters - 1)
    return float(norm.cdf(reach))


def _by_cluster(values: Floats, clusters: Sequence[object]) -> tuple[Floats, Floats]:
    """Sum and count of each cluster ``[k]``."""
    number: dict[object, int] = {}
    which = np.array([number.setdefault(c, len(number)) for c in clusters], np.int64)
    sums: Floats = np.bincount(which, values, len(number)).astype(np.float64)
    counts: Floats = np.bincount(which, minlength=len(number)).astype(np.float64)
    return sums, counts


def auroc(scores: npt.ArrayLike, positive: npt.ArrayLike) -> float:
    """Chance that a positive scores above a negative, ties half (Mann and Whitney, 1947).

    NaN where one of the two kinds is missing.
    """
    truth = np.asarray(positive, bool)
    hits, misses = int(truth.sum()), int((~truth).sum())
    if not hits or not misses:
        return float("nan")
    ranks = rankdata(np.asarray(scores, np.float64))
    return float((ranks[truth].sum() - hits * (hits + 1) / 2) / (hits * misses))
