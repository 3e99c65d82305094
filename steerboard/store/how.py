"""How units are located: the choices of a session besides picture, prompts and dictionary."""

from typing import Literal

from pydantic import Field

from steerboard.spec.base import Spec
from steerboard.spec.edits import Mask
from steerboard.spec.requests import MAX_STEPS, UnitActivation, UnitKind
from steerboard.spec.tensor import Tensor

TargetKind = Literal["margin", "logit", "log_prob", "cosine"]


class How(Spec):
    """Method, units, target and tokens; the defaults are what a newcomer sees.

    ``words`` name the directions, one each. ``later`` is what a circuit leads into.
    """

    method: str = "gradient"
    units: UnitKind = "feature"
    site: str = Field(default="", description="of neurons, heads and directions")
    target: TargetKind = "margin"
    tokens: Mask = Mask()
    steps: int = Field(default=16, ge=1, le=MAX_STEPS)
    directions: Tensor | None = Field(default=None, description="[n, d], at most 16 rows")
    words: tuple[str, ...] = Field(default=(), max_length=16)
    later: UnitActivation | None = None

    @property
    def usual(self) -> bool:
        """Whether nothing was chosen."""
        return self == How()

    def elsewhere(self) -> "How":
        """The same for another picture: a region was drawn on this one."""
        return self.model_copy(update={"tokens": Mask()}) if self.tokens.cells else self
