"""The explicit tower against open_clip's own forward pass."""

import os
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn import functional

from steerboard.model import torchvision_ops  # noqa: F401

import open_clip  # isort: skip

from steerboard.model.load import load
from steerboard.model.tower import Tower, block_of, site_names
from steerboard.spec.errors import InvalidRequest

VISION = {"image_size": 32, "patch_size": 8, "width": 24, "layers": 3, "head_width": 8}
TEXT = {"context_length": 12, "vocab_size": 100, "width": 16, "heads": 2, "layers": 1}


def random_clip(**vision: Any) -> Any:
    torch.manual_seed(0)
    return open_clip.CLIP(16, VISION | vision, TEXT).eval()


@pytest.mark.parametrize(
    "vision",
    [
        {},
        {"no_ln_pre": True},
        {"pool_type": "avg"},
        {"pool_type": "avg", "final_ln_after_pool": True},
        {"ls_init_value": 0.1},
    ],
)
@torch.inference_mode()
def test_equals_encode_image(vision: dict[str, Any]) -> None:
    clip = random_clip(**vision)
    pixels = torch.randn(3, 3, 32, 32)
    tower = Tower(clip.visual)
    torch.testing.assert_close(
        tower.run(tower.start(pixels), 0), clip.encode_image(pixels), atol=1e-5, rtol=1e-5
    )


@torch.inference_mode()
def test_every_suffix_gives_the_same_embedding_and_every_site_is_met_in_order() -> None:
    tower = Tower(random_clip().visual)
    x, met, outputs = tower.start(torch.randn(2, 3, 32, 32)), [], {}

    def visit(site: str, value: torch.Tensor) -> torch.Tensor:
        met.append(site)
        outputs[site] = value
        return value

    whole = tower.run(x, 0, visit)
    assert met == site_names(3)
    assert outputs["mlp_post.1"].shape == (2, 17, 96) and outputs["embedding"].shape == (2, 1, 16)
    for block in range(3):
        assert torch.equal(tower.run(outputs[f"resid_post.{block}"], block + 1), whole)
        assert block_of(f"resid_post.{block}", 3) == block


@torch.inference_mode()
def test_what_a_visit_returns_is_what_goes_on() -> None:
    tower = Tower(random_clip().visual)
    x = tower.start(torch.randn(1, 3, 32, 32))
    clean = tower.run(x, 0)
    for wanted in site_names(3):

        def visit(site: str, value: torch.Tensor, wanted: str = wanted) -> torch.Tensor:
            # A ramp, since a LayerNorm behind the site would hide a shift or a factor.
            return value + torch.linspace(-1, 1, value.shape[-1]) if site == wanted else value

        assert not torch.allclose(tower.run(x, 0, visit), clean), wanted


def test_other_towers_are_refused() -> None:
    with pytest.raises(InvalidRequest, match="not a VisionTransformer"):
        Tower(random_clip(attentional_pool=True).visual)
    with pytest.raises(InvalidRequest, match="pool"):
        Tower(random_clip(pool_type="none").visual)


REAL = os.environ.get("STEERBOARD_REAL_MODEL")


@pytest.mark.skipif(not REAL, reason="STEERBOARD_REAL_MODEL names no model folder")
@torch.inference_mode()
@pytest.mark.parametrize("pool", ["tok", "avg"])
def test_the_real_model_equals_encode_image(pool: str) -> None:
    loaded = load(Path(REAL or ""))
    loaded.clip.visual.pool_type = pool
    tower = Tower(loaded.clip.visual)
    pixels = torch.randn(2, 3, *tower.image_size)
    ours, theirs = tower.run(tower.start(pixels), 0), loaded.clip.encode_image(pixels)
    # These embeddings have a norm of 34 to 55, where float32 itself rounds by more than 1e-5:
    # unit length (what a runner serves) is compared in float32, the arithmetic in float64.
    torch.testing.assert_close(
        functional.normalize(ours), functional.normalize(theirs), atol=1e-5, rtol=0
    )
    loaded.clip.double()
    exact = tower.run(tower.start(pixels.double()), 0)
    torch.testing.assert_close(exact, loaded.clip.encode_image(pixels.double()), atol=1e-12, rtol=0)
