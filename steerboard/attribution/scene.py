"""What a method sees of one picture and target, and what it answers."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from torch import Tensor

from steerboard.attribution.units import Units


@dataclass(frozen=True)
class Climb:
    """The target along the path x(alpha) = x + (alpha - 1) sum a_f v_f, the error kept.

    ``value(alpha)`` is y there; ``gradients(alphas)`` are ``dy/dx [n, t, d]`` there.
    """

    value: Callable[[float], float]
    gradients: Callable[[Sequence[float]], Tensor]


@dataclass(frozen=True)
class Scene:
    """One picture and target at one site.

    ``x [t, d]`` are the activations, ``gradient [t, d]`` is dy/dx, ``mask [t, 1]`` is 1 at the
    tokens that count. ``lens [f]`` gives the cosines of projected units with the target.
    """

    units: Units
    x: Tensor
    gradient: Tensor
    mask: Tensor
    value: float
    climb: Climb
    lens: Callable[[], Tensor]
    steps: int = 16

    def code(self) -> Tensor:
        """Activations ``[t, f]``, or a list (see ``Units``); 0 where tokens do not count."""
        return self.units.code(self.x) * self.units.at_tokens(self.mask)


@dataclass(frozen=True)
class Scores:
    """``token_scores`` and ``code`` are ``[t, f]`` over all tokens, or lists (see ``Units``).

    ``error`` and ``bias`` are the scores of what is no unit.
    """

    token_scores: Tensor
    code: Tensor
    error: float = 0.0
    bias: float = 0.0
    total: float = 0.0
    baseline: float | None = None
