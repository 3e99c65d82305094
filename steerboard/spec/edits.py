"""The edit algebra: units, ops, masks, conditions, edits, steer sets."""

from typing import Annotated, Literal

from pydantic import Field, StringConstraints, field_validator, model_validator

from steerboard.spec.base import Spec
from steerboard.spec.tensor import Tensor

# Bounds of the sliders: far beyond what is sensible, well below what overflows.
MAX_SCALE = 100.0
MAX_VALUE = 1e4
MAX_ALPHA = 100.0

SiteName = Annotated[
    str, StringConstraints(pattern=r"^((resid_pre|resid_post|mlp_post|head_out)\.\d+|embedding)$")
]


class Feature(Spec):
    """A row of a dictionary."""

    kind: Literal["feature"] = "feature"
    dictionary: str = Field(min_length=1)
    index: int = Field(ge=0)


class Neuron(Spec):
    """One coordinate of the site, usually of ``mlp_post``."""

    kind: Literal["neuron"] = "neuron"
    index: int = Field(ge=0)


class Head(Spec):
    """One attention head at ``head_out``: a vector, which takes only the op scale."""

    kind: Literal["head"] = "head"
    index: int = Field(ge=0)


class Direction(Spec):
    """A free direction ``[d]``, normalised to unit length before use."""

    kind: Literal["direction"] = "direction"
    values: Tensor

    @field_validator("values")
    @classmethod
    def _is_a_direction(cls, values: Tensor) -> Tensor:
        if len(values.shape) != 1 or not values.numpy().any():
            raise ValueError("a direction is one vector that is not zero")
        return values


class Part(Spec):
    """A whole part of the activation at a site: a vector, which takes only the op scale.

    ``code`` is all that the features of ``dictionary`` add up to, ``error`` what it leaves over,
    ``site`` the activation as a whole (without a dictionary).
    """

    kind: Literal["part"] = "part"
    of: Literal["code", "error", "site"]
    dictionary: str = ""

    @model_validator(mode="after")
    def _dictionary_where_one_belongs(self) -> "Part":
        if (self.of == "site") == bool(self.dictionary):
            raise ValueError("name the dictionary of a code or an error term, and none of a site")
        return self


Unit = Annotated[Feature | Neuron | Head | Direction | Part, Field(discriminator="kind")]


class Scale(Spec):
    """``m a v``: -1 off, 0 unchanged, +1 doubled."""

    kind: Literal["scale"] = "scale"
    m: float = Field(ge=-MAX_SCALE, le=MAX_SCALE)


class Set(Spec):
    """``(value - a) v`` where a is not 0; at every token of the mask when ``everywhere``."""

    kind: Literal["set"] = "set"
    value: float = Field(ge=-MAX_VALUE, le=MAX_VALUE)
    everywhere: bool = False


class Add(Spec):
    """``alpha n_bar u`` with u of unit length; alpha in median token norms of the site."""

    kind: Literal["add"] = "add"
    alpha: float = Field(ge=-MAX_ALPHA, le=MAX_ALPHA)


class Remove(Spec):
    """Minus the projection of x onto the span of all directions removed at this site and token."""

    kind: Literal["remove"] = "remove"


Op = Annotated[Scale | Set | Add | Remove, Field(discriminator="kind")]


class Mask(Spec):
    """Which tokens: all, the prefix (CLS, registers), or a set of patches as (row, column)."""

    kind: Literal["all", "prefix", "patches"] = "all"
    cells: tuple[tuple[int, int], ...] = ()

    @model_validator(mode="after")
    def _cells_belong_to_patches(self) -> "Mask":
        if self.cells and self.kind != "patches":
            raise ValueError("only a mask of kind 'patches' lists cells")
        return self


class Condition(Spec):
    """The edit acts where the activation of ``unit`` at the same site is above or below ``tau``.

    Per token the comparison is strict at each token. Per image the largest activation over the
    tokens where the unit lives is compared: above if any token is, below if none reaches tau.
    """

    unit: Unit
    when: Literal["above", "below"] = "above"
    tau: float = Field(ge=-MAX_VALUE, le=MAX_VALUE)
    per: Literal["token", "image"] = "token"

    @field_validator("unit")
    @classmethod
    def _has_an_activation(cls, unit: Unit) -> Unit:
        if isinstance(unit, Head | Part):
            raise ValueError(
                f"a {unit.kind} is a vector without an activation: compare a feature, neuron or"
                " direction"
            )
        return unit


class Edit(Spec):
    """One change at one site."""

    site: SiteName
    unit: Unit
    op: Op
    mask: Mask = Mask()
    condition: Condition | None = None

    @model_validator(mode="after")
    def _op_fits_unit(self) -> "Edit":
        if isinstance(self.unit, Head):
            if self.op.kind != "scale":
                raise ValueError("a head takes only the op 'scale'")
            if not self.site.startswith("head_out."):
                raise ValueError("a head lives at a site 'head_out.L'")
        if isinstance(self.unit, Part) and self.op.kind != "scale":
            raise ValueError("a part of the activation takes only the op 'scale'")
        if self.op.kind == "remove" and not isinstance(self.unit, Feature | Direction):
            raise ValueError("'remove' takes a feature or a direction")
        return self


class SteerSet(Spec):
    """Edits applied together; the empty one is the identity."""

    edits: tuple[Edit, ...] = Field(default=(), max_length=1024)


def scale(site: str, dictionary: str, m: float, *features: int) -> SteerSet:
    """A steer set that scales dictionary features by the same ``m``."""
    return SteerSet(
        edits=tuple(
            Edit(site=site, unit=Feature(dictionary=dictionary, index=f), op=Scale(m=m))
            for f in features
        )
    )
