"""Read a ``SiglipModel`` folder of Hugging Face as open_clip's kind of model, of whatever size.

open_clip builds SigLIP's towers by name, with timm's sizes and an exact GELU; here the tower is
made to the folder's own sizes and activation (tanh), so that numbers are those of Hugging Face.
Letters: ``d`` width.
"""

from collections.abc import Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from steerboard.model import torchvision_ops  # noqa: F401  (before open_clip)

import open_clip  # isort: skip
from open_clip.timm_model import TimmModel
from timm.models.vision_transformer import VisionTransformer

from steerboard.spec.errors import InvalidRequest

ACTIVATIONS = {"gelu_pytorch_tanh": {"approximate": "tanh"}, "gelu": {}}
VISION = {
    "embeddings.patch_embedding": "patch_embed.proj",
    "post_layernorm": "norm",
    "head.attention.out_proj": "attn_pool.proj",
    "head.layernorm": "attn_pool.norm",
    "head.mlp": "attn_pool.mlp",
}
TEXT = {
    "embeddings.token_embedding": "token_embedding",
    "final_layer_norm": "ln_final",
    "head": "text_projection",
}
VISION_BLOCK = {
    "layer_norm1": "norm1",
    "layer_norm2": "norm2",
    "self_attn.out_proj": "attn.proj",
    "mlp": "mlp",
}
TEXT_BLOCK = {
    "layer_norm1": "ln_1",
    "layer_norm2": "ln_2",
    "self_attn.out_proj": "attn.out_proj",
    "mlp.fc1": "mlp.c_fc",
    "mlp.fc2": "mlp.c_proj",
}


def build(config: Mapping[str, Any]) -> Any:
    """An untrained model of the sizes in ``config.json``.

    Raises:
        InvalidRequest: An activation that is not read, or a tower without its pooling head.
    """
    vision, text = config["vision_config"], config["text_config"]
    width = vision["hidden_size"]
    if not vision.get("vision_use_head", True):
        raise InvalidRequest("this SigLIP has no pooling head, so it has no image embedding")
    plain = {"image_size": 16, "patch_size": 16, "width": 8, "layers": 1, "head_width": 8}
    clip = open_clip.CustomTextCLIP(
        text.get("projection_size", width), plain, text_config(text), init_logit_bias=-10
    )
    # open_clip makes timm's towers by name only: any small one lends its frame.
    size = vision["image_size"]
    clip.visual = TimmModel("test_vit", width, image_size=size, pool="token", proj="none")
    clip.visual.trunk = trunk(vision)
    return clip


def trunk(vision: Mapping[str, Any]) -> Any:
    """Timm's image tower of the folder's sizes."""
    return VisionTransformer(
        img_size=vision["image_size"],
        patch_size=vision["patch_size"],
        embed_dim=vision["hidden_size"],
        depth=vision["num_hidden_layers"],
        num_heads=vision["num_attention_heads"],
        mlp_ratio=vision["intermediate_size"] / vision["hidden_size"],
        norm_layer=partial(nn.LayerNorm, eps=vision.get("layer_norm_eps", 1e-6)),
        act_layer=partial(nn.GELU, **activation(vision)),
        class_token=False,
        global_pool="map",
        num_classes=0,
    )


def text_config(text: Mapping[str, Any]) -> dict[str, Any]:
    """open_clip's ``text_cfg``."""
    return {
        "context_length": text["max_position_embeddings"],
        "vocab_size": text["vocab_size"],
        "width": text["hidden_size"],
        "heads": text["num_attention_heads"],
        "layers": text["num_hidden_layers"],
        "mlp_ratio": text["intermediate_size"] / text["hidden_size"],
        "norm_kwargs": {"eps": text.get("layer_norm_eps", 1e-6)},
        "act_kwargs": activation(text),
        "no_causal_mask": True,
        "proj_bias": True,
        "pool_type": "last",
    }


def activation(part: Mapping[str, Any]) -> dict[str, str]:
    """What ``torch.nn.GELU`` is told; raises InvalidRequest for another activation."""
    name = part.get("hidden_act", "gelu_pytorch_tanh")
    if name not in ACTIVATIONS:
        raise InvalidRequest(
            f"this SigLIP has the activation {name}; {' and '.join(ACTIVATIONS)} are read"
        )
    return ACTIVATIONS[name]


def convert(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Tensors by open_clip's names.

    Raises:
        InvalidRequest: A tensor that has no place there.
    """
    out: dict[str, Tensor] = {}
    joined: dict[str, dict[str, Tensor]] = {}
    for key, value in state.items():
        tower, _, rest = key.partition(".")
        if tower in ("logit_scale", "logit_bias"):
            out[tower] = value.reshape(())
        elif tower == "vision_model":
            place_vision(rest, value, out, joined)
        elif tower == "text_model":
            place_text(rest, value, out, joined)
        else:
            raise unknown(key)
    for name, parts in joined.items():
        out[name] = torch.cat([parts[letter] for letter in "qkv"])
    return {key: value.contiguous() for key, value in out.items()}


Out = dict[str, Tensor]
Joined = dict[str, dict[str, Tensor]]


def place_vision(key: str, value: Tensor, out: Out, joined: Joined) -> None:
    """One tensor of the image tower; the pool's query is its own, key and value one layer."""
    base = "visual.trunk"
    if key == "embeddings.position_embedding.weight":
        out[f"{base}.pos_embed"] = value[None]
    elif key == "head.probe":
        out[f"{base}.attn_pool.latent"] = value
    elif key.startswith("head.attention.in_proj_"):
        kind = key.removeprefix("head.attention.in_proj_")
        width = len(value) // 3
        out[f"{base}.attn_pool.q.{kind}"] = value[:width]
        out[f"{base}.attn_pool.kv.{kind}"] = value[width:]
    elif not key.endswith("position_ids"):
        place(key, value, out, joined, f"{base}.blocks", "attn.qkv.{}", VISION_BLOCK, base, VISION)


def place_text(key: str, value: Tensor, out: Out, joined: Joined) -> None:
    """One tensor of the text tower."""
    if key == "embeddings.position_embedding.weight":
        out["text.positional_embedding"] = value
    elif not key.endswith("position_ids"):
        blocks = "text.transformer.resblocks"
        place(key, value, out, joined, blocks, "attn.in_proj_{}", TEXT_BLOCK, "text", TEXT)


def place(
    key: str,
    value: Tensor,
    out: Out,
    joined: Joined,
    blocks: str,
    attention: str,
    inner: Mapping[str, str],
    base: str,
    outer: Mapping[str, str],
) -> None:
    """A tensor inside or outside of the blocks; raises InvalidRequest for one without a place."""
    stem, _, kind = key.rpartition(".")
    if not stem.startswith("encoder.layers."):
        out[f"{base}.{renamed(key, stem, outer)}.{kind}"] = value
        return
    number, _, part = stem.removeprefix("encoder.layers.").partition(".")
    block = f"{blocks}.{number}"
    letter = part.removeprefix("self_attn.").removesuffix("_proj")
    if letter in ("q", "k", "v"):
        joined.setdefault(f"{block}.{attention.format(kind)}", {})[letter] = value
    else:
        out[f"{block}.{renamed(key, part, inner)}.{kind}"] = value


def renamed(key: str, part: str, names: Mapping[str, str]) -> str:
    """The new name of a part, or of what lies inside it."""
    for old, new in names.items():
        if part == old or part.startswith(f"{old}."):
            return new + part.removeprefix(old)
    raise unknown(key)


def unknown(key: str) -> InvalidRequest:
    """What is said of a tensor that has no place."""
    return InvalidRequest(f"the weights hold {key}, which a SiglipModel does not have")
