"""Load an open_clip model from a ``local-dir:`` folder, in float32 and for reading only."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from steerboard.model import torchvision_ops  # noqa: F401  (before open_clip)

import open_clip  # isort: skip

from steerboard.model.images import decode
from steerboard.model.tower import Tower
from steerboard.model.towers import read_tower
from steerboard.spec.digest import digest
from steerboard.spec.errors import InvalidRequest, NotFound

PRECISION = "float32"


@dataclass(frozen=True)
class LoadedModel:
    """Weights in memory with everything that turns pictures and texts into embeddings."""

    clip: Any
    tower: Tower
    tokenizer: Any
    transform: Any
    architecture: str
    fingerprint: str
    logit_scale: float
    logit_bias: float
    size: int

    def pixels(self, data: bytes, name: str = "the picture") -> Tensor:
        """Encoded picture to the tensor ``[3, h, w]`` that the tower reads; raises BadImage."""
        tensor: Tensor = self.transform(decode(data, name))
        return tensor

    @torch.inference_mode()
    def text(self, texts: list[str]) -> Tensor:
        """Unit-length text embeddings ``[c, e]``, in pieces of 256."""
        parts = [
            self.clip.encode_text(self.tokenizer(texts[i : i + 256]))
            for i in range(0, len(texts), 256)
        ]
        return functional.normalize(torch.cat(parts), dim=-1)

    def check_pixels(self, values: np.ndarray[Any, Any]) -> Tensor:
        """A preprocessed tensor as a caller sent it; raises InvalidRequest on a wrong shape."""
        want = (3, *self.tower.image_size)
        if values.shape != want:
            raise InvalidRequest(
                f"a preprocessed picture has shape {values.shape}, this model wants {want}",
                field="images",
            )
        return torch.from_numpy(values.astype(np.float32))


def load(folder: Path) -> LoadedModel:
    """Load the folder's model.

    Raises:
        NotFound: The folder lacks the two files of open_clip's own layout.
    """
    files = [folder / "open_clip_config.json", folder / "open_clip_model.safetensors"]
    for file in files:
        if not file.is_file():
            raise NotFound(
                f"{file} is missing: a model folder holds {files[0].name} and {files[1].name}"
            )
    clip, _, transform = open_clip.create_model_and_transforms(f"local-dir:{folder}")
    clip = clip.float().eval().requires_grad_(False)
    config = json.loads(files[0].read_text())
    tower = read_tower(clip.visual)
    bias = getattr(clip, "logit_bias", None)
    return LoadedModel(
        clip=clip,
        tower=tower,
        tokenizer=open_clip.get_tokenizer(f"local-dir:{folder}"),
        transform=transform,
        architecture=tower.summary,
        fingerprint=digest(config, hashlib.sha256(files[1].read_bytes()).hexdigest(), PRECISION),
        logit_scale=float(clip.logit_scale.exp()),
        logit_bias=0.0 if bias is None else float(bias),
        size=sum(p.numel() * p.element_size() for p in clip.parameters()),
    )
