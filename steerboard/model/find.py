"""Which source of a model a person's words name."""

from difflib import get_close_matches
from pathlib import Path

from steerboard.model import torchvision_ops  # noqa: F401  (before open_clip)

import open_clip  # isort: skip

from steerboard.model import huggingface
from steerboard.model.folders import HuggingFace, Siglip
from steerboard.model.sources import (
    CONFIG,
    HUB,
    Folder,
    Hub,
    Known,
    Random,
    Source,
    told,
)
from steerboard.spec.errors import InvalidRequest, NotFound

WEIGHTS = (
    "open_clip_model.safetensors",
    "open_clip_pytorch_model.safetensors",
    "open_clip_pytorch_model.bin",
)
SUFFIXES = (".safetensors", ".pt", ".pth", ".bin", ".ckpt")


def is_tag(text: str) -> bool:
    """Whether the words are a tag of open_clip and not a path."""
    return text.startswith(HUB) or text.rpartition("/")[0] in open_clip.list_models()


def is_architecture(name: str) -> bool:
    """Whether open_clip has an architecture of this name."""
    return name in open_clip.list_models()


def find(where: Path | str, architecture: str = "") -> Source:
    """The source that ``where`` names; see ``load.load``."""
    path = Path(where)
    if path.is_dir():
        return in_folder(path)
    if path.is_file():
        return in_file(path, architecture)
    text = str(where)
    if text.startswith(HUB):
        return Hub(text.removeprefix(HUB))
    name, _, tag = text.rpartition("/")
    if name in open_clip.list_models() and tag in open_clip.list_pretrained_tags_by_model(name):
        return Known(name, tag, local=False)
    raise NotFound(missing(text, name, tag))


def missing(text: str, name: str, tag: str) -> str:
    """Why nothing is found under ``text``, and what could stand there."""
    if name in open_clip.list_models() and tag:
        tags = ", ".join(open_clip.list_pretrained_tags_by_model(name)) or "none"
        return f"open_clip has no weights {tag!r} for {name}; it has {tags}"
    return (
        f"{text} is neither a folder nor a file nor a tag of open_clip: name a folder with"
        f" {CONFIG}, a CLIPModel or SiglipModel folder of Hugging Face, a file of weights with its"
        " architecture, hf-hub:OWNER/NAME, or ARCHITECTURE/TAG such as ViT-B-32/laion2b_s34b_b79k"
    )


def in_folder(path: Path) -> Source:
    """A folder of open_clip or of Hugging Face; raises NotFound for neither."""
    if (path / CONFIG).is_file():
        found = [path / name for name in WEIGHTS if (path / name).is_file()]
        if found:
            return Folder(path, found[0])
        raise NotFound(
            f"{path / WEIGHTS[0]} is missing: a model folder holds {CONFIG} and {WEIGHTS[0]}"
        )
    if (path / "config.json").is_file():
        weights = path / "model.safetensors"
        if weights.is_file():
            with told(str(path)):
                kind = huggingface.kind_of(path)
            return (Siglip if kind == "siglip" else HuggingFace)(path, weights)
        raise NotFound(
            f"{weights} is missing: of Hugging Face's folders only one safetensors file is read;"
            " save the model with save_pretrained(..., max_shard_size='100GB')"
        )
    raise NotFound(
        f"{path / CONFIG} is missing: a model folder holds {CONFIG} and {WEIGHTS[0]}, or a"
        " CLIPModel's or SiglipModel's config.json and model.safetensors"
    )


def in_file(path: Path, architecture: str) -> Source:
    """A file of weights, whose architecture is named or stands beside it."""
    if path.suffix not in SUFFIXES:
        raise InvalidRequest(
            f"{path} is no file of weights: its name should end in {', '.join(SUFFIXES)}"
        )
    if architecture:
        check_architecture(architecture)
        return Known(architecture, str(path), local=True)
    if (path.parent / CONFIG).is_file() and path.name in WEIGHTS:
        return Folder(path.parent, path)
    raise InvalidRequest(
        f"{path} does not say what it belongs to: name open_clip's architecture too"
        f" (such as ViT-B-32), or put {CONFIG} beside it and call it {WEIGHTS[0]}"
    )


def unweighted(architecture: str) -> Source:
    """One of open_clip's architectures without weights; raises NotFound."""
    check_architecture(architecture)
    return Random(architecture)


def check_architecture(name: str) -> None:
    """Raises NotFound where open_clip has no such architecture."""
    if not is_architecture(name):
        raise NotFound(
            f"open_clip has no architecture {name!r}: did you mean {', '.join(near(name))}?"
        )


def near(name: str) -> list[str]:
    """The architectures with the most similar names."""
    return get_close_matches(name, open_clip.list_models(), 5, 0.3) or open_clip.list_models()


def located(base: Path, text: str) -> Path | str:
    """What a configuration in folder ``base`` means: a path from there, else a tag as it stands."""
    path = base / text
    return text if not path.exists() and is_tag(text) else path
