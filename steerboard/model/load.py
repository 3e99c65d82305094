"""Load an open_clip model from wherever its weights are, in float32 and for reading only."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from steerboard.model.find import find, unweighted
from steerboard.model.images import decode
from steerboard.model.sources import NoTokenizer, Source
from steerboard.model.tower import Tower
from steerboard.model.towers import read_tower
from steerboard.spec.digest import digest
from steerboard.spec.errors import InvalidRequest

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

    @property
    def sigmoid(self) -> bool:
        """Whether the model was trained with SigLIP's loss: each prompt is true or false alone."""
        return getattr(self.clip, "logit_bias", None) is not None

    @property
    def reads_texts(self) -> bool:
        """Whether the model's tokenizer is here."""
        return not isinstance(self.tokenizer, NoTokenizer)

    @property
    def preprocessing(self) -> Mapping[str, Any]:
        """How pictures are brought to the tower: size, mean, std, interpolation, way to resize."""
        told: Mapping[str, Any] = self.clip.visual.preprocess_cfg
        return told

    def pixels(self, data: bytes, name: str = "the picture") -> Tensor:
        """Encoded picture to the tensor ``[3, h, w]`` that the tower reads; raises BadImage."""
        tensor: Tensor = self.transform(decode(data, name))
        return tensor

    @torch.inference_mode()
    def text(self, texts: list[str]) -> Tensor:
        """Unit-length text embeddings ``[c, e]``, in pieces of 256, where the weights are.

        Raises:
            InvalidRequest: The model's texts cannot be read here; the sentence says what lacks.
        """
        device = self.clip.logit_scale.device
        parts = [
            self.clip.encode_text(self.tokenizer(texts[i : i + 256]).to(device))
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


def load(where: Path | str, architecture: str = "") -> LoadedModel:
    """Load a model.

    Args:
        where: A folder of open_clip (``open_clip_config.json`` and weights), a CLIPModel or
            SiglipModel folder of Hugging Face, a file of weights, or a tag
            (``hf-hub:OWNER/NAME``, ``ARCHITECTURE/TAG``).
        architecture: open_clip's name of what a lone file of weights belongs to.

    Raises:
        NotFound: Nothing is there.
        Unavailable: A tag whose weights are not on this machine and cannot be fetched.
        InvalidRequest: The weights do not fit, or are in a form that is not read.
    """
    return read(find(where, architecture))


def load_random(architecture: str) -> LoadedModel:
    """One of open_clip's architectures with random weights of seed 0: to look at, not to serve.

    Raises:
        NotFound: open_clip has no such architecture.
    """
    return read(unweighted(architecture))


def read(source: Source) -> LoadedModel:
    """The model of a source."""
    clip, transform = source.build()
    clip = clip.float().eval().requires_grad_(False)
    tower = read_tower(clip.visual)
    return LoadedModel(
        clip=clip,
        tower=tower,
        tokenizer=source.tokenizer(),
        transform=transform,
        architecture=tower.summary,
        fingerprint=fingerprint(source, clip),
        logit_scale=float(clip.logit_scale.exp()),
        logit_bias=bias_of(clip),
        size=sum(p.numel() * p.element_size() for p in clip.parameters()),
    )


def bias_of(clip: Any) -> float:
    """What is added to every logit: SigLIP's bias, else 0."""
    bias = getattr(clip, "logit_bias", None)
    return 0.0 if bias is None else float(bias)


def fingerprint(source: Source, clip: Any) -> str:
    """Digest of architecture, preprocessing, weights and precision."""
    return digest(source.config(clip), source.weights_digest(clip), PRECISION)
