"""What was baked, and a checkpoint that holds it: an ordinary one of open_clip."""

import copy
import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from steerboard.model.load import LoadedModel
from steerboard.model.tower import Tower, block_of
from steerboard.model.towers import read_tower
from steerboard.recipe.gates import Gate
from steerboard.spec.base import Spec
from steerboard.spec.errors import InvalidRequest

WEIGHTS = "open_clip_model.safetensors"


class Fit(Spec):
    """How well one block's change is predicted, on pictures that the fit did not see.

    R^2 = 1 - squared error / squared change about its mean, over all dimensions; null where the
    tokens do not change at all.
    """

    site: str
    edits: int
    ridge: float
    r2: float | None
    r2_prefix: float | None
    r2_patches: float | None
    pictures: int
    tokens: int


@dataclass(frozen=True, eq=False)
class Baked:
    """What is added to each site's output projection (``[h + 1, d]``), and how well it fits.

    ``weights`` stand in place of the image tower's own, by name; what is added comes on top.
    """

    added: Mapping[str, Tensor]
    fits: tuple[Fit, ...]
    weights: Mapping[str, Tensor] = field(default_factory=dict)
    gates: tuple[Gate, ...] = ()


def with_weights(loaded: LoadedModel, weights: Mapping[str, Tensor]) -> Tower:
    """A copy of the image tower with some weights in place of its own."""
    visual = copy.deepcopy(loaded.clip.visual)
    with torch.no_grad():
        for name, own in visual.named_parameters():
            if name in weights:
                own.copy_(weights[name])
    return read_tower(visual)


def projection(loaded: LoadedModel, site: str) -> tuple[Any, Tensor | None]:
    """The linear layer before a block's output, and the LayerScale behind it (None: none)."""
    passes: Any = getattr(loaded.tower, "passes", None)
    own = passes[block_of(site, len(passes))] if passes is not None else None
    output = getattr(own.mlp, "output", None) if own is not None else None
    after: Any = getattr(own, "after_mlp", None)
    plain = isinstance(after, torch.nn.Identity)
    gamma = getattr(after, "gamma", None)
    if not isinstance(output, torch.nn.Linear) or not (plain or gamma is not None):
        raise InvalidRequest(
            f"the block before {site} does not end in one linear layer of its MLP: this model's"
            " recipes can be applied (steerboard.apply), not baked"
        )
    return output, gamma


def projected(loaded: LoadedModel, baked: Baked) -> dict[str, Tensor]:
    """All that is baked as weights of the image tower, by name, in place of its own."""
    weights = dict(baked.weights)
    names = {id(module): name for name, module in loaded.clip.visual.named_modules()}
    for site, added in baked.added.items():
        output, gamma = projection(loaded, site)
        own = names[id(output)]
        step = added if gamma is None else added / gamma.double()
        for name, held, part in (
            (f"{own}.weight", output.weight, step[:-1].T), (f"{own}.bias", output.bias, step[-1])
        ):  # fmt: skip
            weights[name] = (weights.get(name, held).double() + part).to(held.dtype)
    return weights


def write_checkpoint(source: Path, target: Path, loaded: LoadedModel, baked: Baked) -> None:
    """A copy of the model's folder whose weights hold the recipe.

    Raises:
        InvalidRequest: ``target`` is there already.
    """
    if target.exists():
        raise InvalidRequest(f"{target} is there already: choose a new folder")
    weights = load_file(source / WEIGHTS)
    for name, value in projected(loaded, baked).items():
        put(weights, f"visual.{name}", value)
    shutil.copytree(source, target, ignore=shutil.ignore_patterns(WEIGHTS))
    save_file({k: v.contiguous() for k, v in weights.items()}, target / WEIGHTS)
    fits = [fit.model_dump(mode="json") for fit in baked.fits]
    (target / "steerboard_baked.json").write_text(json.dumps(fits, indent=1) + "\n")


def put(weights: dict[str, Tensor], name: str, value: Tensor) -> None:
    """One tensor in place of another, in its precision; raises InvalidRequest where none is."""
    if name not in weights:
        raise InvalidRequest(f"the checkpoint has no {name}: this layer cannot take the recipe")
    weights[name] = value.detach().to(weights[name])
