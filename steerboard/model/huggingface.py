"""Read a ``CLIPModel`` folder of Hugging Face (config.json, model.safetensors) as an open_clip one.

The two libraries hold the same numbers: query, key and value stand apart in one and joined in the
other, and projections are transposed. Letters: ``d`` width, ``e`` embedding.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from steerboard.model import torchvision_ops  # noqa: F401  (before open_clip)

from open_clip.tokenizer import SimpleTokenizer  # isort: skip

from steerboard.spec.errors import InvalidRequest

State = Mapping[str, Tensor]
# Pillow's numbers for ways to resize.
INTERPOLATION = {0: "nearest", 2: "bilinear", 3: "bicubic"}
BLOCK = {
    "layer_norm1": "ln_1",
    "layer_norm2": "ln_2",
    "self_attn.out_proj": "attn.out_proj",
    "mlp.fc1": "mlp.c_fc",
    "mlp.fc2": "mlp.c_proj",
}
WHOLE = {
    "logit_scale": "logit_scale",
    "vision_model.embeddings.class_embedding": "visual.class_embedding",
    "vision_model.embeddings.patch_embedding.weight": "visual.conv1.weight",
    "vision_model.embeddings.position_embedding.weight": "visual.positional_embedding",
    "vision_model.pre_layrnorm": "visual.ln_pre",
    "vision_model.post_layernorm": "visual.ln_post",
    "text_model.embeddings.token_embedding.weight": "token_embedding.weight",
    "text_model.embeddings.position_embedding.weight": "positional_embedding",
    "text_model.final_layer_norm": "ln_final",
}
TOWERS = {"vision_model": "visual.transformer", "text_model": "transformer"}


def kind_of(folder: Path) -> str:
    """``clip`` or ``siglip``; raises InvalidRequest for a folder of another kind of model."""
    kind: str = json.loads((folder / "config.json").read_text()).get("model_type", "")
    if kind not in ("clip", "siglip"):
        raise InvalidRequest(
            f"{folder} holds a model of type {kind!r}, and of Hugging Face's folders only 'clip'"
            " (CLIPModel) and 'siglip' (SiglipModel) are read: choose the model's open_clip version"
        )
    return kind


def read_config(folder: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """open_clip's ``model_cfg`` and ``preprocess_cfg`` of a folder.

    Raises:
        InvalidRequest: One that open_clip's CLIP cannot be.
    """
    config = json.loads((folder / "config.json").read_text())
    vision, text = config["vision_config"], config["text_config"]
    acts = {part.get("hidden_act", "quick_gelu") for part in (vision, text)}
    if len(acts) > 1 or not acts <= {"quick_gelu", "gelu"}:
        raise InvalidRequest(
            f"{folder} has activations {', '.join(sorted(acts))}; open_clip has one for both"
            " towers, gelu or quick_gelu"
        )
    check_tokenizer(folder, text)
    model = {
        "embed_dim": config["projection_dim"],
        "quick_gelu": acts == {"quick_gelu"},
        "vision_cfg": {
            "image_size": vision["image_size"],
            "patch_size": vision["patch_size"],
            "head_width": vision["hidden_size"] // vision["num_attention_heads"],
            **stack(vision),
        },
        "text_cfg": {
            "context_length": text["max_position_embeddings"],
            "vocab_size": text["vocab_size"],
            "heads": text["num_attention_heads"],
            **stack(text),
        },
    }
    return model, preprocessing(folder, vision["image_size"])


def stack(part: Mapping[str, Any]) -> dict[str, Any]:
    """What both towers have."""
    return {
        "width": part["hidden_size"],
        "layers": part["num_hidden_layers"],
        "mlp_ratio": part["intermediate_size"] / part["hidden_size"],
        "norm_kwargs": {"eps": part.get("layer_norm_eps", 1e-5)},
    }


def check_tokenizer(folder: Path, text: Mapping[str, Any]) -> None:
    """Refuse a vocabulary other than CLIP's own, which is the one that we read texts with.

    Raises:
        InvalidRequest: Other size, or other merges in ``merges.txt``.
    """
    own = SimpleTokenizer()
    merges = folder / "merges.txt"
    lines = merges.read_text(encoding="utf-8").splitlines() if merges.is_file() else []
    pairs = [tuple(line.split()) for line in lines if line and not line.startswith("#version")]
    other = [pair for pair, known in zip(pairs, own.bpe_ranks, strict=False) if pair != known]
    if text["vocab_size"] != own.vocab_size or other:
        raise InvalidRequest(
            f"{folder} has a vocabulary of {text['vocab_size']} words"
            f"{' with other merges' if other else ''}, not CLIP's own of {own.vocab_size}: its"
            " texts cannot be read"
        )


def preprocessing(folder: Path, image_size: int, crops: bool = True) -> dict[str, Any]:
    """open_clip's ``preprocess_cfg``; only the size where the folder has no file for it.

    ``crops`` is what holds where the file does not say: whether the middle is cut out.
    """
    file = folder / "preprocessor_config.json"
    if not file.is_file():
        return {"size": image_size}
    told = json.loads(file.read_text())
    size = told.get("size", {})
    # A plain number, as old files have it, means the shorter side.
    squash = isinstance(size, dict) and "height" in size and not told.get("do_center_crop", crops)
    return {
        "size": image_size,
        "mean": told["image_mean"],
        "std": told["image_std"],
        "interpolation": INTERPOLATION.get(told.get("resample", 3), "bicubic"),
        "resize_mode": "squash" if squash else "shortest",
    }


def convert(state: State) -> dict[str, Tensor]:
    """Tensors by open_clip's names.

    Raises:
        InvalidRequest: A tensor that has no place there.
    """
    out: dict[str, Tensor] = {}
    joined: dict[str, dict[str, Tensor]] = {}
    for key, value in state.items():
        if key.endswith("position_ids"):
            continue
        if key in ("visual_projection.weight", "text_projection.weight"):
            out["visual.proj" if key.startswith("visual") else "text_projection"] = value.T
        elif part := apart(key):
            joined.setdefault(part[0], {})[part[1]] = value
        else:
            out[renamed(key)] = value
    for name, parts in joined.items():
        out[name] = torch.cat([parts[letter] for letter in "qkv"])
    return {key: value.contiguous() for key, value in out.items()}


def apart(key: str) -> tuple[str, str] | None:
    """Where a query, key or value projection goes, and which of the three it is."""
    for letter in "qkv":
        if f".self_attn.{letter}_proj." in key:
            head, _, kind = key.partition(f".self_attn.{letter}_proj.")
            return f"{block_name(head)}.attn.in_proj_{kind}", letter
    return None


def renamed(key: str) -> str:
    """open_clip's name of a tensor that is the same there."""
    if key in WHOLE:
        return WHOLE[key]
    stem, _, kind = key.rpartition(".")
    if stem in WHOLE:
        return f"{WHOLE[stem]}.{kind}"
    head, _, rest = stem.partition(".encoder.layers.")
    number, _, inner = rest.partition(".")
    if head in TOWERS and inner in BLOCK:
        return f"{block_name(f'{head}.encoder.layers.{number}')}.{BLOCK[inner]}.{kind}"
    raise InvalidRequest(f"the weights hold {key}, which a CLIPModel does not have")


def block_name(head: str) -> str:
    """``vision_model.encoder.layers.3`` as open_clip calls it."""
    tower, _, number = head.partition(".encoder.layers.")
    if tower not in TOWERS:
        raise InvalidRequest(f"the weights hold {head}, which a CLIPModel does not have")
    return f"{TOWERS[tower]}.resblocks.{number}"
