"""open_clip's own ``VisionTransformer``: the CLIP, CLIPA, MetaCLIP, DFN and CoCa models."""

from typing import Any

from torch import Tensor

from steerboard.model import torchvision_ops  # noqa: F401  (before open_clip)

from open_clip.transformer import (  # isort: skip
    CustomResidualAttentionBlock,
    ResidualAttentionBlock,
    VisionTransformer,
)

from steerboard.model.towers.attention import read_attention
from steerboard.model.towers.mlp import read_mlp
from steerboard.model.towers.transformer import BlockPass, TransformerTower
from steerboard.spec.capabilities import TokenSet
from steerboard.spec.errors import InvalidRequest


class OpenClipTower(TransformerTower):
    """One class token, then the patches; patch dropout is idle outside training.

    Args:
        visual: The image tower.

    Raises:
        InvalidRequest: Its blocks are of another kind, or it does not pool to one embedding.
    """

    family = "ViT"

    @staticmethod
    def fits(visual: Any) -> bool:
        """Whether the module is of this family."""
        return isinstance(visual, VisionTransformer)

    def __init__(self, visual: Any) -> None:
        super().__init__(
            visual,
            visual.transformer.resblocks,
            [read_block(block) for block in visual.transformer.resblocks],
            width=visual.conv1.out_channels,
            image_size=tuple(visual.image_size),
            grid=tuple(visual.grid_size),
            prefix=1,
            pools=pools(visual),
        )

    def start(self, pixels: Tensor) -> Tensor:
        """Pixels ``[b, 3, h, w]`` to the input of block 0."""
        x: Tensor = self.visual._embeds(pixels)
        return x

    def pool(self, x: Tensor) -> Tensor:
        """From the output of the last block to the image embedding ``[b, e]``."""
        pooled: Tensor = self.visual._pool(x)[0]
        if self.visual.proj is not None:
            pooled = pooled @ self.visual.proj
        # A contrastive pooler asks one question, and keeps an axis for it.
        return pooled[:, 0] if pooled.dim() == 3 and pooled.shape[1] == 1 else pooled


def pools(visual: Any) -> TokenSet:
    """Which tokens the embedding is read from."""
    if visual.attn_pool is not None:
        return "all"
    return "patches" if visual.pool_type == "avg" else "prefix"


def read_block(block: Any) -> BlockPass:
    """The pass of a block; raises InvalidRequest for one of another kind."""
    if type(block) not in (ResidualAttentionBlock, CustomResidualAttentionBlock):
        raise InvalidRequest(
            f"the image tower has blocks {type(block).__name__}, not residual attention blocks:"
            " choose a model with open_clip's own"
        )
    normed = isinstance(block, CustomResidualAttentionBlock)
    return BlockPass(
        before_attention=block.ln_1,
        attention=read_attention(block.attn),
        after_attention=(lambda x: block.ls_1(block.ln_attn(x))) if normed else block.ls_1,
        before_mlp=block.ln_2,
        mlp=read_mlp(block.mlp),
        after_mlp=block.ls_2,
    )
