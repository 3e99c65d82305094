"""Vision transformers of timm inside open_clip: SigLIP, MobileCLIP's B and L, ViTamin, EVA, PE."""

from typing import Any

from torch import Tensor

from steerboard.model import torchvision_ops  # noqa: F401  (before open_clip)

from open_clip.timm_model import TimmModel  # isort: skip
from timm.layers.attention_pool import AttentionPoolPrr
from timm.models.eva import Eva, EvaBlock, EvaBlockPostNorm
from timm.models.vision_transformer import Block, ResPostBlock, VisionTransformer

from steerboard.model.towers.attention import read_attention
from steerboard.model.towers.mlp import read_mlp
from steerboard.model.towers.transformer import BlockPass, Step, TransformerTower, same
from steerboard.spec.capabilities import TokenSet
from steerboard.spec.errors import InvalidRequest


class TimmTower(TransformerTower):
    """timm's ``VisionTransformer``: class token, registers, both or neither before the patches.

    Args:
        visual: open_clip's ``TimmModel``.

    Raises:
        InvalidRequest: Its blocks are of another kind, or it does not pool to one embedding.
    """

    family = "timm ViT"

    @staticmethod
    def fits(visual: Any) -> bool:
        """Whether the module is of this family; a subclass may compute otherwise."""
        return isinstance(visual, TimmModel) and type(visual.trunk) is VisionTransformer

    def __init__(self, visual: Any) -> None:
        trunk = self.trunk = visual.trunk
        check_size(visual)
        super().__init__(
            visual,
            trunk.blocks,
            [read_block(block) for block in trunk.blocks],
            width=trunk.embed_dim,
            image_size=tuple(visual.image_size),
            grid=grid(visual),
            prefix=trunk.num_prefix_tokens,
            pools=pools(trunk),
        )

    def start(self, pixels: Tensor) -> Tensor:
        """Pixels ``[b, 3, h, w]`` to the input of block 0."""
        trunk = self.trunk
        x: Tensor = trunk.norm_pre(trunk.patch_drop(trunk._pos_embed(trunk.patch_embed(pixels))))
        return x

    def pool(self, x: Tensor) -> Tensor:
        """From the output of the last block to the image embedding ``[b, e]``."""
        out: Tensor = self.visual.head(self.trunk.forward_head(self.trunk.norm(x)))
        return out


class EvaTower(TimmTower):
    """timm's ``Eva``: the same with rotary positions, which are the tower's and not the stream's.

    Args:
        visual: open_clip's ``TimmModel``.
    """

    family = "EVA"

    @staticmethod
    def fits(visual: Any) -> bool:
        """Whether the module is of this family; a subclass may compute otherwise."""
        return isinstance(visual, TimmModel) and type(visual.trunk) is Eva

    def start(self, pixels: Tensor) -> Tensor:
        """Pixels ``[b, 3, h, w]`` to the input of block 0."""
        x, _ = self.trunk._pos_embed(self.trunk.patch_embed(pixels))
        out: Tensor = self.trunk.norm_pre(x)
        return out

    def rope(self, index: int) -> Tensor | None:
        """Rotary positions of a block: those of the fixed grid, so that any suffix has them."""
        rope = self.trunk.rope
        if rope is None:
            return None
        fixed = hasattr(rope, "feat_shape") and not self.trunk.dynamic_img_size
        embedding: Tensor = rope.get_embed() if fixed else rope.get_embed(shape=self.grid)
        return embedding[index] if getattr(self.trunk, "rope_mixed", False) else embedding


def check_size(visual: Any) -> None:
    """Refuse a tower whose trunk is cut for another picture; raises InvalidRequest."""
    told, cut = tuple(visual.image_size), visual.trunk.patch_embed.img_size
    if cut is not None and tuple(cut) != told and not visual.trunk.dynamic_img_size:
        raise InvalidRequest(
            f"the image tower is told pictures of {told[0]} x {told[1]} and its trunk is cut for"
            f" {cut[0]} x {cut[1]}: set image_size in the model's vision_cfg to the latter"
        )


def grid(visual: Any) -> tuple[int, int]:
    """Patches as (rows, columns), for the pictures that the model is told."""
    patches = visual.trunk.patch_embed
    free = visual.trunk.dynamic_img_size
    rows, columns = (
        patches.dynamic_feat_size(tuple(visual.image_size)) if free else patches.grid_size
    )
    return rows, columns


def pools(trunk: Any) -> TokenSet:
    """Which tokens the embedding is read from."""
    if isinstance(trunk.attn_pool, AttentionPoolPrr):
        return "all"
    if trunk.attn_pool is None and trunk.global_pool == "token":
        return "prefix"
    # EVA's attention pool reads the prefix too; a ViT leaves it out unless told otherwise.
    with_prefix = getattr(trunk, "pool_include_prefix", trunk.attn_pool is not None)
    return "all" if with_prefix and trunk.num_prefix_tokens else "patches"


def read_block(block: Any) -> BlockPass:
    """The pass of a block; raises InvalidRequest for one of another kind."""
    if type(block) not in (Block, ResPostBlock, EvaBlock, EvaBlockPostNorm):
        raise InvalidRequest(
            f"the image tower has blocks {type(block).__name__}, which are not one attention and"
            " then one MLP: choose a model with plain blocks"
        )
    post = isinstance(block, ResPostBlock | EvaBlockPostNorm)
    return BlockPass(
        before_attention=same if post else block.norm1,
        attention=read_attention(block.attn),
        after_attention=block.norm1 if post else scale(block, "1"),
        before_mlp=same if post else block.norm2,
        mlp=read_mlp(block.mlp),
        after_mlp=block.norm2 if post else scale(block, "2"),
    )


def scale(block: Any, part: str) -> Step:
    """Layer scale of a block's first or second part, looked up when it runs."""
    if isinstance(block, Block):
        step: Step = getattr(block, f"ls{part}")
        return step
    if getattr(block, f"gamma_{part}") is None:
        return same
    return lambda x: getattr(block, f"gamma_{part}") * x
