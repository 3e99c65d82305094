"""Deletion and insertion: the target as a ranking's units go, or come back, one after the other.

Deletion begins at the whole code and switches off the 1, 2, ... first units of the ranking;
insertion begins with every unit off and puts them back. Both with the error term kept and with it
dropped: they answer different questions (methods, section 4). Areas are means over the curve of
the change from where it begins, in units of the target: for a positive ranking a good deletion
lies far below 0, a good insertion far above.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from steerboard.analysis.measuring import Measure
from steerboard.spec.edits import SteerSet

Floats = npt.NDArray[np.float64]
STEPS = (1, 2, 3, 5, 8, 12, 16, 20)


@dataclass(frozen=True)
class Curves:
    """Changes of the target ``[steps]`` from where each curve begins, after ``steps`` units."""

    steps: tuple[int, ...]
    deletion: Floats
    insertion: Floats
    deletion_dropped: Floats
    insertion_dropped: Floats

    def area(self, name: str) -> float:
        """Mean height over 0 to the last step, straight lines between."""
        heights = np.concatenate([[0.0], getattr(self, name)])
        return float(np.trapezoid(heights, (0, *self.steps)) / self.steps[-1])


def curves(asked: Measure, ranking: Sequence[int], steps: Sequence[int] = STEPS) -> Curves:
    """All four curves of one ranking, in one go; steps beyond its end are left out."""
    taken = tuple(k for k in steps if k <= len(ranking)) or (len(ranking),)
    error = asked.part("error") if asked.request.dictionary else SteerSet()
    code = asked.part("code")
    off = [asked.scaled(-1.0, *ranking[:k]) for k in (0, *taken)]
    back = [joined(code, asked.scaled(1.0, *ranking[:k])) for k in (0, *taken)]
    sets = [*off, *back, *(joined(s, error) for s in (*off, *back))]
    found = asked.changes(sets).reshape(4, -1)
    deletion, insertion, dropped, inserted = found[:, 1:] - found[:, :1]
    return Curves(taken, deletion, insertion, dropped, inserted)


def joined(one: SteerSet, other: SteerSet) -> SteerSet:
    """Both sets' edits, those of the question itself once."""
    return SteerSet(edits=one.edits + tuple(e for e in other.edits if e not in one.edits))


def random_ranking(found: Sequence[int], seed: int) -> list[int]:
    """The same units in an order that knows nothing."""
    return [int(u) for u in np.random.default_rng(seed).permutation(np.asarray(found, np.int64))]
