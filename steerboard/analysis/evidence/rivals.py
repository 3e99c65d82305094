"""Controls: other changes of the same size on the same picture (methods, section 5).

A Runner tells the sparse code, not the decoder, so the size of a change at a token is taken as
the root of the summed squares of its coefficients: exact where decoder rows are orthogonal and of
unit length (see ``steerboard.analysis.controls``). Masks and conditions count: where a condition
does not hold the recipe changes nothing, and neither does its control.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from steerboard.spec.answers import Code
from steerboard.spec.capabilities import ModelInfo
from steerboard.spec.edits import (
    MAX_ALPHA,
    MAX_SCALE,
    Add,
    Condition,
    Direction,
    Edit,
    Feature,
    Mask,
    Scale,
    Set,
    SteerSet,
    scale,
)
from steerboard.spec.tensor import Tensor

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Part:
    """The edits of a steer set that one dictionary's code explains."""

    site: str
    dictionary: str
    edits: tuple[Edit, ...]

    @property
    def features(self) -> tuple[int, ...]:
        """The edited features."""
        units = [e.unit for e in self.edits]
        return tuple(sorted({u.index for u in units if isinstance(u, Feature)}))


def parts(steer: SteerSet) -> tuple[Part, ...]:
    """One part a dictionary; added directions join the first part at their site."""
    found: dict[tuple[str, str], list[Edit]] = {}
    for edit in steer.edits:
        if isinstance(edit.unit, Feature):
            found.setdefault((edit.site, edit.unit.dictionary), []).append(edit)
    for edit in steer.edits:
        home = next((key for key in found if key[0] == edit.site), None)
        if home is not None and added(edit):
            found[home].append(edit)
    return tuple(Part(site, name, tuple(edits)) for (site, name), edits in found.items())


def added(edit: Edit) -> bool:
    """A direction whose size is known without an activation."""
    return isinstance(edit.unit, Direction) and isinstance(edit.op, Add)


def size(part: Part, code: Code, info: ModelInfo) -> Floats:
    """Norm of the part's change at each token, ``[t]``."""
    squares = np.zeros(code.shape[0])
    for edit in part.edits:
        squares += coefficients(edit, code, info) ** 2
    found: Floats = np.sqrt(squares)
    return found


def coefficients(edit: Edit, code: Code, info: ModelInfo) -> Floats:
    """How far the edit moves along its unit row at each token, ``[t]``."""
    a = np.zeros(code.shape[0])
    if isinstance(edit.unit, Feature):
        a = activation(code, edit.unit.index)
    return moved(edit, a, info) * covered(edit.mask, len(a), info) * holds(edit.condition, code)


def moved(edit: Edit, a: Floats, info: ModelInfo) -> Floats:
    """How far an op moves along its unit row from the activation ``a [t]``."""
    match edit.op:
        case Scale(m=m):
            return m * a
        case Set(value=value, everywhere=everywhere):
            return (value - a) * (True if everywhere else a != 0)
        case Add(alpha=alpha):
            place = info.site(edit.site)
            return np.full(len(a), alpha * (place.n_bar if place else 0.0))
    return -a  # a removal takes off the projection, of which the activation is an estimate


def activation(code: Code, feature: int) -> Floats:
    """Of one feature at each token, ``[t]``."""
    found = np.zeros(code.shape[0])
    own = code.features == feature
    found[code.tokens[own]] = code.values[own]
    return found


def covered(mask: Mask, tokens: int, info: ModelInfo) -> npt.NDArray[np.bool_]:
    """The tokens under a mask, bool ``[t]``."""
    found = np.zeros(tokens, bool)
    if mask.kind == "all":
        found[:] = True
    elif mask.kind == "prefix":
        found[: info.prefix_tokens] = True
    else:
        for row, column in mask.cells:
            found[info.prefix_tokens + row * info.grid[1] + column] = True
    return found


def holds(condition: Condition | None, code: Code) -> npt.NDArray[np.bool_]:
    """Where a condition on a feature holds, bool ``[t]``."""
    if condition is None:
        return np.ones(code.shape[0], bool)
    assert isinstance(condition.unit, Feature)
    return met(condition, activation(code, condition.unit.index))


def met(condition: Condition, a: Floats) -> npt.NDArray[np.bool_]:
    """Where a condition holds, bool ``[t]``, by its unit's activation ``a [t]``."""
    if condition.per == "image":
        a = np.full_like(a, a.max())
    found: npt.NDArray[np.bool_] = a > condition.tau if condition.when == "above" else (
        a < condition.tau
    )  # fmt: skip
    return found


def other_features(
    part: Part, code: Code, info: ModelInfo, rng: np.random.Generator | None
) -> SteerSet:
    """As many other active features as there are edits, scaled by one m to the same total norm.

    Drawn at random, or, without ``rng``, those of the largest summed activation. Of either sign,
    as the recipe's own: down where it turns more down than up.
    """
    total = np.bincount(code.features, np.abs(code.values), code.shape[1])
    total[list(part.features)] = 0.0
    active = np.flatnonzero(total)
    many = min(len(part.edits), len(active))
    chosen = (
        np.argsort(-total, kind="stable")[:many]
        if rng is None
        else rng.choice(active, many, replace=False)
    )
    own = np.sqrt((code.values[np.isin(code.features, chosen)].astype(np.float64) ** 2).sum())
    wanted = float(np.linalg.norm(size(part, code, info)))
    if own == 0.0 or wanted == 0.0:
        return SteerSet()
    m = min(wanted / float(own), MAX_SCALE) * sign_of(part, code, info)
    return scale(part.site, part.dictionary, m, *chosen.tolist())


def sign_of(part: Part, code: Code, info: ModelInfo) -> float:
    """-1 where the part mostly turns down, else 1."""
    moved = sum(float(coefficients(edit, code, info).sum()) for edit in part.edits)
    return -1.0 if moved <= 0 else 1.0


def random_direction(part: Part, code: Code, info: ModelInfo, rng: np.random.Generator) -> SteerSet:
    """One random direction, added at every token with the norm of the change there."""
    return added_at(part.site, size(part, code, info), info, rng)


def added_at(site: str, norms: Floats, info: ModelInfo, rng: np.random.Generator) -> SteerSet:
    """One random direction, added with the norm ``norms [t]`` at each token."""
    place = info.site(site)
    if place is None or place.n_bar == 0.0:
        return SteerSet()
    unit = Direction(values=Tensor.of(rng.standard_normal(place.width)))
    alpha = np.minimum(norms / place.n_bar, MAX_ALPHA)
    edits = []
    prefix = info.prefix_tokens if len(alpha) > 1 else 1
    if alpha[:prefix].any():
        strength = float(np.sqrt((alpha[:prefix] ** 2).mean()))
        mask = Mask(kind="prefix" if info.prefix_tokens else "all")
        edits.append(Edit(site=site, unit=unit, op=Add(alpha=strength), mask=mask))
    for token in np.flatnonzero(alpha[prefix:] > 0).tolist() if place.patches_read else ():
        cell = Mask(kind="patches", cells=(divmod(token, info.grid[1]),))
        strength = float(alpha[prefix + token])
        edits.append(Edit(site=site, unit=unit, op=Add(alpha=strength), mask=cell))
    return SteerSet(edits=tuple(edits))


def joined(sets: Sequence[SteerSet]) -> SteerSet:
    """The edits of all."""
    return SteerSet(edits=tuple(e for s in sets for e in s.edits))
