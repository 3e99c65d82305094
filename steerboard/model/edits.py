"""The edit algebra in batches: each row of a batch carries its own steer set (methods, section 2).

At each site all activations are read before that site's edits; then

    x' = x + sum over edits e of mask_e * condition_e * change_e

so the error term stays. Changes are computed in float32 where ``x`` is in half precision. Rows
without edits at a site are not touched. The slow twin of this file is ``reference.py``.
Letters: ``b`` row of the batch, ``n`` edit, ``t`` token, ``d`` width.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from steerboard.model.grid import patches_of, under
from steerboard.model.placement import full
from steerboard.spec.capabilities import TokenSet
from steerboard.spec.edits import (
    Add,
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

# Numbers of activations that are copied for edits at once: more would leave a core's cache.
TOGETHER = 2**20
# The activation ``[t]`` of a feature in one row, where it is at hand without encoding.
Known = Callable[[int, Feature], Tensor | None]


def nothing_known(_row: int, _feature: Feature) -> None:
    """No activation is at hand."""


class Codebook(Protocol):
    """What an edit needs of a dictionary."""

    @property
    def W_dec(self) -> Tensor:
        """Decoder rows ``[f, d]``."""

    @property
    def tokens(self) -> TokenSet:
        """Where the dictionary encodes."""

    def encode(self, x: Tensor) -> Tensor:
        """The code ``[.., f]`` of ``x [.., d]``."""

    def decode(self, z: Tensor, x: Tensor) -> Tensor:
        """``x_hat [.., d]`` in the units of ``x``."""

    def encode_units(self, x: Tensor, features: Tensor) -> Tensor:
        """Activations ``[n, t]`` of one feature a row of ``x [n, t, d]``."""

    def scale(self, x: Tensor) -> Tensor:
        """What one unit of normalised space is at each token, ``[.., 1]``."""


@dataclass(frozen=True)
class Layout:
    """The token grid of a model."""

    prefix: int
    grid: tuple[int, int]

    def mask(self, mask: Mask, tokens: int) -> Tensor:
        """Which of ``tokens`` tokens a mask covers, bool ``[t]``; a lone token is a prefix."""
        covered = torch.zeros(tokens, dtype=torch.bool)
        if mask.kind == "all":
            covered[:] = True
        elif mask.kind == "prefix":
            covered[: tokens - patches_of(tokens, self.prefix)] = True
        else:
            patches = patches_of(tokens, self.prefix)
            covered[[self.prefix + p for p in under(mask.cells, self.grid, patches)]] = True
        return covered

    def lives(self, tokens: TokenSet, count: int) -> Tensor:
        """Where a dictionary of this token set has codes, bool ``[t]``."""
        return self.mask(Mask(kind=tokens), count)


@dataclass(frozen=True)
class Site:
    """What is known of the site being edited."""

    name: str
    n_bar: float
    heads: int


@dataclass(frozen=True)
class Editor:
    """Applies steer sets at the sites of one model.

    Args:
        layout: The token grid.
        books: Dictionaries by name.
        n_bar: Median token norm by site.
        heads: Number of attention heads.
    """

    layout: Layout
    books: Mapping[str, Codebook]
    n_bar: Mapping[str, float]
    heads: int

    def at(
        self, site: str, x: Tensor, steer_sets: Sequence[SteerSet], known: Known = nothing_known
    ) -> Tensor:
        """``x [b, t, d]`` after the edits of one steer set a row."""
        change = self.change(site, x, steer_sets, known)
        return x if change is None else (x + change).to(x.dtype)

    def change(
        self, site: str, x: Tensor, steer_sets: Sequence[SteerSet], known: Known = nothing_known
    ) -> Tensor | None:
        """The change ``[b, t, d]`` at ``site``, on its device, or None where no row edits it.

        ``known`` spares the encoding of rows whose code is at hand.
        """
        moves = [(b, e) for b, s in enumerate(steer_sets) for e in s.edits if e.site == site]
        if not moves:
            return None
        x = full(x)
        total = torch.zeros_like(x)
        plain = [
            m
            for m in moves
            if not isinstance(m[1].unit, Head | Part) and not isinstance(m[1].op, Remove)
        ]
        vectors = [m for m in moves if isinstance(m[1].unit, Head | Part)]
        removals = [m for m in moves if isinstance(m[1].op, Remove)]
        for part, how in ((plain, self._rank_one), (vectors, self._scaled_vectors)):
            for some in _pieces(part, x[0].numel()):
                rows = [b for b, _ in some]
                edits = [e for _, e in some]
                which = torch.tensor(rows, device=x.device)
                total.index_add_(0, which, how(site, x[which], edits, _of(known, rows)))
        for row in sorted({b for b, _ in removals}):
            own = [e for b, e in removals if b == row]
            total[row] += self._projection(x[row], own, _of(known, [row] * len(own)))
        return total

    def _rank_one(self, site: str, x: Tensor, edits: list[Edit], known: Known) -> Tensor:
        """Changes ``[n, t, d]`` of edits that move along one vector; ``x [n, t, d]``."""
        units = [e.unit for e in edits]
        active = self.read(x, units, known)
        vectors = self.vectors(x, units)  # [n, d]
        factor = torch.stack(
            [self._factor(site, e, a, v) for e, a, v in zip(edits, active, vectors, strict=True)]
        )
        factor = factor * self._gates(x, edits, known) * self._unit_scale(x, edits)
        return factor[..., None] * vectors[:, None]

    def _factor(self, site: str, edit: Edit, a: Tensor, v: Tensor) -> Tensor:
        """How far along ``v [d]`` at each token, ``[t]``, from the activation ``a [t]``."""
        match edit.op:
            case Scale(m=m):
                return m * a
            case Set(value=value, everywhere=everywhere):
                return (value - a) * (torch.ones_like(a) if everywhere else (a != 0))
            case Add(alpha=alpha):
                length: Tensor = v.norm()
                return a.new_full(a.shape, alpha * self.n_bar[site]) / length
            case Remove():
                raise AssertionError("removals are applied together")

    def _unit_scale(self, x: Tensor, edits: list[Edit]) -> Tensor:
        """Rows of a normalising dictionary mapped back, ``[n, t]``; ``add`` has its own length."""
        out = x.new_ones(x.shape[:2])
        for i, edit in enumerate(edits):
            if isinstance(edit.unit, Feature) and not isinstance(edit.op, Add):
                out[i] = self.books[edit.unit.dictionary].scale(x[i])[..., 0]
        return out

    def _scaled_vectors(self, _site: str, x: Tensor, edits: list[Edit], known: Known) -> Tensor:
        """Changes ``[n, t, d]`` of heads and parts: m times the vector itself."""
        out = torch.zeros_like(x)
        for i, edit in enumerate(edits):
            assert isinstance(edit.op, Scale) and isinstance(edit.unit, Head | Part)
            out[i] = edit.op.m * self._vector(x[i], edit.unit)
        return out * self._gates(x, edits, known)[..., None]

    def _vector(self, x: Tensor, unit: Head | Part) -> Tensor:
        """A head's slice, the features' sum, the error term or the whole of ``x [t, d]``."""
        if isinstance(unit, Head):
            size = x.shape[-1] // self.heads
            own = torch.arange(x.shape[-1], device=x.device) // size == unit.index
            return x * own
        if unit.of == "site":
            return x
        book = self.books[unit.dictionary]
        code = book.encode(x)
        rebuilt = book.decode(code, x)
        return x - rebuilt if unit.of == "error" else rebuilt - book.decode(0 * code, x)

    def _projection(self, x: Tensor, edits: list[Edit], known: Known) -> Tensor:
        """Minus the projection of ``x [t, d]`` on the span of what is removed at each token."""
        units = [e.unit for e in edits]
        several = x.expand(len(edits), *x.shape)
        vectors = self.vectors(several, units)
        vectors = vectors / vectors.norm(dim=-1, keepdim=True)
        basis = self._gates(several, edits, known).T[..., None] * vectors  # [t, n, d]
        return -torch.einsum("tnd,tn->td", basis, self._coordinates(basis, x))

    def _coordinates(self, basis: Tensor, x: Tensor) -> Tensor:
        """Least-squares coordinates ``[t, n]`` of ``x [t, d]``; dependent or absent rows get 0."""
        gram = basis @ basis.transpose(1, 2)
        inverse = torch.linalg.pinv(gram.double(), hermitian=True, rtol=1e-6).to(x.dtype)
        return torch.einsum("tnm,tm->tn", inverse, torch.einsum("tmd,td->tm", basis, x))

    def _gates(self, x: Tensor, edits: list[Edit], known: Known) -> Tensor:
        """Mask times condition, ``[n, t]``, 0 or 1."""
        # Masks are made where they are read bit by bit, and move to the device together.
        gates = torch.stack([self._covered(e, x.shape[1]) for e in edits]).to(x.device)
        conditional = [i for i, e in enumerate(edits) if e.condition]
        if conditional:
            units = [c.unit for i in conditional if (c := edits[i].condition)]
            read = self.read(x[conditional], units, _of(known, conditional))
            for i, a in zip(conditional, read, strict=True):
                gates[i] &= self._holds(edits[i], a)
        return gates.to(x.dtype)

    def _covered(self, edit: Edit, tokens: int) -> Tensor:
        covered = self.layout.mask(edit.mask, tokens)
        if isinstance(edit.unit, Feature | Part) and edit.unit.dictionary:
            covered &= self.layout.lives(self.books[edit.unit.dictionary].tokens, tokens)
        return covered

    def _holds(self, edit: Edit, a: Tensor) -> Tensor:
        """Whether the condition holds, bool ``[t]`` or ``[1]``."""
        condition = edit.condition
        assert condition is not None
        if condition.per == "image":
            if isinstance(condition.unit, Feature):
                alive = self.layout.lives(self.books[condition.unit.dictionary].tokens, len(a))
                a = a[alive.to(a.device)]
            a = a.max(dim=0, keepdim=True).values
        return a > condition.tau if condition.when == "above" else a < condition.tau

    def read(self, x: Tensor, units: Sequence[Unit], known: Known = nothing_known) -> Tensor:
        """Activations ``[n, t]`` of one unit a row of ``x [n, t, d]``."""
        out = x.new_zeros(x.shape[:2])
        names = {u.dictionary for u in units if isinstance(u, Feature)}
        for name in sorted(names):
            where = [
                i for i, u in enumerate(units) if isinstance(u, Feature) and u.dictionary == name
            ]
            features = [u for u in units if isinstance(u, Feature) and u.dictionary == name]
            alive = self.layout.lives(self.books[name].tokens, x.shape[1]).to(x.device)
            # Picking rows copies them: not where all are meant.
            own = x if len(where) == len(x) else x[where]
            out[where] = self._active(own, features, _of(known, where)) * alive
        for i, unit in enumerate(units):
            if isinstance(unit, Neuron):
                out[i] = x[i, :, unit.index]
            elif isinstance(unit, Direction):
                out[i] = x[i] @ direction(unit, x)
        return out

    def _active(self, x: Tensor, features: Sequence[Feature], known: Known) -> Tensor:
        """Activations ``[n, t]`` of features of one dictionary, encoded only where not known."""
        held = [a for i, f in enumerate(features) if (a := known(i, f)) is not None]
        if len(held) == len(features):
            return torch.stack(held)
        index = torch.tensor([f.index for f in features], device=x.device)
        return self.books[features[0].dictionary].encode_units(x, index)

    def vectors(self, x: Tensor, units: Sequence[Unit]) -> Tensor:
        """What each unit moves along, ``[n, d]``."""
        out = x.new_zeros(len(units), x.shape[-1])
        for i, unit in enumerate(units):
            match unit:
                case Feature(dictionary=name, index=index):
                    out[i] = self.books[name].W_dec[index]
                case Neuron(index=index):
                    out[i, index] = 1
                case Direction():
                    out[i] = direction(unit, x)
                case Head() | Part():
                    raise AssertionError("heads and parts have no one direction")
        return out


def _pieces(moves: list[tuple[int, Edit]], numbers: int) -> Iterator[list[tuple[int, Edit]]]:
    """As many edits at a time as a cache holds copies of a row's ``numbers`` for."""
    size = max(1, TOGETHER // numbers)
    return (moves[i : i + size] for i in range(0, len(moves), size))


def _of(known: Known, rows: Sequence[int]) -> Known:
    """``known`` for a selection of rows."""
    return lambda i, feature: known(rows[i], feature)


def direction(unit: Direction, like: Tensor) -> Tensor:
    """The unit vector ``[d]`` of a free direction."""
    values = torch.from_numpy(unit.values.numpy().astype("float64"))
    unit_length: Tensor = values / values.norm()
    return unit_length.to(like)
