"""Units read as if they were the last block's output (vocabulary projection)."""

from weakref import WeakKeyDictionary

import torch
from torch import Tensor
from torch.nn import functional

from steerboard.attribution.units import Directions, Features, Heads, Units
from steerboard.dictionary.sae import Sae
from steerboard.inprocess.served import ServedModel
from steerboard.inprocess.targets import Aim
from steerboard.model.placement import full
from steerboard.spec.errors import InvalidRequest
from steerboard.spec.requests import Margin, ProbeOutput

PIECE = 64  # units that are projected at once
_known: WeakKeyDictionary[Sae, Tensor] = WeakKeyDictionary()


def lens(served: ServedModel, units: Units, site: str, aim: Aim) -> Tensor:
    """Cosine of each projected unit with what the target reads, ``[f]``; a margin's difference.

    Raises:
        InvalidRequest: The site is not on the residual stream.
    """
    image = projections(served, units, site)
    return image @ text(aim).to(image)


def text(aim: Aim) -> Tensor:
    """The unit vector ``[e]`` that a target compares with; for a margin a difference of two."""
    weight = functional.normalize(aim.head.weight, dim=-1)
    if isinstance(aim.asked, ProbeOutput):
        return functional.normalize(aim.direction(weight[0]), dim=0)
    if isinstance(aim.asked, Margin):
        return weight[aim.resolved.index] - weight[aim.resolved.against]
    return weight[aim.resolved.index]


def projections(served: ServedModel, units: Units, site: str) -> Tensor:
    """Unit-length embeddings ``[f, e]`` of the units' directions, on the CPU."""
    if isinstance(units, Features):
        if units.sae not in _known:
            _known[units.sae] = projected(served, units.sae.W_dec, site)
        return _known[units.sae]
    if isinstance(units, Directions):
        return projected(served, units.rows, site)
    place = served.info.site(site)
    if isinstance(units, Heads) or place is None:
        raise InvalidRequest(
            "a head has no direction of its own, so logit_lens cannot read it: score it by"
            " gradient",
            field="method",
        )
    return projected(served, torch.eye(place.width), site)


def projected(served: ServedModel, rows: Tensor, site: str) -> Tensor:
    """Unit-length embeddings ``[f, e]`` of rows ``[f, d]`` of the residual stream."""
    tower = served.loaded.tower
    if site == "embedding":
        return functional.normalize(rows.float().cpu(), dim=-1)
    if not site.startswith("resid") or rows.shape[1] != tower.width:
        raise InvalidRequest(
            f"logit_lens reads the residual stream, which {site} is not: choose resid_post or"
            " resid_pre, or another method",
            field="method",
        )
    like = next(tower.visual.parameters())
    with torch.inference_mode():
        parts = [
            full(tower.pool(piece.to(like)[:, None].expand(-1, tower.tokens, -1)))
            for piece in rows.split(PIECE)
        ]
        return functional.normalize(torch.cat(parts), dim=-1).cpu().clone()
