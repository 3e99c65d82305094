"""The ceiling: the model's own forward in this process, and the same through plain hooks."""

import numpy as np
import torch
from torch.nn import functional

from steerboard.model.load import LoadedModel

PROMPTS = ("a photo of a cat", "a photo of a dog")


class Classifier:
    """Preprocessed pictures ``[n, 3, h, w]`` to logits ``[n, 2]`` by open_clip alone."""

    def __init__(self, loaded: LoadedModel) -> None:
        self.visual = loaded.clip.visual
        self.weight = loaded.logit_scale * loaded.text(list(PROMPTS))

    @torch.inference_mode()
    def __call__(self, pixels: np.ndarray) -> np.ndarray:
        found = functional.normalize(self.visual(torch.from_numpy(pixels)), dim=-1)
        return (found @ self.weight.T).numpy()

    def steered(self, pixels: np.ndarray, block: int, neuron: int, m: float) -> np.ndarray:
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
