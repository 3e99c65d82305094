"""Intervals for rates."""

from dataclasses import dataclass
from math import sqrt

Z95 = 1.959963984540054


@dataclass(frozen=True)
class Rate:
    """``hits`` of ``n`` with the 95 % interval of Wilson (1927)."""

    hits: int
    n: int

    @property
    def value(self) -> float:
        """hits / n; 0 where there is nothing to count."""
        return self.hits / self.n if self.n else 0.0

    @property
    def interval(self) -> tuple[float, float]:
        """Lower and upper end; (0, 1) where there is nothing to count."""
        if not self.n:
            return 0.0, 1.0
        p, z2 = self.value, Z95**2
        centre = (p + z2 / (2 * self.n)) / (1 + z2 / self.n)
        half = Z95 * sqrt(p * (1 - p) / self.n + z2 / (4 * self.n**2)) / (1 + z2 / self.n)
        return max(0.0, centre - half), min(1.0, centre + half)

    def __str__(self) -> str:
        low, high = self.interval
        return f"{100 * self.value:.0f} % [{100 * low:.0f}, {100 * high:.0f}] of {self.n}"
