"""The trained model cut behind one block, and a dictionary read back from its file."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from torch.nn import functional

from demo.emojiland.architecture import tokens
from demo.emojiland.world import CLASSES, TEMPLATE


@dataclass(frozen=True)
class Sae:
    """The tensors of a shipped dictionary: ``W_enc [d, f]``, ``b_enc [f]``, ``W_dec [f, d]``."""

    W_enc: torch.Tensor
    b_enc: torch.Tensor
    W_dec: torch.Tensor
    b_dec: torch.Tensor
    k: int
    block: int
    tokens: str

    def encode(self, x: torch.Tensor) -> torch.Tensor:
        """``[.., d]`` to the code ``[.., f]``."""
        values, which = ((x - self.b_dec) @ self.W_enc + self.b_enc).topk(self.k, dim=-1)
        code = torch.zeros(*x.shape[:-1], self.W_enc.shape[1])
        return code.scatter(-1, which, values.relu())

    def decode(self, code: torch.Tensor) -> torch.Tensor:
        """``[.., f]`` back to ``[.., d]``."""
        return code @ self.W_dec + self.b_dec


def read_sae(path: Path) -> Sae:
    """Read a dictionary file of the project's own format."""
    with safe_open(path, "pt") as file:
        header = json.loads(file.metadata()["steerboard.dictionary"])
        tensors = {key: file.get_tensor(key).float() for key in file.keys()}  # noqa: SIM118
    block = int(header["site"].split(".")[1])
    return Sae(**tensors, k=header["k"], block=block, tokens=header["tokens"])


class Tower:
    """The image tower cut behind one block, and the zero-shot head ``[c, e]``."""

    def __init__(self, model: Any, block: int) -> None:
        self.visual, self.block = model.visual, block
        with torch.no_grad():
            sentences = tokens([TEMPLATE.format(name) for name in CLASSES])
            text = functional.normalize(model.encode_text(sentences), dim=-1)
            self.head = model.logit_scale.exp() * text

    def start(self, pixels: torch.Tensor) -> torch.Tensor:
        """Pixels ``[b, 3, h, w]`` to the residual ``[b, t, d]`` behind the block."""
        x: torch.Tensor = self.visual._embeds(pixels)
        for layer in self.visual.transformer.resblocks[: self.block + 1]:
            x = layer(x)
        return x

    def finish(self, x: torch.Tensor) -> torch.Tensor:
        """Residual ``[b, t, d]`` to logits ``[b, c]``."""
        for layer in self.visual.transformer.resblocks[self.block + 1 :]:
            x = layer(x)
        pooled, _ = self.visual._pool(x)
        logits: torch.Tensor = functional.normalize(pooled @ self.visual.proj, dim=-1) @ self.head.T
        return logits
