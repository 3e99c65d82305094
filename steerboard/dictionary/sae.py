"""A sparse autoencoder as a few tensors and a few words.

    x' = n(x);  p = (x' - b_dec) W_enc + b_enc;  z = act(p);  x_hat = n^-1(z W_dec + b_dec)

Shapes: ``x [.., d]``, ``z [.., f]``, ``W_enc [d, f]``, ``W_dec [f, d]``. Whatever a file holds
besides (decoder norms, scaling factors, a fixed mean and scale of the input) is folded into these
before a dictionary gets here, so that ``W_dec[f]`` is ``d x_hat / d z_f`` in normalised units.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch
from torch import Tensor

from steerboard.dictionary.largest import largest
from steerboard.dictionary.pursuit import pursue
from steerboard.spec.capabilities import TokenSet

Architecture = Literal[
    "relu",
    "tanh-relu",
    "jumprelu",
    "batchtopk",
    "gated",
    "topk",
    "abstopk",
    "groupmax",
    "matching_pursuit",
]
Normalize = Literal["none", "layer_norm", "constant_norm_rescale"]
# Kinds where the other features decide whether one is kept.
COMPETING = ("topk", "abstopk", "groupmax", "matching_pursuit")
THRESHOLDED = ("jumprelu", "batchtopk")
# Added to the standard deviation on the way in and not on the way out, as SAELens and Prisma do.
LAYER_NORM_EPS = 1e-5
TENSORS = ("W_enc", "b_enc", "W_dec", "b_dec", "threshold", "gain", "b_mag")


@dataclass(frozen=True, eq=False)
class Sae:
    """A dictionary in memory.

    ``threshold [f]`` belongs to jumprelu and batchtopk (trained over a batch, but used with the
    threshold found in training, so that a token never depends on its neighbours); ``k`` to topk,
    abstopk (the k largest by magnitude) and groupmax (the largest of each of k equal groups);
    with ``signed`` what is kept is kept as it is, without ReLU. matching_pursuit takes at most k
    features one after the other, until less than ``least`` of the token is left, or, with
    ``stop_at_repeat``, until one comes twice. ``gain [f]`` and ``b_mag [f]`` belong to gated, whose
    gate is ``p > 0`` and whose value is ``relu(gain (p - b_enc) + b_mag)``. ``softcap`` c, where it
    is not 0, makes ``c tanh(z / c)`` of a code. ``groups`` are the sizes of a Matryoshka
    dictionary's nested parts, a fact only: it decodes as its last prefix, which is all of it.
    ``subtract_bias`` says whether b_dec is taken off the input.
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
    gain: Tensor | None = None
    b_mag: Tensor | None = None
    softcap: float = 0.0
    groups: tuple[int, ...] = ()
    least: float = 0.0
    stop_at_repeat: bool = False

    @property
    def size(self) -> int:
        """Number of features f."""
        return int(self.W_enc.shape[1])

    @property
    def pointwise(self) -> bool:
        """Whether a feature's activation needs its own encoder column only."""
        return self.architecture not in COMPETING

    @property
    def lists(self) -> bool:
        """Whether ``kept``, on the CPU, names each feature once, rising: a pursuit does not."""
        return not self.pointwise and self.architecture != "matching_pursuit"

    def tensors(self) -> dict[str, Tensor]:
        """The tensors that this kind has, by name."""
        held = {name: getattr(self, name) for name in TENSORS}
        return {name: tensor for name, tensor in held.items() if tensor is not None}

    def to(self, where: torch.device | torch.dtype | str) -> "Sae":
        """The same dictionary on another device or in another precision."""
        moved: dict[str, Any] = {name: held.to(where) for name, held in self.tensors().items()}
        return replace(self, **moved)

    def scale(self, x: Tensor) -> Tensor:
        """What one unit of normalised space is at each token, ``[.., 1]``."""
        if self.normalize == "layer_norm":
            return x.std(-1, keepdim=True, unbiased=True)
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
        normal = x
        if self.normalize != "none":
            eps = LAYER_NORM_EPS if self.normalize == "layer_norm" else 0.0
            normal = (x - self.shift(x)) / (self.scale(x) + eps)
        return normal - self.b_dec if self.subtract_bias else normal

    def encode(self, x: Tensor) -> Tensor:
        """The code ``[.., f]`` of ``x [.., d]``."""
        if not self.pointwise:
            values, which = self.kept(x)
            # Added, because a pursuit may take one feature several times.
            return x.new_zeros(*x.shape[:-1], self.size).scatter_add(-1, which, values)
        return self._activate(self._input(x) @ self.W_enc + self.b_enc, lambda own: own)

    def kept(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Values and features ``[.., k]`` that a competing kind keeps of ``x [.., d]``.

        A pursuit may name a feature twice, or stop before k: activations are sums of its values.
        """
        values, which = self._choose(self._input(x))
        return self._capped(values if self.signed else values.relu()), which

    def _choose(self, c: Tensor) -> tuple[Tensor, Tensor]:
        if self.architecture == "matching_pursuit":
            return pursue(c, self.W_dec, self.k, self.least, self.stop_at_repeat)
        p = c @ self.W_enc + self.b_enc
        if self.architecture == "groupmax":
            values, inside = p.unflatten(-1, (self.k, -1)).max(-1)
            return values, inside + torch.arange(0, self.size, self.size // self.k, device=p.device)
        which = largest(p.abs() if self.architecture == "abstopk" else p, self.k)
        return p.gather(-1, which), which

    def encode_units(self, x: Tensor, features: Tensor) -> Tensor:
        """Activations ``[n, t]`` of one feature a row: ``x [n, t, d]``, ``features [n]``.

        Costs one dot product a token for point-wise kinds, a whole encoding for top-k kinds.
        """
        if not self.pointwise:
            index = features[:, None, None].expand(-1, x.shape[1], 1)
            return self.encode(x).gather(2, index)[..., 0]
        p = torch.einsum("ntd,dn->nt", self._input(x), self.W_enc[:, features])
        return self._activate(p + self.b_enc[features, None], lambda own: own[features, None])

    def _activate(self, p: Tensor, of: Callable[[Tensor], Tensor]) -> Tensor:
        """Code of pre-activations; ``of`` picks what a vector ``[f]`` holds for the units of p."""
        z = p.relu()
        if self.threshold is not None and self.architecture in THRESHOLDED:
            z = z * (p > of(self.threshold))
        elif self.architecture == "gated":
            assert self.gain is not None and self.b_mag is not None
            z = (p > 0) * (of(self.gain) * (p - of(self.b_enc)) + of(self.b_mag)).relu()
        elif self.architecture == "tanh-relu":
            z = z.tanh()
        return self._capped(z)

    def _capped(self, z: Tensor) -> Tensor:
        return self.softcap * (z / self.softcap).tanh() if self.softcap else z

    def decode(self, z: Tensor, x: Tensor) -> Tensor:
        """``x_hat [.., d]`` in the units of ``x``, whose normalisation it takes."""
        return (z @ self.W_dec + self.b_dec) * self.scale(x) + self.shift(x)
