"""Which features of a dictionary point nearly the same way as others."""

from collections.abc import Sequence

import torch
from torch.nn import functional

from steerboard.dictionary.sae import Sae
from steerboard.spec.answers import Neighbours
from steerboard.spec.errors import InvalidRequest

MAX_FEATURES, MAX_NEIGHBOURS = 1024, 64
BLOCK = 256


@torch.inference_mode()
def nearest(sae: Sae, features: Sequence[int], count: int) -> Neighbours:
    """The ``count`` features of the largest cosine to each of ``features [n]``, equal ones first.

    Cosines of decoder rows ``[f, d]``, on the CPU: folded norms and scales do not change them.

    Raises:
        InvalidRequest: Too many, or no features of this dictionary.
    """
    rows = functional.normalize(sae.W_dec.detach().cpu().float(), dim=-1)
    check(features, count, len(rows))
    count = min(count, len(rows) - 1)
    which, cosines = [], []
    for start in range(0, len(features), BLOCK):
        own = torch.tensor(features[start : start + BLOCK])
        near = rows[own] @ rows.T
        near[torch.arange(len(own)), own] = -torch.inf
        values, found = near.topk(count, dim=1)
        which.append(found)
        cosines.append(values)
    return Neighbours(torch.cat(which).numpy(), torch.cat(cosines).numpy())


def check(features: Sequence[int], count: int, size: int) -> None:
    """Raises InvalidRequest for what is not asked so."""
    if not 1 <= len(features) <= MAX_FEATURES:
        raise InvalidRequest(
            f"ask for 1 to {MAX_FEATURES} features at a time, not {len(features)}", field="features"
        )
    if not 1 <= count <= MAX_NEIGHBOURS:
        raise InvalidRequest(
            f"ask for 1 to {MAX_NEIGHBOURS} neighbours of each, not {count}", field="count"
        )
    wrong = next((f for f in features if not 0 <= f < size), None)
    if wrong is not None:
        raise InvalidRequest(
            f"this dictionary has features 0 to {size - 1}, not {wrong}", field="features"
        )
