"""How much of the activations a dictionary keeps, for prefix and patch tokens apart."""

from collections.abc import Iterator

import torch

from demo.emojiland.tower import Sae


@torch.no_grad()
def fidelity(sae: Sae, x: torch.Tensor) -> Iterator[str]:
    """Lines about held-out residuals ``x [n, t, d]``; the first token is the prefix."""
    kinds = (
        {"prefix": x[:, :1]}
        if sae.tokens == "prefix"
        else {"prefix": x[:, :1], "patches": x[:, 1:]}
    )
    fired, left, total = torch.zeros(sae.W_enc.shape[1], dtype=torch.bool), 0.0, 0.0
    for name, part in kinds.items():
        flat = part.flatten(0, 1)
        residual, counts, active = _pass(sae, flat)
        fired |= active
        around = (flat - flat.mean(0)).square().sum(0)
        left, total = left + float(residual.sum()), total + float(around.sum())
        whole, each = 1 - float(residual.sum() / around.sum()), 1 - residual / around
        yield (
            f"   {name}: explained variance {whole:.3f}, mean over dimensions"
            f" {float(each.mean()):.3f}, L0 {counts / len(flat):.1f}"
        )
    yield f"   together {1 - left / total:.3f}, dead {100 * float((~fired).float().mean()):.1f} %"


def _pass(sae: Sae, flat: torch.Tensor) -> tuple[torch.Tensor, float, torch.Tensor]:
    """Squared error a dimension ``[d]``, active features summed, and which fired ``[f]``."""
    residual, counts = torch.zeros(flat.shape[1]), 0.0
    fired = torch.zeros(sae.W_enc.shape[1], dtype=torch.bool)
    for x in torch.split(flat, 8192):
        code = sae.encode(x)
        residual += (x - sae.decode(code)).square().sum(0)
        counts += float((code > 0).sum())
        fired |= (code > 0).any(0)
    return residual, counts, fired
