"""Where a model's weights are, and how open_clip is made to read them without trusting them.

Nothing is unpickled: safetensors, or ``torch.load`` with ``weights_only``. A model never goes on
with random weights.
"""

import hashlib
import json
import pickle
import zipfile
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from steerboard.model import torchvision_ops  # noqa: F401  (before open_clip)

import open_clip  # isort: skip
from open_clip.transform import PreprocessCfg, image_transform_v2

from steerboard.model.hub import asked_once
from steerboard.spec.errors import InvalidRequest, SteerboardError, Unavailable

CONFIG = "open_clip_config.json"
HUB = "hf-hub:"


class Source(ABC):
    """One place that a model can come from."""

    @abstractmethod
    def build(self) -> tuple[Any, Any]:
        """open_clip's model with its weights, and its transform of pictures."""

    @abstractmethod
    def config(self, clip: Any) -> Any:
        """Architecture and preprocessing, as JSON."""

    @property
    @abstractmethod
    def named(self) -> str:
        """What open_clip's ``get_tokenizer`` understands."""

    def weights_digest(self, clip: Any) -> str:
        """Hex SHA-256 over the names, shapes and bytes of all tensors, by name."""
        total = hashlib.sha256()
        for name, tensor in sorted(clip.state_dict().items()):
            total.update(f"{name} {tensor.dtype} {tuple(tensor.shape)} ".encode())
            total.update(tensor.contiguous().flatten().view(torch.uint8).numpy())
        return total.hexdigest()

    def tokenizer(self) -> Any:
        """What turns texts into numbers, or what says that it cannot."""
        try:
            return open_clip.get_tokenizer(self.named)
        except Exception as error:
            return NoTokenizer(first_line(error))


@dataclass(frozen=True)
class NoTokenizer:
    """Stands in where a model's tokenizer cannot be had: pictures and probes work all the same."""

    cause: str

    def __call__(self, texts: list[str]) -> Any:
        """Always raises InvalidRequest."""
        raise InvalidRequest(
            f"this model's texts cannot be read here ({self.cause}): install transformers and the"
            " model's tokenizer files, or classify with a probe instead of prompts",
            field="classifier",
        )


@dataclass(frozen=True)
class Folder(Source):
    """open_clip's own layout: ``open_clip_config.json`` and weights beside it."""

    path: Path
    weights: Path

    def build(self) -> tuple[Any, Any]:
        """See ``Source``."""
        refuse_program(self.weights)
        with told(str(self.weights)):
            clip, _, transform = open_clip.create_model_and_transforms(f"local-dir:{self.path}")
        return clip, transform

    def config(self, clip: Any) -> Any:
        """See ``Source``."""
        return json.loads((self.path / CONFIG).read_text())

    @property
    def named(self) -> str:
        """See ``Source``."""
        return f"local-dir:{self.path}"

    def weights_digest(self, clip: Any) -> str:
        """Hex SHA-256 of the file."""
        with self.weights.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()


@dataclass(frozen=True)
class Known(Source):
    """One of open_clip's architectures with weights of a file or of a tag."""

    architecture: str
    weights: str
    local: bool

    def build(self) -> tuple[Any, Any]:
        """See ``Source``."""
        if self.local:
            refuse_program(Path(self.weights))
        else:
            check_activation(self.architecture, self.weights)
        name = self.weights if self.local else f"{self.architecture}/{self.weights}"
        with told(name), nullcontext() if self.local else asked_once():
            clip, _, transform = open_clip.create_model_and_transforms(
                self.architecture, pretrained=self.weights
            )
        return clip, transform

    def config(self, clip: Any) -> Any:
        """See ``Source``."""
        model = open_clip.get_model_config(self.architecture)
        return {"model_cfg": model, "preprocess_cfg": plain(clip.visual.preprocess_cfg)}

    @property
    def named(self) -> str:
        """See ``Source``."""
        return self.architecture


@dataclass(frozen=True)
class Random(Source):
    """One of open_clip's architectures without weights; texts are read with its tokenizer."""

    architecture: str

    def build(self) -> tuple[Any, Any]:
        """See ``Source``; weights of seed 0."""
        torch.manual_seed(0)
        with told(self.architecture):
            clip, _, transform = open_clip.create_model_and_transforms(
                self.architecture, pretrained_text=False
            )
        return clip, transform

    def config(self, clip: Any) -> Any:
        """See ``Source``."""
        return open_clip.get_model_config(self.architecture)

    @property
    def named(self) -> str:
        """See ``Source``."""
        return self.architecture


@dataclass(frozen=True)
class Hub(Source):
    """A repository of Hugging Face in open_clip's layout, from the cache or the network."""

    name: str

    def build(self) -> tuple[Any, Any]:
        """See ``Source``."""
        with told(self.named), asked_once():
            clip = open_clip.create_model(self.named, require_pretrained=True)
        told_by = PreprocessCfg(**clip.visual.preprocess_cfg)
        return clip, image_transform_v2(told_by, is_train=False)

    def tokenizer(self) -> Any:
        """See ``Source``."""
        with asked_once():
            return super().tokenizer()

    def config(self, clip: Any) -> Any:
        """See ``Source``."""
        model = open_clip.get_model_config(self.named)
        return {"model_cfg": model, "preprocess_cfg": plain(clip.visual.preprocess_cfg)}

    @property
    def named(self) -> str:
        """See ``Source``."""
        return f"{HUB}{self.name}"


def check_activation(architecture: str, tag: str) -> None:
    """Refuse weights that were trained with another activation; open_clip only warns of it."""
    wants = open_clip.get_pretrained_cfg(architecture, tag).get("quick_gelu", False)
    has = open_clip.get_model_config(architecture).get("quick_gelu", False)
    if wants == has:
        return
    other = f"{architecture}-quickgelu" if wants else architecture.removesuffix("-quickgelu")
    raise InvalidRequest(
        f"{architecture}/{tag} was trained with {'QuickGELU' if wants else 'GELU'} and the"
        f" architecture has the other: choose {other}/{tag}"
    )


def refuse_program(path: Path) -> None:
    """Refuse a TorchScript archive, which holds a program; raises InvalidRequest."""
    if path.suffix == ".safetensors" or not zipfile.is_zipfile(path):
        return
    with zipfile.ZipFile(path) as archive:
        inside = {name.partition("/")[2] for name in archive.namelist()}
    if "constants.pkl" in inside or any(name.startswith("code/") for name in inside):
        raise InvalidRequest(
            f"{path} is a TorchScript archive (as OpenAI gave its weights out), which holds a"
            " program and not weights alone: use open_clip's tag (such as"
            " ViT-B-32-quickgelu/openai), or save the state_dict as safetensors"
        )


@contextmanager
def told(name: str) -> Iterator[None]:
    """Turn what the libraries raise into a sentence."""
    try:
        yield
    except pickle.UnpicklingError as error:
        raise InvalidRequest(
            f"{name} holds more than tensors, and nothing else is unpickled: save the state_dict"
            f" as safetensors ({first_line(error)})"
        ) from error
    except SteerboardError:
        raise
    except Exception as error:  # whatever a library says of a stranger's file
        if "download" in str(error) or "locate the file on the Hub" in str(error):
            raise Unavailable(
                f"the weights of {name} are not on this machine and cannot be fetched: connect to"
                " the network once, or name a folder or file that is here"
            ) from error
        raise InvalidRequest(
            f"{name} cannot be loaded as this model: {first_line(error)}"
        ) from error


def first_line(error: Exception) -> str:
    """The first two lines of a message; the rest is a list of hundreds of tensors."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return " ".join(lines[:2])[:300] or type(error).__name__


def plain(config: Any) -> Any:
    """As JSON gives it back: tuples are lists."""
    return json.loads(json.dumps(dict(config)))
