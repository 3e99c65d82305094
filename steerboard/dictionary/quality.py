"""How well a dictionary rebuilds rows of activations (methods, section 6)."""

from dataclasses import dataclass

import torch
from torch import Tensor

from steerboard.dictionary.native import Gate
from steerboard.dictionary.sae import Sae
from steerboard.spec.capabilities import Quality, TokenSet

CELLS = 2**25  # numbers of a dense code held at once
LEAST = 1e-12


@dataclass(frozen=True)
class Measured:
    """The quality of rows of one token type, and one number to compare pairings by.

    ``score`` is the mean over dimensions of each one's explained variance, none below -1: a few
    massive dimensions alone make the explained variance of neighbouring layers look alike. For a
    dictionary of directions it is taken after the best scale at each token.
    """

    quality: Quality
    score: float


@torch.inference_mode()
def measure(sae: Sae, x: Tensor, tokens: TokenSet, judge: Gate = "explained_variance") -> Measured:
    """Quality of ``sae`` on rows ``x [n, d]`` of one token type, in pieces that fit in memory."""
    home = sae.W_enc.device
    left, rescaled = torch.zeros(2, x.shape[1], device=home)
    fired = torch.zeros(sae.size, dtype=torch.bool, device=home)
    active, cosine = 0.0, 0.0
    for piece in x.split(max(1, CELLS // sae.size)):
        part = piece.to(home)
        code = sae.encode(part)
        rebuilt = sae.decode(code, part)
        left += (part - rebuilt).square().sum(0)
        length = rebuilt.square().sum(1, keepdim=True).clamp(min=LEAST)
        best = (part * rebuilt).sum(1, keepdim=True) / length * rebuilt
        rescaled += (part - best).square().sum(0)
        cosine += float(torch.cosine_similarity(part, rebuilt, dim=-1).sum())
        active += float((code != 0).sum())
        fired |= (code != 0).any(0)
    spread = (x - x.mean(0)).square().sum(0).clamp(min=LEAST).to(home)
    found = Quality(
        tokens=tokens,
        explained_variance=float(1 - left.sum() / spread.sum()),
        per_dimension=float((1 - left / spread).mean()),
        cosine=cosine / max(1, len(x)),
        l0=active / max(1, len(x)),
        dead=float((~fired).float().mean()),
    )
    judged = rescaled if judge == "cosine" else left
    return Measured(found, float((1 - judged / spread).clamp(min=-1).mean()))


def quality(sae: Sae, x: Tensor, tokens: TokenSet) -> Quality:
    """Explained variance and the like on rows ``x [n, d]`` of one token type."""
    return measure(sae, x, tokens).quality


def split_tokens(x: Tensor, tokens: TokenSet, prefix: int) -> dict[TokenSet, Tensor]:
    """The token types of ``x [n, t, d]`` that are there and asked for, each as rows ``[m, d]``."""
    parts: dict[TokenSet, Tensor] = {}
    if tokens in ("prefix", "all") and prefix:
        parts["prefix"] = x[:, :prefix].flatten(0, 1)
    if tokens in ("patches", "all") and x.shape[1] > prefix:
        parts["patches"] = x[:, prefix:].flatten(0, 1)
    return parts
