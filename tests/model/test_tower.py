"""The explicit tower of the real model against open_clip's own forward pass."""

import os
from pathlib import Path

import pytest
import torch
from torch.nn import functional

from steerboard.model.load import load
from steerboard.model.towers import read_tower

REAL = os.environ.get("STEERBOARD_REAL_MODEL")


@pytest.mark.skipif(not REAL, reason="STEERBOARD_REAL_MODEL names no model folder")
@torch.inference_mode()
@pytest.mark.parametrize("pool", ["tok", "avg"])
def test_the_real_model_equals_encode_image(pool: str) -> None:
    loaded = load(Path(REAL or ""))
    loaded.clip.visual.pool_type = pool
    tower = read_tower(loaded.clip.visual)
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
