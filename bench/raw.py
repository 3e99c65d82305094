"""The ceiling: the model's own forward in this process, and the same through plain hooks."""

import numpy as np
import torch
from torch.nn import functional

from steerboard.model.load import LoadedModel
from steerboard.model.placement import full

NEURON = 3  # the coordinate that sliders move
PROMPTS = ("a photo of a cat", "a photo of a dog")


class Classifier:
    """Preprocessed pictures ``[n, 3, h, w]`` to logits ``[n, 2]`` by open_clip alone.

    Computed where the model lies; what comes back lies in this machine's memory, so it is done.
    """

    def __init__(self, loaded: LoadedModel) -> None:
        self.visual = loaded.clip.visual
        self.like = next(self.visual.parameters())
        self.weight = loaded.logit_scale * loaded.text(list(PROMPTS))

    @torch.inference_mode()
    def __call__(self, pixels: np.ndarray) -> np.ndarray:
        return self.logits(self.visual(self.there(pixels))).cpu().numpy()

    def there(self, pixels: np.ndarray) -> torch.Tensor:
        """As the tower reads them; on a GPU they are brought to its precision there."""
        return torch.from_numpy(pixels).to(self.like.device).to(self.like.dtype)

    def logits(self, embeddings: torch.Tensor) -> torch.Tensor:
        """Of embeddings ``[n, e]`` as the tower gives them."""
        return functional.normalize(full(embeddings), dim=-1) @ self.weight.T

    def steered(self, pixels: np.ndarray, block: int, m: float, neuron: int = NEURON) -> np.ndarray:
        """One coordinate of a block's output scaled, by a forward hook."""

        def edit(_module, _inputs, out):
            out = out.clone()
            out[..., neuron] *= 1 + m
            return out

        handle = self.visual.transformer.resblocks[block].register_forward_hook(edit)
        try:
            return self(pixels)
        finally:
            handle.remove()
