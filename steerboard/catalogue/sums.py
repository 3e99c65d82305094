"""Counts and sums of responses that come out the same in any order.

A sum of floats depends on its order. Here each response is split into its whole part and the rest
in units of 2^-40, both integers: their sums are exact, whatever is added to what first. What that
rounds off a response is at most 2^-41, and nothing of one above 2^-17.
"""

from dataclasses import dataclass

import numpy as np

from steerboard.catalogue.records import Array

UNIT = 40  # bits behind the point
BINS = 64
LOWEST = -16  # exponent of the first bin's lower edge


@dataclass
class Sums:
    """Of each of ``f`` features, over pictures.

    Attributes:
        fired: ``[f]`` pictures on which it fires.
        whole, parts: ``[f]`` the sum of responses, see above.
        maximum: ``[f]`` the largest response.
        histogram: ``[f, BINS]`` pictures by response.
    """

    fired: Array
    whole: Array
    parts: Array
    maximum: Array
    histogram: Array

    @classmethod
    def empty(cls, size: int) -> "Sums":
        """Of nothing, for ``size`` features."""
        fired, whole, parts = np.zeros((3, size), np.int64)
        histogram = np.zeros((size, BINS), np.int64)
        return cls(fired, whole, parts, np.zeros(size, np.float32), histogram)

    def add(self, features: Array, peaks: Array) -> None:
        """Take in responses ``peaks [n]`` of ``features [n]``."""
        np.add.at(self.fired, features, 1)
        whole = np.floor(peaks.astype(np.float64))
        np.add.at(self.whole, features, whole.astype(np.int64))
        rest = np.rint(np.ldexp(peaks - whole, UNIT)).astype(np.int64)
        np.add.at(self.parts, features, rest)
        np.maximum.at(self.maximum, features, peaks)
        np.add.at(self.histogram, (features, bins(peaks)), 1)
        self._carry()

    def merge(self, other: "Sums") -> None:
        """Take in the sums over other pictures."""
        for name in ("fired", "whole", "parts", "histogram"):
            getattr(self, name)[...] += getattr(other, name)
        np.maximum(self.maximum, other.maximum, out=self.maximum)
        self._carry()

    def mean(self) -> Array:
        """``[f]`` the mean response over the pictures on which a feature fires; float64."""
        total = self.whole + np.ldexp(self.parts.astype(np.float64), -UNIT)
        mean: Array = total / np.maximum(self.fired, 1)
        return mean

    def _carry(self) -> None:
        self.whole += self.parts >> UNIT
        self.parts &= (1 << UNIT) - 1


def bins(peaks: Array) -> Array:
    """``[n]`` the bin of each response: two an octave, from 2^-16 on.

    The ends take what lies beyond. Read off the bits of a float32, so that an edge falls on the
    same side everywhere.
    """
    bits = peaks.astype(np.float32).view(np.int32).astype(np.int64) >> 22
    found: Array = np.clip(bits - 2 * (127 + LOWEST), 0, BINS - 1)
    return found


def edges() -> Array:
    """``[BINS + 1]`` edges of the bins: 2^k and 1.5 x 2^k."""
    k = np.arange(BINS + 1)
    found: Array = np.ldexp(1 + (k % 2) / 2, LOWEST + k // 2)
    return found
