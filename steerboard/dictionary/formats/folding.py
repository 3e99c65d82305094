"""Folding: what other programs do around a dictionary, put into its tensors once, in float64.

Codes stay what the other program would have computed; ``W_dec`` becomes ``d x_hat / d z``.
"""

from dataclasses import replace

import torch
from torch import Tensor

from steerboard.dictionary.sae import Sae


def rescaled_by_decoder(sae: Sae) -> Sae:
    """``p *= norm(W_dec row)`` before the activation, ``z /= norm`` before decoding (SAELens)."""
    norm = sae.W_dec.double().norm(dim=1)
    return replace(
        sae,
        W_enc=(sae.W_enc.double() * norm).float(),
        b_enc=(sae.b_enc.double() * norm).float(),
        W_dec=(sae.W_dec.double() / norm.clamp(min=1e-30)[:, None]).float(),
    )


def scaled_codes(sae: Sae, factor: Tensor) -> Sae:
    """``z *= factor [f]`` before decoding (SAELens' old ``scaling_factor``)."""
    return replace(sae, W_dec=sae.W_dec * factor[:, None])


def affine_input(sae: Sae, mean: Tensor, scale: Tensor) -> Sae:
    """Trained on ``(x - mean) / scale``, with ``mean [d]`` and one ``scale``, and undone after.

    ``(x - mean) / s - b = (x - (mean + s b)) / s``, so the bias moves, the encoder is divided and
    the decoder multiplied; without a bias on the input the mean goes into b_enc.
    """
    s, W_enc = scale.double(), sae.W_enc.double() / scale.double()
    b_enc = sae.b_enc if sae.subtract_bias else (sae.b_enc.double() - mean.double() @ W_enc).float()
    return replace(
        sae,
        W_enc=W_enc.float(),
        b_enc=b_enc,
        W_dec=(sae.W_dec.double() * s).float(),
        b_dec=(mean.double() + s * sae.b_dec.double()).float(),
    )


def flat_threshold(value: float, like: Tensor, *, inclusive: bool = False) -> Tensor:
    """One threshold for all features ``[f]``; ``inclusive`` where the source keeps ``z >= value``.

    Ours keeps ``p > threshold``: the next smaller float makes the two the same.
    """
    threshold = torch.full_like(like, value)
    return below(threshold) if inclusive else threshold


def below(threshold: Tensor) -> Tensor:
    """Give the next smaller floats, so that comparing by > with them is >= as before."""
    return torch.nextafter(threshold, torch.full_like(threshold, -torch.inf))
