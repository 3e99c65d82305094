"""Activation times gradient of the features of a dictionary (methods, section 3; arXiv 2604.11467).

    R_f = sum over t of z_tf dy/dz_tf,    the model seeing x_hat + stop_gradient(x - x_hat)

and, exactly, ``sum_f R_f + R_bias + R_err = x . grad y`` over the dictionary's tokens.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from steerboard.dictionary.sae import Sae


@dataclass(frozen=True)
class Scores:
    """One image and target; ``token_scores`` and ``code`` are ``[t, f]`` over all tokens."""

    token_scores: Tensor
    code: Tensor
    error: float
    bias: float
    total: float


def score(sae: Sae, x: Tensor, gradient: Tensor, alive: Tensor, method: str = "gradient") -> Scores:
    """Scores of every feature at every token.

    Args:
        sae: The dictionary of the site.
        x: Activations ``[t, d]`` of the clean pass.
        gradient: ``dy/dx [t, d]``.
        alive: Where the dictionary encodes, bool ``[t]``.
        method: gradient, activation (sum of z) or energy (sum of z norm(v)). The error and bias
            rows belong to the gradient only and are 0 for the other two.
    """
    mask = alive[:, None].to(x.dtype)
    code = sae.encode(x) * mask
    if method == "activation":
        return Scores(code, code, 0.0, 0.0, 0.0)
    scale = sae.scale(x)
    if method == "energy":
        return Scores(code * sae.W_dec.norm(dim=1) * scale, code, 0.0, 0.0, 0.0)
    masked = gradient * mask
    token_scores = code * (masked @ sae.W_dec.T) * scale
    return Scores(
        token_scores,
        code,
        error=float((masked * (x - sae.decode(code, x))).sum(dtype=torch.float64)),
        bias=float((masked * (sae.b_dec * scale + sae.shift(x))).sum(dtype=torch.float64)),
        total=float((masked * x).sum(dtype=torch.float64)),
    )
