"""Intervals for rates: Wilson (1927) and Clopper and Pearson (1934)."""

from dataclasses import dataclass
from math import sqrt

from scipy.stats import beta

Z95 = 1.959963984540054


@dataclass(frozen=True)
class Rate:
    """``hits`` of ``n`` with the 95 % interval of Wilson (1927)."""

    hits: int
    n: int

    @property
    def value(self) -> float:
        """The share hits / n; 0 where there is nothing to count."""
        return self.hits / self.n if self.n else 0.0

    @property
    def interval(self) -> tuple[float, float]:
        """Lower and upper end; (0, 1) where there is nothing to count."""
        return wilson(self.hits, self.n)

    def __str__(self) -> str:
        low, high = self.interval
        return f"{100 * self.value:.0f} % [{100 * low:.0f}, {100 * high:.0f}] of {self.n}"


def wilson(hits: int, n: int, z: float = Z95) -> tuple[float, float]:
    """The score interval of a rate; (0, 1) where there is nothing to count."""
    if not n:
        return 0.0, 1.0
    p, z2 = hits / n, z * z
    centre = (p + z2 / (2 * n)) / (1 + z2 / n)
    half = z * sqrt(p * (1 - p) / n + z2 / (4 * n * n)) / (1 + z2 / n)
    return max(0.0, centre - half), min(1.0, centre + half)


def clopper_pearson(hits: float, n: int, level: float = 0.95) -> tuple[float, float]:
    """The exact interval of a rate: it covers at least ``level``; (0, 1) for n = 0.

    ``hits`` may be a sum of rates, each of one of the ``n``.
    """
    tail = (1 - level) / 2
    low = float(beta.ppf(tail, hits, n - hits + 1)) if hits else 0.0
    high = float(beta.ppf(1 - tail, hits + 1, n - hits)) if hits < n else 1.0
    return low, high
