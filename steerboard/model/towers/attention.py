"""Attention in two halves: what the heads put out, and its way back into the residual stream.

Between the two lies the site ``head_out``: the heads side by side ``[b, t, h * dh]``, after a
head's own scale, before a norm that mixes the heads and before the output projection.
"""

from typing import Any, Protocol

import torch
from torch import Tensor
from torch.nn import MultiheadAttention, functional

from steerboard.model import torchvision_ops  # noqa: F401  (before open_clip)

from open_clip.transformer import Attention as OpenClipAttention  # isort: skip
from timm.layers.attention import Attention, AttentionRope
from timm.layers.pos_embed_sincos import apply_rot_embed_cat
from timm.models.eva import EvaAttention

from steerboard.spec.errors import InvalidRequest


class AttentionPass(Protocol):
    """Attention of one block; ``count`` heads that put out ``width`` numbers together."""

    count: int
    width: int
    readable: bool

    def heads(self, x: Tensor, rope: Tensor | None = None) -> Tensor:
        """Normed input ``[b, t, d]`` to ``[b, t, width]``."""

    def project(self, heads: Tensor) -> Tensor:
        """``[b, t, width]`` to what is added to the residual stream ``[b, t, d]``."""


def mix(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """Softmax attention; ``[b, h, t, dh]`` three times to ``[b, t, h * dh]``."""
    out = functional.scaled_dot_product_attention(query, key, value)
    return out.transpose(1, 2).flatten(2)


def split(fused: Tensor, heads: int) -> tuple[Tensor, Tensor, Tensor]:
    """``[b, t, 3 * h * dh]`` to query, key and value ``[b, h, t, dh]``."""
    batch, tokens, _ = fused.shape
    query, key, value = fused.view(batch, tokens, 3, heads, -1).permute(2, 0, 3, 1, 4)
    return query, key, value


class PlainPass:
    """``torch.nn.MultiheadAttention``, as in open_clip's own blocks."""

    readable = True

    def __init__(self, module: MultiheadAttention) -> None:
        self.module = module
        self.count: int = module.num_heads
        self.width: int = module.embed_dim

    def first_heads(self, x: Tensor, count: int) -> Tensor:
        """What ``heads`` puts out at the first ``count`` tokens, ``[b, count, width]``."""
        weight, bias, d = self.module.in_proj_weight, self.module.in_proj_bias, self.width
        one, two = bias.split([d, 2 * d]) if bias is not None else (None, None)
        query = functional.linear(x[:, :count], weight[:d], one)
        both = functional.linear(x, weight[d:], two).unflatten(-1, (2, self.count, -1))
        key, value = both.permute(2, 0, 3, 1, 4)
        return mix(query.unflatten(-1, (self.count, -1)).transpose(1, 2), key, value)

    def heads(self, x: Tensor, rope: Tensor | None = None) -> Tensor:
        """See ``AttentionPass``."""
        fused = functional.linear(x, self.module.in_proj_weight, self.module.in_proj_bias)
        return mix(*split(fused, self.count))

    def project(self, heads: Tensor) -> Tensor:
        """See ``AttentionPass``."""
        out: Tensor = self.module.out_proj(heads)
        return out


class CustomPass:
    """open_clip's ``Attention``: norms of query and key, scale of heads, norm before the output."""

    readable = True

    def __init__(self, module: Any) -> None:
        if module.logit_scale is not None:
            raise InvalidRequest(
                "the image tower has scaled cosine attention, which open_clip itself cannot run:"
                " choose a model without scaled_cosine_attn"
            )
        self.module = module
        self.count: int = module.num_heads
        self.width: int = module.out_proj.in_features

    def heads(self, x: Tensor, rope: Tensor | None = None) -> Tensor:
        """See ``AttentionPass``."""
        module = self.module
        fused = functional.linear(x, module.in_proj_weight, module.in_proj_bias)
        query, key, value = split(fused, self.count)
        out = mix(module.ln_q(query), module.ln_k(key), value)
        if module.head_scale is not None:
            out = out * module.head_scale.flatten().repeat_interleave(self.width // self.count)
        return out

    def project(self, heads: Tensor) -> Tensor:
        """See ``AttentionPass``."""
        out: Tensor = self.module.out_proj(self.module.ln_inner(heads))
        return out


class TimmPass:
    """timm's ``Attention``, ``AttentionRope`` and ``EvaAttention``."""

    readable = True

    def __init__(self, module: Any) -> None:
        self.module = module
        self.count: int = module.num_heads
        self.width: int = module.proj.in_features

    def heads(self, x: Tensor, rope: Tensor | None = None) -> Tensor:
        """See ``AttentionPass``."""
        module = self.module
        query, key, value = self._projected(x)
        query, key = module.q_norm(query), module.k_norm(key)
        if rope is not None:
            query, key = self._turned(query, rope), self._turned(key, rope)
        groups = getattr(module, "num_kv_groups", 1)
        if groups > 1:
            key, value = (part.repeat_interleave(groups, dim=1) for part in (key, value))
        return mix(query.type_as(value), key.type_as(value), value)

    def project(self, heads: Tensor) -> Tensor:
        """See ``AttentionPass``."""
        out: Tensor = self.module.proj(self.module.norm(heads))
        return out

    def _projected(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        module = self.module
        if module.qkv is None:
            parts = (module.q_proj(x), module.k_proj(x), module.v_proj(x))
            size = self.width // self.count
            query, key, value = (p.unflatten(-1, (-1, size)).transpose(1, 2) for p in parts)
            return query, key, value
        if getattr(module, "q_bias", None) is None:
            return split(module.qkv(x), self.count)
        bias = torch.cat((module.q_bias, module.k_bias, module.v_bias))
        return split(functional.linear(x, module.qkv.weight, bias), self.count)

    def _turned(self, x: Tensor, rope: Tensor) -> Tensor:
        """Rotary position on the patches; the prefix has no place on the grid."""
        first = self.module.num_prefix_tokens
        patches = apply_rot_embed_cat(x[:, :, first:], rope, half=self.module.rotate_half)
        return torch.cat([x[:, :, :first], patches], dim=2)


class WholePass:
    """Attention of another kind (gated, for one): run as it is, without a site inside."""

    count = 0
    width = 0
    readable = False

    def __init__(self, module: Any) -> None:
        self.module = module

    def heads(self, x: Tensor, rope: Tensor | None = None) -> Tensor:
        """See ``AttentionPass``; here the whole of it."""
        out: Tensor = self.module(x) if rope is None else self.module(x, rope=rope)
        return out

    def project(self, heads: Tensor) -> Tensor:
        """See ``AttentionPass``; nothing is left to do."""
        return heads


def read_attention(module: Any) -> AttentionPass:
    """The pass of an attention module; exact types, since a subclass may compute otherwise."""
    if type(module) is MultiheadAttention:
        return PlainPass(module)
    if type(module) is OpenClipAttention:
        return CustomPass(module)
    known = type(module) in (Attention, AttentionRope, EvaAttention)
    return TimmPass(module) if known and module.gate is None else WholePass(module)
