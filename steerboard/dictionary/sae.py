"""A sparse autoencoder as five tensors and a few words.

    x' = n(x);  p = (x' - b_dec) W_enc + b_enc;  z = act(p);  x_hat = n^-1(z W_dec + b_dec)

Shapes: ``x [.., d]``, ``z [.., f]``, ``W_enc [d, f]``, ``W_dec [f, d]``.
"""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from steerboard.spec.capabilities import TokenSet

Architecture = Literal["relu", "jumprelu", "topk", "batchtopk"]
Normalize = Literal["none", "layer_norm", "constant_norm_rescale"]
LAYER_NORM_EPS = 1e-5  # added to the standard deviation, as SAELens and Prisma do


@dataclass(frozen=True, eq=False)
class Sae:
    """A dictionary in memory.

    ``threshold [f]`` belongs to jumprelu and batchtopk (trained over a batch, but used with the
    threshold found in training, so that a token never depends on its neighbours), ``k`` to topk;
    with ``signed`` the k largest values are kept as they are, without ReLU. ``subtract_bias``
    says whether b_dec is taken off the input.
    """

    W_enc: Tensor
    b_enc: Tensor
    W_dec: Tensor
    b_dec: Tensor
    architecture: Architecture = "relu"
    k: int = 0
    threshold: Tensor | None = None
    signed: bool = False
    subtract_bias: bool = True
    normalize: Normalize = "none"
    tokens: TokenSet = "all"

    @property
    def size(self) -> int:
        """Number of features f."""
        return int(self.W_enc.shape[1])

    @property
    def pointwise(self) -> bool:
        """Whether a feature's activation needs its own encoder column only."""
        return self.architecture != "topk"

    def scale(self, x: Tensor) -> Tensor:
        """What one unit of normalised space is at each token, ``[.., 1]``."""
        if self.normalize == "layer_norm":
            return x.std(-1, keepdim=True, unbiased=True) + LAYER_NORM_EPS
        if self.normalize == "constant_norm_rescale":
            norm: Tensor = x.norm(dim=-1, keepdim=True) / x.shape[-1] ** 0.5
            return norm
        return x.new_ones(*x.shape[:-1], 1)

    def shift(self, x: Tensor) -> Tensor:
        """What is taken off before scaling, ``[.., 1]``; layer_norm takes the mean off."""
        if self.normalize == "layer_norm":
            return x.mean(-1, keepdim=True)
        return x.new_zeros(*x.shape[:-1], 1)

    def _input(self, x: Tensor) -> Tensor:
        normal = (x - self.shift(x)) / self.scale(x) if self.normalize != "none" else x
        return normal - self.b_dec if self.subtract_bias else normal

    def encode(self, x: Tensor) -> Tensor:
        """The code ``[.., f]`` of ``x [.., d]``."""
        if self.architecture == "topk":
            values, which = self.kept(x)
            return x.new_zeros(*x.shape[:-1], self.size).scatter(-1, which, values)
        return self._activate(self._input(x) @ self.W_enc + self.b_enc, self.threshold)

    def kept(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Values and features ``[.., k]`` that a top-k kind keeps of ``x [.., d]``."""
        values, which = (self._input(x) @ self.W_enc + self.b_enc).topk(self.k, dim=-1)
        return (values if self.signed else values.relu()), which

    def encode_units(self, x: Tensor, features: Tensor) -> Tensor:
        """Activations ``[n, t]`` of one feature a row: ``x [n, t, d]``, ``features [n]``.

        Costs one dot product a token for point-wise kinds, a whole encoding for top-k kinds.
        """
        if not self.pointwise:
            index = features[:, None, None].expand(-1, x.shape[1], 1)
            return self.encode(x).gather(2, index)[..., 0]
        p = torch.einsum("ntd,dn->nt", self._input(x), self.W_enc[:, features])
        threshold = None if self.threshold is None else self.threshold[features, None]
        return self._activate(p + self.b_enc[features, None], threshold)

    def _activate(self, p: Tensor, threshold: Tensor | None) -> Tensor:
        if self.architecture in ("jumprelu", "batchtopk"):
            assert threshold is not None
            return p.relu() * (p > threshold)
        return p.relu()

    def decode(self, z: Tensor, x: Tensor) -> Tensor:
        """``x_hat [.., d]`` in the units of ``x``, whose normalisation it takes."""
        return (z @ self.W_dec + self.b_dec) * self.scale(x) + self.shift(x)
