"""What a method found of one picture and target, whichever side of the wire it ran on."""

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from steerboard.spec.answers import Attribution
from steerboard.spec.methods import has_parts

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Located:
    """Units ``[n]`` by falling absolute score.

    ``errors`` are standard errors where the method samples, else None. ``rows`` are what belongs
    to no unit listed: the rest where scores are parts of a whole, error and bias by gradient, the
    baseline where a method walks up from one. Empty: scores add up to nothing.
    """

    method: str
    units: npt.NDArray[np.int64]
    scores: Floats
    value: float
    errors: Floats | None = None
    rows: dict[str, float] = field(default_factory=dict)


def located(method: str, found: Attribution) -> Located:
    """An attribution of the runner's."""
    rows = {"rest": found.rest} if has_parts(method) else {}
    if method == "gradient":
        rows |= {"error": found.error, "bias": found.bias, "total": found.total}
    if found.baseline is not None:
        rows |= {"baseline": found.baseline, "total": found.total}
    return Located(method, found.features, found.scores.astype(np.float64), found.value, rows=rows)


def by_size(method: str, units: npt.NDArray[np.int64], scores: Floats, value: float) -> Located:
    """Any scores, put in order."""
    order = np.argsort(-np.abs(scores), kind="stable")
    return Located(method, units[order], scores[order], value)
