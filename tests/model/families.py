"""Image towers of every family, shrunken, with random weights: what tests of towers range over."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import torch
from torch import nn

from steerboard.model import torchvision_ops  # noqa: F401

import open_clip  # isort: skip
from open_clip.timm_model import TimmModel
from timm.models.convnext import ConvNeXt
from timm.models.eva import Eva
from timm.models.vision_transformer import ResPostBlock, VisionTransformer
from timm.models.vitamin import GeGluMlp

VISION = {"image_size": 32, "patch_size": 8, "width": 24, "layers": 2, "head_width": 8}
TEXT = {"context_length": 12, "vocab_size": 100, "width": 16, "heads": 2, "layers": 1}
CUSTOM = ("qk_norm", "scale_heads", "scale_attn_inner", "scale_attn", "scale_fc")
SMALL = {"img_size": 32, "patch_size": 8, "embed_dim": 24, "depth": 2, "num_heads": 2}


def own(embedding: int = 16, **vision: Any) -> Any:
    """open_clip's VisionTransformer, or its ResNet where ``layers`` is a list."""
    quick = vision.pop("quick", False)
    return open_clip.CLIP(embedding, VISION | vision, TEXT, quick_gelu=quick).visual


def around(trunk: Any, head: bool = False, size: int = 32) -> Any:
    """A trunk inside open_clip's TimmModel."""
    visual = TimmModel("test_vit", embed_dim=16, image_size=size, pool="token", proj="none")
    visual.trunk = trunk
    if head:
        visual.head = nn.Sequential(nn.Linear(trunk.num_features, 16, bias=False))
    return visual


def vit(**more: Any) -> Any:
    return around(VisionTransformer(**SMALL, **({"num_classes": 0} | more)))


def eva(**more: Any) -> Any:
    return around(Eva(**SMALL, **({"num_classes": 0} | more)))


def convnext(**more: Any) -> Any:
    trunk = ConvNeXt(num_classes=0, depths=(1, 2, 1, 1), dims=(8, 12, 16, 20), **more)
    return around(trunk, head=True, size=64)


ROPE = {"use_rot_pos_emb": True, "ref_feat_shape": (3, 3)}
PE = ROPE | {
    "attn_type": "rope",
    "global_pool": "map",
    "use_pre_transformer_norm": True,
    "rope_grid_indexing": "xy",
    "use_fc_norm": False,
}

OPEN_CLIP: dict[str, Callable[[], Any]] = {
    "CLIP": own,
    "quick gelu": partial(own, quick=True),
    "no ln_pre": partial(own, no_ln_pre=True),
    "wide picture": partial(own, image_size=(32, 48)),
    "average": partial(own, pool_type="avg"),
    "CLIPA": partial(own, pool_type="avg", no_ln_pre=True, final_ln_after_pool=True),
    "layer scale": partial(own, ls_init_value=0.1),
    "patch dropout": partial(own, patch_dropout=0.5),
    "sine positions": partial(own, pos_embed_type="sin_cos_2d"),
    "tokens too": partial(own, output_tokens=True),
    "CoCa": partial(own, attentional_pool=True, attn_pooler_queries=5, output_tokens=True),
    "CoCa, average": partial(own, attentional_pool=True, pool_type="avg", attn_pooler_queries=5),
    "one query": partial(own, attentional_pool=True, pool_type="none", attn_pooler_queries=1),
    "parallel pools": partial(own, 24, attentional_pool="parallel"),
    "cascade of pools": partial(own, 24, attentional_pool="cascade"),
    "all of custom": partial(own, **dict.fromkeys(CUSTOM, True)),
    **{f"custom {name}": partial(own, **{name: True}) for name in CUSTOM},
}
TIMM: dict[str, Callable[[], Any]] = {
    "timm": partial(vit, num_classes=16),
    "SigLIP": partial(vit, class_token=False, global_pool="map"),
    "registers, average": partial(vit, class_token=False, reg_tokens=2, global_pool="avg"),
    "class and registers": partial(vit, reg_tokens=2, no_embed_class=True, init_values=0.1),
    "average of all": partial(vit, global_pool="avg", pool_include_prefix=True),
    "map with prefix": partial(vit, reg_tokens=1, global_pool="map", pool_include_prefix=True),
    "refined pool": partial(vit, global_pool="prr"),
    "norms everywhere": partial(vit, qk_norm=True, scale_attn_norm=True, scale_mlp_norm=True),
    "free size": partial(vit, dynamic_img_size=True, pre_norm=True),
    "post-norm": partial(vit, block_fn=ResPostBlock, init_values=0.1),
    "gated MLP": partial(vit, mlp_layer=GeGluMlp, class_token=False, global_pool="avg"),
    "EVA01": partial(eva, global_pool="token"),
    "EVA02": partial(
        eva, **ROPE, global_pool="token", swiglu_mlp=True, scale_mlp=True, qkv_fused=False
    ),
    "EVA02, packed": partial(eva, **ROPE, swiglu_mlp=True, scale_attn_inner=True, init_values=0.1),
    "EVA post-norm": partial(eva, use_post_norm=True, global_pool="token"),
    "EVA, grouped": partial(
        eva, **ROPE, attn_type="rope", qkv_fused=False, num_kv_heads=1, qk_norm=True
    ),
    "EVA, mixed rope": partial(eva, **ROPE, rope_type="mixed", global_pool="token"),
    "EVA, free size": partial(eva, **ROPE, dynamic_img_size=True, rope_rotate_half=True),
    "PE": partial(eva, **PE),
    "PE without class": partial(eva, **PE, class_token=False),
}
CONVOLUTIONS: dict[str, Callable[[], Any]] = {
    "ResNet": partial(own, layers=[1, 2, 1, 1], width=8, image_size=64, patch_size=None),
    "ConvNeXt": convnext,
    "ConvNeXt, norm first": partial(convnext, head_norm_first=True),
    "ConvNeXt V2": partial(convnext, use_grn=True, ls_init_value=None),
    "ConvNeXt of convolutions": partial(convnext, conv_mlp=True),
}
FAMILIES = OPEN_CLIP | TIMM | CONVOLUTIONS


def tower(name: str) -> Any:
    """The image tower in float64, where two routes differ by nothing but a mistake."""
    torch.manual_seed(0)
    visual = FAMILIES[name]().eval().requires_grad_(False)
    awake(visual)
    return visual.double()


def awake(visual: nn.Module) -> None:
    """Random values where a fresh model has zeros, ones or 1e-6: each part must be felt."""
    for parameter in visual.parameters():
        if parameter.dim() < 2 or (parameter == parameter.flatten()[0]).all():
            parameter.data += 0.3 * torch.randn_like(parameter)
    for name, buffer in visual.named_buffers():
        if name.endswith("running_mean"):
            buffer += 0.2 * torch.randn_like(buffer)
        if name.endswith("running_var"):
            buffer *= 0.5 + torch.rand_like(buffer)


def blocks(visual: Any) -> Iterator[nn.Module]:
    """The modules whose outputs are the residual stream, found without our towers."""
    if hasattr(visual, "transformer"):
        yield from visual.transformer.resblocks
    elif hasattr(visual, "layer1"):
        for stage in (visual.layer1, visual.layer2, visual.layer3, visual.layer4):
            yield from stage
    elif hasattr(visual.trunk, "stages"):
        for stage in visual.trunk.stages:
            yield from stage.blocks
    else:
        yield from visual.trunk.blocks
