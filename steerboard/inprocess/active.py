"""The features that are active in a picture, found once.

To encode a picture with a wide dictionary costs more than to run the blocks behind its site, and it
does not depend on what is asked about it: so what was active is remembered, sparse, with what it
adds up to. A second question about the picture reads the decoder rows of active features alone.
"""

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from steerboard.attribution.units import Features
from steerboard.inprocess.lru import ByteLru
from steerboard.inprocess.rows import Row, effective
from steerboard.inprocess.served import ServedModel

KEPT = 64 * 2**20
# Where more than one in so many activations is not zero, a product of whole matrices is faster.
DENSE = 32
PIECE = 4096  # Decoder rows that are held at once.


@dataclass(frozen=True, eq=False)
class Found:
    """The code of a picture: ``values [n]`` of ``columns [n]`` of ``features [a]``, rising.

    ``tokens [n]`` says where; ``sums [t, d]`` is what they add up to, in the units of x.
    """

    features: Tensor
    tokens: Tensor
    columns: Tensor
    values: Tensor
    sums: Tensor

    @property
    def size(self) -> int:
        """In bytes."""
        held = (self.features, self.tokens, self.columns, self.values, self.sums)
        return sum(tensor.numel() * tensor.element_size() for tensor in held)


@dataclass(frozen=True, eq=False)
class Active(Features):
    """A dictionary as if it had the picture's active features only: ``f`` of them."""

    found: Found

    @cached_property
    def rows(self) -> Tensor:
        """Their decoder rows ``[f, d]``."""
        return self.sae.W_dec[self.found.features]

    def code(self, x: Tensor) -> Tensor:
        """``z [t, f]``."""
        return self._spread(self.found.values)

    def slopes(self, x: Tensor, gradient: Tensor) -> Tensor:
        """``dy/dx . v_f`` where the feature is active, 0 elsewhere: only products are read."""
        found = self.found
        if len(found.values) * DENSE > len(x) * self.sae.size:
            whole = (gradient @ self.sae.W_dec.T)[found.tokens, found.features[found.columns]]
        else:
            whole = self._paired(gradient)
        return self._spread(whole) * self.sae.scale(x)

    def _paired(self, gradient: Tensor) -> Tensor:
        """``dy/dx_t . v_f`` of each activation ``[n]``."""
        found = self.found
        which = found.features[found.columns]
        out = gradient.new_empty(len(which))
        for start in range(0, len(which), PIECE):
            part = slice(start, start + PIECE)
            vectors = self.sae.W_dec[which[part]]
            out[part] = vectors.mul_(gradient[found.tokens[part]]).sum(1)
        return out

    def sizes(self, x: Tensor) -> Tensor:
        """Norms of the decoder rows."""
        norms: Tensor = self.rows.norm(dim=1) * self.sae.scale(x)
        return norms

    def built(self, code: Tensor, x: Tensor) -> Tensor:
        """What all of them add up to; where tokens do not count nobody reads it."""
        return self.found.sums

    def _spread(self, values: Tensor) -> Tensor:
        """One number an activation as ``[t, f]``."""
        found = self.found
        out = values.new_zeros(len(found.sums), len(found.features))
        out[found.tokens, found.columns] = values
        return out


class Actives:
    """Remembers the codes of pictures, by model, picture, steer set, site and dictionary."""

    def __init__(self, kept: int = KEPT) -> None:
        self._cache: ByteLru[Found] = ByteLru(kept)

    def of(self, served: ServedModel, name: str, site: str, row: Row, x: Tensor) -> Active:
        """The features of a dictionary in ``x [t, d]``, the row's activations at ``site``."""
        key = (served.info.fingerprint, row.image, effective(row.steer), site, name)
        sae = served.books[name]
        found = self._cache.get(key)
        if found is None:
            found = find(Features(sae), x)
            self._cache.put(key, found, found.size)
        return Active(sae, found)


def find(units: Features, x: Tensor) -> Found:
    """Encode ``x [t, d]`` and keep what is not zero."""
    with torch.inference_mode():
        code = units.code(x)
        tokens, which = code.nonzero(as_tuple=True)
        features, columns = which.unique(return_inverse=True)
        values = code[tokens, which]
        sums = units.built(code, x)
    kept = (features, tokens.int(), columns.int(), values, sums)
    return Found(*(tensor.clone() for tensor in kept))
