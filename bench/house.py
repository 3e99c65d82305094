"""Models of real architectures with random weights: speed does not depend on what they learned.

``emojiland`` is the demo's own small model, where serving and not the model is the cost.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from steerboard.model import torchvision_ops  # noqa: F401  (before open_clip)

import open_clip  # isort: skip

from steerboard.dictionary.sae import Sae
from steerboard.inprocess.served import ServedModel, describe_site
from steerboard.model.edits import Editor, Layout
from steerboard.model.load import LoadedModel
from steerboard.model.load import load as load_folder
from steerboard.model.placement import HOST, Placement, choose
from steerboard.model.towers import read_tower
from steerboard.spec.capabilities import DictionaryInfo, Limits, ModelInfo
from steerboard.spec.digest import digest

N_BAR = 10.0
EMOJILAND = "emojiland"
DEMO = Path(__file__).resolve().parents[1] / "demo"


@dataclass(frozen=True)
class Plan:
    """What is built: an open_clip architecture, and one ReLU dictionary behind a block.

    ``bias`` of its features: with -2 about one in twenty-five fires at a token of a ViT-B/16's
    block 8, with -3.5 one in a thousand, as in trained dictionaries.
    """

    architecture: str = "ViT-B-32"
    features: int = 0
    block: int = 8
    bias: float = -2.0


def placement(environment: Mapping[str, str] = os.environ) -> Placement:
    """What the service's own settings say to a child of the bench; the CPU unless they do."""
    device = environment.get("STEERBOARD_DEVICE") or "cpu"
    return choose(device, environment.get("STEERBOARD_PRECISION") or HOST.precision)


def load(architecture: str, there: Placement = HOST) -> LoadedModel:
    """A model with all of it on a device, its image tower in the precision of the placement."""
    found = read(architecture)
    found.clip.to(there.device)
    found.tower.visual.to(there.dtype)
    return replace(found, fingerprint=digest(found.fingerprint, there.precision))


def read(architecture: str) -> LoadedModel:
    """The architecture with weights of seed 0, or the demo's model."""
    if architecture == EMOJILAND:
        return load_folder(DEMO / "model")
    torch.manual_seed(0)
    clip, _, transform = open_clip.create_model_and_transforms(architecture)
    clip = clip.float().eval().requires_grad_(False)
    return LoadedModel(
        clip=clip,
        tower=read_tower(clip.visual),
        tokenizer=open_clip.get_tokenizer(architecture),
        transform=transform,
        architecture=architecture,
        fingerprint=digest("bench", architecture),
        logit_scale=float(clip.logit_scale.exp()),
        logit_bias=0.0,
        size=sum(p.numel() * p.element_size() for p in clip.parameters()),
    )


def dictionary(width: int, features: int, level: float) -> Sae:
    """Random rows; the lower the bias, the fewer fire."""
    torch.manual_seed(1)
    rows = torch.randn(features, width) / width**0.5
    bias = torch.full((features,), level)
    return Sae(rows.T.contiguous(), bias, rows, torch.zeros(width))


def build(plan: Plan, loaded: LoadedModel | None = None, there: Placement = HOST) -> ServedModel:
    """Ready to serve, without calibration: no claim about meaning is made here.

    Where it is given, the model lies ``there`` already.
    """
    loaded = loaded or load(plan.architecture, there)
    tower = loaded.tower
    sites = [site.name for site in tower.sites]
    books = {}
    if plan.features:
        books["book"] = dictionary(tower.width, plan.features, plan.bias).to(there.device)
    told = tuple(
        DictionaryInfo(
            id=name,
            fingerprint=name,
            site=f"resid_post.{plan.block}",
            tokens=sae.tokens,
            architecture=sae.architecture,
            size=sae.size,
        )
        for name, sae in books.items()
    )
    editor = Editor(
        Layout(tower.prefix, tower.grid), books, dict.fromkeys(sites, N_BAR), tower.heads
    )
    info = ModelInfo(
        id=plan.architecture,
        fingerprint=loaded.fingerprint,
        architecture=plan.architecture,
        image_size=tower.image_size,
        grid=tower.grid,
        prefix_tokens=tower.prefix,
        pooled_from="prefix",
        embedding_width=tower.embedding_width,
        logit_scale=loaded.logit_scale,
        precision=there.precision,
        sites=tuple(describe_site(tower, site, N_BAR) for site in sites),
        dictionaries=told,
        limits=Limits(
            max_images=512,
            max_prompts=4096,
            max_steer_sets=256,
            max_image_bytes=2**24,
            max_image_pixels=2**24,
        ),
    )
    return ServedModel(loaded, editor, books, info, there)


def pictures(count: int, seed: int, size: tuple[int, int] = (224, 224)) -> np.ndarray:
    """Preprocessed tensors ``[count, 3, height, width]``, no two alike."""
    return np.random.default_rng(seed).standard_normal((count, 3, *size), dtype=np.float32)
