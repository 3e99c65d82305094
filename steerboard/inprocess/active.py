"""The features that are active in a picture, found once.

To encode a picture with a wide dictionary costs more than to run the blocks behind its site, and it
does not depend on what is asked about it: so what was active is remembered, sparse, with what it
adds up to. A second question about the picture reads the decoder rows of active features alone,
each once, and no number of a feature that is silent.
"""

import warnings
from dataclasses import dataclass

import torch
from torch import Tensor

from steerboard.attribution.units import Features
from steerboard.inprocess.lru import ByteLru
from steerboard.inprocess.rows import Row, effective
from steerboard.inprocess.served import ServedModel

KEPT = 64 * 2**20
with warnings.catch_warnings():
    # Told once a process: that sparse tensors of torch may change. What is asked of them is tested.
    warnings.simplefilter("ignore", UserWarning)
    torch.sparse_csr_tensor(torch.tensor([0, 0]), torch.tensor([0])[:0], torch.zeros(0), (1, 1))


@dataclass(frozen=True, eq=False)
class Found:
    """The code of a picture: ``values [n]`` of ``columns [n]`` of ``features [a]``, both rising.

    ``tokens [n]`` says where; ``sums [t, d]`` is what they add up to, in the units of x. Those of
    feature f of all that the dictionary has are from ``ends [f]`` to ``ends [f + 1]``.
    """

    features: Tensor
    tokens: Tensor
    columns: Tensor
    values: Tensor
    sums: Tensor
    ends: Tensor

    @property
    def size(self) -> int:
        """In bytes."""
        held = (self.features, self.tokens, self.columns, self.values, self.sums, self.ends)
        return sum(tensor.numel() * tensor.element_size() for tensor in held)


@dataclass(frozen=True, eq=False)
class Active(Features):
    """A dictionary as if it had the picture's active features only: ``f`` of them.

    Activations are the list ``[n]`` of those that are not zero, feature by feature.
    """

    found: Found

    def code(self, x: Tensor) -> Tensor:
        """``z [n]``."""
        return self.found.values

    def slopes(self, x: Tensor, gradient: Tensor) -> Tensor:
        """``dy/dx_t . v_f`` of each activation ``[n]``: each decoder row is read once."""
        found, book = self.found, self.sae
        where = torch.sparse_csr_tensor(
            found.ends,
            found.tokens,
            torch.zeros_like(found.values),
            (book.size, len(gradient)),
            check_invariants=False,
        )
        # sampled_addmm: rows of one matrix times columns of another where they are asked for.
        product: Tensor = torch.sparse.sampled_addmm(where, book.W_dec, gradient.T, beta=0.0)
        return product.values() * self.at_tokens(book.scale(x))

    def sizes(self, x: Tensor) -> Tensor:
        """Norms of the decoder rows, of each activation ``[n]``."""
        norms = self.sae.W_dec[self.found.features].norm(dim=1)
        return self.of_units(norms) * self.at_tokens(self.sae.scale(x))

    def built(self, code: Tensor, x: Tensor) -> Tensor:
        """What all of them add up to; where tokens do not count nobody reads it."""
        return self.found.sums

    def at_tokens(self, mask: Tensor) -> Tensor:
        """See ``Units``."""
        return mask.expand(len(self.found.sums), 1)[:, 0].index_select(0, self.found.tokens)

    def of_units(self, values: Tensor) -> Tensor:
        """See ``Units``."""
        return values.index_select(0, self.found.columns)

    def totals(self, values: Tensor) -> Tensor:
        """See ``Units``."""
        count = len(self.found.features)
        return self.found.columns.bincount(values.double(), minlength=count).double()

    def columns(self, values: Tensor, which: Tensor) -> Tensor:
        """See ``Units``."""
        found, device = self.found, values.device
        begins, ends = (found.ends[found.features[which] + i].long() for i in (0, 1))
        own = torch.arange(len(which), device=device).repeat_interleave(ends - begins)
        before = (ends - begins).cumsum(0) - (ends - begins)
        # The k-th of all that are asked for is so many behind its feature's first.
        at = torch.arange(len(own), device=device) + (begins - before)[own]
        out = values.new_zeros(len(found.sums), len(which))
        out[found.tokens[at].long(), own] = values[at]
        return out

    def loudest(self, values: Tensor) -> Tensor:
        """See ``Units``."""
        count, own = len(self.found.features), self.found.columns.long()
        largest = values.new_full((count,), float("-inf")).scatter_reduce(0, own, values, "amax")
        places = torch.arange(len(values), device=values.device)
        reached = places.masked_fill(values != largest[own], len(values))
        first = places.new_full((count,), len(values)).scatter_reduce(0, own, reached, "amin")
        return places == first[own]


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
        which, tokens = code.T.contiguous().nonzero(as_tuple=True)
        features, columns = which.unique_consecutive(return_inverse=True)
        values = code[tokens, which]
        sums = units.built(code, x)
        ends = torch.zeros(code.shape[1] + 1, dtype=torch.int32, device=x.device)
        ends[1:] = which.bincount(minlength=code.shape[1]).cumsum(0)
    kept = (features, tokens.int(), columns.int(), values, sums, ends)
    return Found(*(tensor.clone() for tensor in kept))
