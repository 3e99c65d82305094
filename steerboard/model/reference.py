"""The edit algebra once more: slow, in float64, one token at a time, to be read in a minute.

Everything that applies edits is tested against this file. ``x [t, d]`` is one image at one site;
the tokens are the prefix tokens and then the patches, row by row. Source: methods, section 2.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from steerboard.spec.edits import (
    Add,
    Condition,
    Direction,
    Edit,
    Feature,
    Head,
    Mask,
    Neuron,
    Part,
    Remove,
    Scale,
    Set,
    SteerSet,
    Unit,
)

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class ReferenceDictionary:
    """Plain arrays: ``W_enc [d, f]``, ``b_enc [f]``, ``W_dec [f, d]``, ``b_dec [d]``."""

    W_enc: Array
    b_enc: Array
    W_dec: Array
    b_dec: Array
    architecture: str = "relu"
    k: int = 0
    signed: bool = False
    threshold: Array | None = None
    subtract_bias: bool = True
    normalize: str = "none"
    tokens: str = "all"
    gain: Array | None = None
    b_mag: Array | None = None
    softcap: float = 0.0
    least: float = 0.0
    stop_at_repeat: bool = False

    def spread(self, x: Array) -> float:
        """What one unit of normalised space is for this token ``[d]``."""
        if self.normalize == "layer_norm":
            return float(x.std(ddof=1))
        if self.normalize == "constant_norm_rescale":
            return float(np.linalg.norm(x) / np.sqrt(len(x)))
        return 1.0

    def encode(self, x: Array) -> Array:
        """The code ``[f]`` of one token ``[d]``."""
        centre = x.mean() if self.normalize == "layer_norm" else 0.0
        eps = 1e-5 if self.normalize == "layer_norm" else 0.0
        normal = (x - centre) / (self.spread(x) + eps)
        c = normal - self.b_dec * self.subtract_bias
        pursuit = self.architecture == "matching_pursuit"
        z = self.pursued(c) if pursuit else self.activated(c @ self.W_enc + self.b_enc)
        return self.softcap * np.tanh(z / self.softcap) if self.softcap else z

    def activated(self, p: Array) -> Array:
        """The code ``[f]`` of pre-activations ``[f]``, before any soft cap."""
        if self.architecture in ("topk", "abstopk", "groupmax"):
            kept, which = np.zeros_like(p), self.chosen(p)
            kept[which] = p[which] if self.signed else np.maximum(p[which], 0)
            return kept
        if self.architecture in ("jumprelu", "batchtopk"):
            assert self.threshold is not None
            return np.where(p > self.threshold, np.maximum(p, 0), 0)
        if self.architecture == "gated":
            assert self.gain is not None and self.b_mag is not None
            value = self.gain * (p - self.b_enc) + self.b_mag
            return np.where(p > 0, np.maximum(value, 0), 0)
        positive = np.maximum(p, 0)
        return np.tanh(positive) if self.architecture == "tanh-relu" else positive

    def pursued(self, c: Array) -> Array:
        """The code ``[f]`` of matching pursuit on a token ``[d]`` without its bias."""
        z = np.zeros(len(self.W_dec))
        for _ in range(self.k):
            f = int((self.W_dec @ c).argmax())
            a = max(float(self.W_dec[f] @ c), 0.0)
            new = z[f] == 0 and a > 0
            z[f] += a
            c = c - a * self.W_dec[f]
            if (self.stop_at_repeat and not new) or np.linalg.norm(c) < self.least:
                break
        return z

    def chosen(self, p: Array) -> npt.NDArray[np.int64]:
        """Which features ``[k]`` a kind that compares them keeps."""
        if self.architecture == "groupmax":
            size = len(p) // self.k
            return np.array(
                [g * size + p[g * size : (g + 1) * size].argmax() for g in range(self.k)]
            )
        size_of = np.abs(p) if self.architecture == "abstopk" else p
        return np.argsort(-size_of, kind="stable")[: self.k]


@dataclass(frozen=True)
class ReferenceSite:
    """What the algebra needs to know of a site."""

    name: str
    prefix: int
    grid: tuple[int, int]
    n_bar: float
    heads: int
    books: Mapping[str, ReferenceDictionary]
    finer: int = 1  # k, where k x k tokens of a finer grid lie under each cell

    def covers(self, mask: Mask, t: int) -> bool:
        """Whether token t lies under the mask."""
        if mask.kind == "all":
            return True
        if mask.kind == "prefix":
            return t < self.prefix
        row, column = divmod(t - self.prefix, self.grid[1] * self.finer)
        cell = (row // self.finer, column // self.finer)
        return t >= self.prefix and (not mask.cells or cell in mask.cells)

    def lives(self, unit: Unit, t: int) -> bool:
        """Whether the unit exists at token t: a feature does where its dictionary encodes."""
        name = unit.dictionary if isinstance(unit, Feature | Part) else ""
        return not name or self.covers(Mask(kind=self.books[name].tokens), t)

    def activation(self, unit: Unit, x: Array, t: int) -> float:
        """A of a unit at token t of ``x [t, d]``."""
        if not self.lives(unit, t):
            return 0.0
        if isinstance(unit, Feature):
            return float(self.books[unit.dictionary].encode(x[t])[unit.index])
        return float(x[t] @ self.vector(unit, x[t]))

    def vector(self, unit: Unit, x: Array) -> Array:
        """V of a unit for a token ``[d]``: the effective decoder row, a coordinate, a direction."""
        if isinstance(unit, Feature):
            book = self.books[unit.dictionary]
            return np.asarray(book.W_dec[unit.index] * book.spread(x))
        if isinstance(unit, Neuron):
            return np.asarray(np.eye(len(x))[unit.index])
        assert isinstance(unit, Direction)
        values = unit.values.numpy().astype(np.float64)
        return values / np.linalg.norm(values)

    def holds(self, condition: Condition | None, x: Array, t: int) -> bool:
        """Whether the condition lets an edit act at token t."""
        if condition is None:
            return True
        unit = condition.unit
        if condition.per == "token":
            a = self.activation(unit, x, t)
        else:
            a = max(self.activation(unit, x, s) for s in range(len(x)) if self.lives(unit, s))
        return a > condition.tau if condition.when == "above" else a < condition.tau

    def acts(self, edit: Edit, x: Array, t: int) -> bool:
        """mask_e * condition_e at token t."""
        return (
            self.covers(edit.mask, t)
            and self.lives(edit.unit, t)
            and self.holds(edit.condition, x, t)
        )

    def part(self, unit: Part, x: Array) -> Array:
        """The features' sum, the error term or the whole of one token ``[d]``."""
        if unit.of == "site":
            return x
        book = self.books[unit.dictionary]
        code = book.encode(x) @ book.W_dec * book.spread(x)
        centre = x.mean() if book.normalize == "layer_norm" else 0.0
        return code if unit.of == "code" else x - code - book.b_dec * book.spread(x) - centre

    def change(self, edit: Edit, x: Array, t: int) -> Array:
        """change_e at token t, but for removals, which are applied together."""
        if isinstance(edit.unit, Head):
            assert isinstance(edit.op, Scale)
            size = x.shape[1] // self.heads
            own = np.arange(x.shape[1]) // size == edit.unit.index
            return np.asarray(edit.op.m * x[t] * own)
        if isinstance(edit.unit, Part):
            assert isinstance(edit.op, Scale)
            return np.asarray(edit.op.m * self.part(edit.unit, x[t]))
        a, v = self.activation(edit.unit, x, t), self.vector(edit.unit, x[t])
        match edit.op:
            case Scale(m=m):
                return m * a * v
            case Set(value=value, everywhere=everywhere):
                return (value - a) * v if everywhere or a != 0 else np.zeros_like(v)
            case Add(alpha=alpha):
                return alpha * self.n_bar * v / np.linalg.norm(v)
            case Remove():
                raise AssertionError("removals are applied together")

    def removal(self, edits: list[Edit], x: Array, t: int) -> Array:
        """Minus the projection of token t on the span of all directions removed there."""
        if not edits:
            return np.zeros_like(x[t])
        span = np.stack([self.vector(e.unit, x[t]) for e in edits], axis=1)
        span = span / np.linalg.norm(span, axis=0)
        left, size, _ = np.linalg.svd(span, full_matrices=False)
        basis = left[:, size > 1e-3 * size.max()]
        return np.asarray(-basis @ (basis.T @ x[t]))


def apply(site: ReferenceSite, x: Array, steer_set: SteerSet) -> Array:
    """``x' = x + sum of mask * condition * change`` for one image ``x [t, d]``."""
    out = x.copy()
    edits = [e for e in steer_set.edits if e.site == site.name]
    for t in range(len(x)):
        acting = [e for e in edits if site.acts(e, x, t)]
        for edit in acting:
            if not isinstance(edit.op, Remove):
                out[t] += site.change(edit, x, t)
        out[t] += site.removal([e for e in acting if isinstance(e.op, Remove)], x, t)
    return out
