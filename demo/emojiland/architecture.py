"""The shape of the Emojiland model, its pixels, and its open_clip folder on disk."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from safetensors.torch import save_file

from steerboard.model import torchvision_ops  # noqa: F401  (before open_clip)

import open_clip  # isort: skip

MEAN, STD = 0.5, 0.25
CONTEXT = 24
CONFIG: dict[str, Any] = {
    "model_cfg": {
        "embed_dim": 128,
        "vision_cfg": {
            "image_size": 96, "patch_size": 12, "width": 192, "layers": 6, "head_width": 64,
        },
        "text_cfg": {
            "context_length": CONTEXT, "vocab_size": 49408, "width": 128, "heads": 4, "layers": 3,
        },
    },
    "preprocess_cfg": {
        "mean": [MEAN] * 3, "std": [STD] * 3, "interpolation": "bicubic",
        "resize_mode": "shortest", "size": 96,
    },
}  # fmt: skip


def new_model(seed: int = 0) -> Any:
    """The untrained model."""
    torch.manual_seed(seed)
    return open_clip.CLIP(**CONFIG["model_cfg"])


def load_model(folder: Path) -> Any:
    """A trained model in float32."""
    model, _, _ = open_clip.create_model_and_transforms(f"local-dir:{folder}")
    return model.float().eval()


def save(model: Any, out: Path) -> None:
    """Write an open_clip ``local-dir:`` folder, weights in half precision."""
    out.mkdir(parents=True, exist_ok=True)
    weights = {k: v.detach().half().contiguous() for k, v in model.state_dict().items()}
    save_file(weights, out / "open_clip_model.safetensors")
    (out / "open_clip_config.json").write_text(json.dumps(CONFIG, indent=1) + "\n")


def tokens(sentences: list[str]) -> torch.Tensor:
    """Token ids ``[c, 24]``."""
    ids: torch.Tensor = open_clip.tokenize(sentences, context_length=CONTEXT)
    return ids


def to_pixels(raw: npt.NDArray[np.uint8]) -> torch.Tensor:
    """uint8 ``[b, h, w, 3]`` to the normalised ``[b, 3, h, w]`` that the model wants."""
    return ((torch.from_numpy(raw).permute(0, 3, 1, 2).float() / 255) - MEAN) / STD
