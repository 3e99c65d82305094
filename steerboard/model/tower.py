"""The image tower of open_clip as an explicit pass that can stop, start and be read anywhere.

No hooks: the pass calls ``visit(site, x)`` at each site, from the input upward, and goes on with
what comes back. Any suffix behind a block can be run alone. Shapes: ``x [b, t, d]``.
"""

from collections.abc import Callable
from typing import Any

from torch import Tensor
from torch.nn import MultiheadAttention, functional

from steerboard.model import torchvision_ops  # noqa: F401  (before open_clip)

from open_clip.transformer import ResidualAttentionBlock, VisionTransformer  # isort: skip

from steerboard.spec.errors import InvalidRequest

Visit = Callable[[str, Tensor], Tensor]


def unvisited(_site: str, x: Tensor) -> Tensor:
    """Change nothing."""
    return x


class Tower:
    """One ``open_clip.transformer.VisionTransformer``, read from the outside.

    Args:
        visual: The image tower; its parameters are used, never changed.
    """

    def __init__(self, visual: Any) -> None:
        check_tower(visual)
        self.visual = visual
        self.blocks = list(visual.transformer.resblocks)
        self.width: int = visual.conv1.out_channels
        self.heads: int = self.blocks[0].attn.num_heads
        self.mlp_width: int = self.blocks[0].mlp.c_fc.out_features
        self.grid: tuple[int, int] = tuple(visual.grid_size)
        self.image_size: tuple[int, int] = tuple(visual.image_size)
        self.prefix = 1
        self.tokens = self.prefix + self.grid[0] * self.grid[1]
        self.embedding_width: int = visual.output_dim
        self.pooled_from = "prefix" if visual.pool_type == "tok" else "patches"

    def start(self, pixels: Tensor) -> Tensor:
        """Pixels ``[b, 3, h, w]`` to the input of block 0."""
        x: Tensor = self.visual._embeds(pixels)
        return x

    def run(self, x: Tensor, first: int, visit: Visit = unvisited) -> Tensor:
        """From the input of block ``first`` to the image embedding ``[b, e]``, not normalised."""
        for index in range(first, len(self.blocks)):
            x = self.block(x, index, visit)
        return self.finish(x, visit)

    def finish(self, x: Tensor, visit: Visit = unvisited) -> Tensor:
        """From the output of the last block to the image embedding ``[b, e]``."""
        pooled, _ = self.visual._pool(x)
        if self.visual.proj is not None:
            pooled = pooled @ self.visual.proj
        return visit("embedding", pooled[:, None])[:, 0]

    def block(self, x: Tensor, index: int, visit: Visit = unvisited) -> Tensor:
        """One block with its four sites."""
        block = self.blocks[index]
        x = visit(f"resid_pre.{index}", x)
        heads = visit(f"head_out.{index}", self._heads(block.attn, block.ln_1(x)))
        x = x + block.ls_1(block.attn.out_proj(heads))
        hidden = visit(f"mlp_post.{index}", block.mlp.gelu(block.mlp.c_fc(block.ln_2(x))))
        x = x + block.ls_2(block.mlp.c_proj(hidden))
        return visit(f"resid_post.{index}", x)

    def _heads(self, attention: Any, x: Tensor) -> Tensor:
        """What the heads put out, side by side ``[b, t, d]``, before the output projection."""
        batch, tokens, width = x.shape
        mixed = functional.linear(x, attention.in_proj_weight, attention.in_proj_bias)
        query, key, value = mixed.view(batch, tokens, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        out = functional.scaled_dot_product_attention(query, key, value)
        return out.transpose(1, 2).reshape(batch, tokens, width)


def check_tower(visual: Any) -> None:
    """Refuse a tower whose pass is another than the one written here; raises InvalidRequest."""
    if not isinstance(visual, VisionTransformer) or visual.attn_pool is not None:
        raise InvalidRequest(
            f"image tower {type(visual).__name__} is not a VisionTransformer without attention pool"
        )
    if visual.pool_type not in ("tok", "avg"):
        raise InvalidRequest(
            f"image tower pools {visual.pool_type!r}, this version knows 'tok' and 'avg'"
        )
    for block in visual.transformer.resblocks:
        if not isinstance(block, ResidualAttentionBlock) or not isinstance(
            block.attn, MultiheadAttention
        ):
            raise InvalidRequest(
                f"image tower has blocks {type(block).__name__}, not residual attention blocks"
            )


def block_of(site: str, blocks: int) -> int:
    """The block that must run for ``site`` to be met; ``blocks`` for the embedding."""
    return blocks if site == "embedding" else int(site.partition(".")[2])


def site_names(blocks: int) -> list[str]:
    """All sites, from the input upward."""
    kinds = ("resid_pre", "head_out", "mlp_post", "resid_post")
    return [f"{kind}.{i}" for i in range(blocks) for kind in kinds] + ["embedding"]
