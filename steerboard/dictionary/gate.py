"""Does a dictionary belong to its model? Measured on real activations before it is served."""

import torch
from torch import Tensor

from steerboard.dictionary.sae import Sae
from steerboard.spec.capabilities import Quality, TokenSet
from steerboard.spec.errors import DictionaryMisfit

FLOOR = 0.5  # explained variance below which a dictionary is refused
CLEARLY = 0.02  # by how much a neighbouring site must fit better


@torch.inference_mode()
def quality(sae: Sae, x: Tensor, tokens: TokenSet) -> Quality:
    """Explained variance and the like on rows ``x [n, d]`` of one token type (methods, 6)."""
    parts = [x[i : i + 4096] for i in range(0, len(x), 4096)]
    codes = [sae.encode(part) for part in parts]
    rebuilt = torch.cat([sae.decode(z, part) for z, part in zip(codes, parts, strict=True)])
    code = torch.cat(codes)
    left = (x - rebuilt).square().sum(0)
    spread = (x - x.mean(0)).square().sum(0).clamp(min=1e-12)
    return Quality(
        tokens=tokens,
        explained_variance=float(1 - left.sum() / spread.sum()),
        per_dimension=float((1 - left / spread).mean()),
        cosine=float(torch.cosine_similarity(x, rebuilt, dim=-1).mean()),
        l0=float((code != 0).sum(1).float().mean()),
        dead=float((code == 0).all(0).float().mean()),
    )


def split_tokens(x: Tensor, tokens: TokenSet, prefix: int) -> list[tuple[TokenSet, Tensor]]:
    """The token types of ``x [n, t, d]`` that a dictionary covers, each as rows ``[m, d]``."""
    parts: list[tuple[TokenSet, Tensor]] = []
    if tokens in ("prefix", "all"):
        parts.append(("prefix", x[:, :prefix].flatten(0, 1)))
    if tokens in ("patches", "all") and x.shape[1] > prefix:
        parts.append(("patches", x[:, prefix:].flatten(0, 1)))
    return parts


def gate(
    name: str, sae: Sae, site: str, sites: dict[str, Tensor], prefix: int
) -> tuple[Quality, ...]:
    """Measure ``sae`` at its site and refuse it if it does not fit.

    Args:
        name: For the message.
        sae: The dictionary.
        site: Where it says it belongs.
        sites: Calibration activations ``[n, t, d]`` of its site and of the neighbours to try.
        prefix: Number of prefix tokens.

    Raises:
        DictionaryMisfit: Wrong width, explained variance below ``FLOOR``, or a better neighbour.
    """
    width = sites[site].shape[-1]
    if sae.W_enc.shape[0] != width:
        raise DictionaryMisfit(
            f"dictionary {name} is {sae.W_enc.shape[0]} wide, {site} of this model is {width} wide"
        )
    found = tuple(
        quality(sae, rows, tokens) for tokens, rows in split_tokens(sites[site], sae.tokens, prefix)
    )
    worst = min(q.explained_variance for q in found)
    tried = {
        other: _worst(sae, x, prefix)
        for other, x in sites.items()
        if other != site and x.shape[-1] == width
    }
    better = [other for other, value in tried.items() if value > worst + CLEARLY]
    if worst < FLOOR or better:
        others = (
            ", ".join(f"{other} {value:.3f}" for other, value in tried.items()) or "no other site"
        )
        raise DictionaryMisfit(
            f"dictionary {name} does not fit {site}: explained variance {worst:.3f} there"
            f" (floor {FLOOR}), elsewhere {others};"
            " check layer, token set, input bias, normalisation and backbone"
        )
    return found


def _worst(sae: Sae, x: Tensor, prefix: int) -> float:
    return min(
        quality(sae, rows, t).explained_variance for t, rows in split_tokens(x, sae.tokens, prefix)
    )
