"""Folders of Hugging Face on disk, as sources of open_clip models."""

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from safetensors.torch import load_file

from steerboard.model import torchvision_ops  # noqa: F401  (before open_clip)

import open_clip  # isort: skip
from open_clip.factory import set_model_preprocess_cfg
from open_clip.tokenizer import HFTokenizer
from open_clip.transform import PreprocessCfg, image_transform_v2

from steerboard.model import huggingface, siglip
from steerboard.model.sources import NoTokenizer, Source, first_line, plain, told


@dataclass(frozen=True)
class HuggingFace(Source):
    """A ``CLIPModel`` folder on disk."""

    path: Path
    weights: Path

    @cached_property
    def _config(self) -> tuple[dict[str, Any], PreprocessCfg]:
        with told(str(self.path)):
            model, preprocess = huggingface.read_config(self.path)
        return model, PreprocessCfg(**preprocess)

    def build(self) -> tuple[Any, Any]:
        """See ``Source``."""
        model, preprocess = self._config
        with told(str(self.path)):
            clip = open_clip.CLIP(**model)
            clip.load_state_dict(huggingface.convert(load_file(self.weights)))
        set_model_preprocess_cfg(clip, plain(vars(preprocess)))
        return clip, image_transform_v2(preprocess, is_train=False)

    def config(self, clip: Any) -> Any:
        """See ``Source``."""
        model, _ = self._config
        return {"model_cfg": model, "preprocess_cfg": plain(clip.visual.preprocess_cfg)}

    @property
    def named(self) -> str:
        """See ``Source``; the folder's vocabulary was checked to be CLIP's own."""
        return "ViT-B-32"

    def tokenizer(self) -> Any:
        """CLIP's own, of the folder's context length."""
        length = self._config[0]["text_cfg"]["context_length"]
        return open_clip.get_tokenizer(self.named, context_length=length)


@dataclass(frozen=True)
class Siglip(Source):
    """A ``SiglipModel`` folder on disk."""

    path: Path
    weights: Path

    @cached_property
    def _config(self) -> dict[str, Any]:
        with told(str(self.path)):
            config: dict[str, Any] = json.loads((self.path / "config.json").read_text())
        return config

    def build(self) -> tuple[Any, Any]:
        """See ``Source``."""
        with told(str(self.path)):
            clip = siglip.build(self._config)
            clip.load_state_dict(siglip.convert(load_file(self.weights)))
            size = self._config["vision_config"]["image_size"]
            # SigLIP's own way where the folder does not say another: squash, and -1 to 1.
            half = {"mean": (0.5,) * 3, "std": (0.5,) * 3, "resize_mode": "squash"}
            way = PreprocessCfg(**(half | huggingface.preprocessing(self.path, size, crops=False)))
        set_model_preprocess_cfg(clip, plain(vars(way)))
        return clip, image_transform_v2(way, is_train=False)

    def config(self, clip: Any) -> Any:
        """See ``Source``."""
        return {"siglip": self._config, "preprocess_cfg": plain(clip.visual.preprocess_cfg)}

    @property
    def named(self) -> str:
        """See ``Source``; its tokenizer lies in the folder itself."""
        return str(self.path)

    def tokenizer(self) -> Any:
        """The folder's own, which transformers reads."""
        length = self._config["text_config"]["max_position_embeddings"]
        try:
            return HFTokenizer(self.named, context_length=length, clean="canonicalize")
        except Exception as error:
            return NoTokenizer(first_line(error))
