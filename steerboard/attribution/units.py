"""What an activation falls into: ``x [t, d] = sum over units of a_f v_f + bias + error``.

One class a kind of unit. ``code`` are the a_f ``[t, f]``, ``slopes`` the dy/da_f ``[t, f]`` when
dy/dx ``[t, d]`` is given, ``sizes`` the norms of v_f, ``built`` the sum ``[t, d]``.

A kind whose codes are nearly all zero may hold its activations as a list ``[n]`` in place of
``[t, f]``; slopes, sizes and scores are then lists too, and the last five functions of ``Units``
tell what of it belongs to which token and unit.
"""

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from steerboard.dictionary.sae import Sae


class Units(Protocol):
    """One kind of unit at one site; scales of a normalising dictionary count as constants."""

    def code(self, x: Tensor) -> Tensor:
        """Activations ``[t, f]``."""

    def slopes(self, x: Tensor, gradient: Tensor) -> Tensor:
        """``dy/da [t, f]``."""

    def sizes(self, x: Tensor) -> Tensor:
        """``norm(v_f)``, broadcasting to ``[t, f]``."""

    def built(self, code: Tensor, x: Tensor) -> Tensor:
        """``sum over f of a_f v_f``, ``[t, d]``."""

    def bias(self, x: Tensor) -> Tensor:
        """What is there whatever the units do, broadcasting to ``[t, d]``."""

    def at_tokens(self, mask: Tensor) -> Tensor:
        """Numbers of tokens ``[t, 1]``, broadcasting to activations."""

    def of_units(self, values: Tensor) -> Tensor:
        """Numbers of units ``[f]``, broadcasting to activations."""

    def totals(self, values: Tensor) -> Tensor:
        """Numbers of activations summed over tokens, ``[f]`` in float64."""

    def columns(self, values: Tensor, which: Tensor) -> Tensor:
        """Numbers of the activations of some units ``[t, n]``."""

    def loudest(self, values: Tensor) -> Tensor:
        """True at the first token where a unit's number is largest, in the form of ``values``."""


class Dense:
    """Units with an activation at each token."""

    def at_tokens(self, mask: Tensor) -> Tensor:
        """See ``Units``."""
        return mask

    def of_units(self, values: Tensor) -> Tensor:
        """See ``Units``."""
        return values

    def totals(self, values: Tensor) -> Tensor:
        """See ``Units``."""
        return values.sum(0, dtype=torch.float64)

    def columns(self, values: Tensor, which: Tensor) -> Tensor:
        """See ``Units``."""
        return values[:, which]

    def loudest(self, values: Tensor) -> Tensor:
        """See ``Units``."""
        found = torch.zeros_like(values, dtype=torch.bool)
        return found.scatter_(0, values.argmax(0, keepdim=True), True)


@dataclass(frozen=True, eq=False)
class Features(Dense):
    """Rows of a dictionary: v_f is the effective decoder row, in the scale of the pass in hand."""

    sae: Sae

    def code(self, x: Tensor) -> Tensor:
        """``z [t, f]``."""
        return self.sae.encode(x)

    def slopes(self, x: Tensor, gradient: Tensor) -> Tensor:
        """``dy/dx . v_f``."""
        return (gradient @ self.sae.W_dec.T) * self.sae.scale(x)

    def sizes(self, x: Tensor) -> Tensor:
        """Norms of the decoder rows."""
        norms: Tensor = self.sae.W_dec.norm(dim=1) * self.sae.scale(x)
        return norms

    def built(self, code: Tensor, x: Tensor) -> Tensor:
        """``z W_dec`` in the units of x."""
        return (code @ self.sae.W_dec) * self.sae.scale(x)

    def bias(self, x: Tensor) -> Tensor:
        """``b_dec``, and the mean that layer_norm adds back."""
        return self.sae.b_dec * self.sae.scale(x) + self.sae.shift(x)


@dataclass(frozen=True)
class Neurons(Dense):
    """Coordinates of the site."""

    def code(self, x: Tensor) -> Tensor:
        """X itself."""
        return x

    def slopes(self, x: Tensor, gradient: Tensor) -> Tensor:
        """The gradient itself."""
        return gradient

    def sizes(self, x: Tensor) -> Tensor:
        """All 1."""
        return x.new_ones(1)

    def built(self, code: Tensor, x: Tensor) -> Tensor:
        """The code itself."""
        return code

    def bias(self, x: Tensor) -> Tensor:
        """None."""
        return x.new_zeros(1)


@dataclass(frozen=True)
class Heads(Dense):
    """Slices of the site: ``a = norm(h)``, ``v = h / norm(h)``, so that R = h . dy/dh."""

    heads: int

    def _split(self, x: Tensor) -> Tensor:
        slices: Tensor = x.unflatten(-1, (self.heads, -1))
        return slices

    def code(self, x: Tensor) -> Tensor:
        """Norms of the heads' outputs."""
        norms: Tensor = self._split(x).norm(dim=-1)
        return norms

    def slopes(self, x: Tensor, gradient: Tensor) -> Tensor:
        """Slope along each head's own output; 0 for a head that is silent."""
        along: Tensor = self._split(x * gradient).sum(-1) / self.code(x)
        finite: Tensor = along.nan_to_num(0.0, 0.0, 0.0)
        return finite

    def sizes(self, x: Tensor) -> Tensor:
        """All 1."""
        return x.new_ones(1)

    def built(self, code: Tensor, x: Tensor) -> Tensor:
        """The heads' outputs, each brought to the norm in ``code``."""
        factor = (code / self.code(x)).nan_to_num(0.0, 0.0, 0.0)
        return (self._split(x) * factor[..., None]).flatten(-2)

    def bias(self, x: Tensor) -> Tensor:
        """None."""
        return x.new_zeros(1)


@dataclass(frozen=True, eq=False)
class Directions(Dense):
    """Free directions, rows ``[f, d]`` of unit length; what they leave over is the error."""

    rows: Tensor

    def code(self, x: Tensor) -> Tensor:
        """``x . u``."""
        return x @ self.rows.T

    def slopes(self, x: Tensor, gradient: Tensor) -> Tensor:
        """``dy/dx . u``."""
        return gradient @ self.rows.T

    def sizes(self, x: Tensor) -> Tensor:
        """All 1."""
        return x.new_ones(1)

    def built(self, code: Tensor, x: Tensor) -> Tensor:
        """``sum of a u``."""
        return code @ self.rows

    def bias(self, x: Tensor) -> Tensor:
        """None."""
        return x.new_zeros(1)


def unit_rows(rows: Tensor) -> Tensor:
    """Rows ``[f, d]`` brought to unit length."""
    return torch.nn.functional.normalize(rows.double(), dim=-1).to(rows.dtype)
