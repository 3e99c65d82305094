"""What all vision transformers share: blocks of attention and MLP around a residual stream."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from steerboard.model.tower import Tower, Visit, unvisited
from steerboard.model.towers.attention import AttentionPass, PlainPass
from steerboard.model.towers.mlp import MlpPass
from steerboard.spec.capabilities import TokenSet

Step = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class BlockPass:
    """``x + after_attention(attention(before_attention(x)))``, then the same with the MLP.

    Norms stand before in pre-norm blocks and after in post-norm ones; layer scale stands after.
    """

    before_attention: Step
    attention: AttentionPass
    after_attention: Step
    before_mlp: Step
    mlp: MlpPass
    after_mlp: Step


class TransformerTower(Tower):
    """A stack of ``BlockPass``; families say how it starts and how it is pooled.

    Args:
        visual: open_clip's module.
        blocks: The modules, in order.
        passes: How each of them is run.
        width: Of the residual stream.
        image_size: (height, width) in pixels.
        grid: Patches as (rows, columns).
        prefix: Prefix tokens.
        pools: Which tokens the embedding is read from.
    """

    def __init__(
        self,
        visual: Any,
        blocks: Sequence[Any],
        passes: Sequence[BlockPass],
        width: int,
        image_size: tuple[int, int],
        grid: tuple[int, int],
        prefix: int,
        pools: TokenSet,
    ) -> None:
        super().__init__(visual, blocks, image_size, grid, prefix, pools)
        self.passes = list(passes)
        self.width = width
        self.heads = passes[-1].attention.count
        self.mlp_width = passes[-1].mlp.width
        self.skips = pools == "prefix" and isinstance(passes[-1].attention, PlainPass)
        self.measure()

    @property
    def summary(self) -> str:
        """Such as ``ViT 192x6, patch 12, 96 x 96``."""
        height, width = self.image_size
        patch = height // self.grid[0]
        return f"{self.family} {self.width}x{len(self.blocks)}, patch {patch}, {height} x {width}"

    def rope(self, _index: int) -> Tensor | None:
        """Rotary positions of a block, where the family has them."""
        return None

    def block(self, x: Tensor, index: int, visit: Visit = unvisited) -> Tensor:
        """One block with its sites."""
        own = self.passes[index]
        x = visit(f"resid_pre.{index}", x)
        heads = own.attention.heads(own.before_attention(x), self.rope(index))
        if own.attention.readable:
            heads = visit(f"head_out.{index}", heads)
        x = x + own.after_attention(own.attention.project(heads))
        hidden = own.mlp.hidden(own.before_mlp(x))
        if own.mlp.readable:
            hidden = visit(f"mlp_post.{index}", hidden)
        x = x + own.after_mlp(own.mlp.project(hidden))
        return visit(f"resid_post.{index}", x)

    def last(self, x: Tensor, visit: Visit = unvisited) -> Tensor:
        """The last block for the prefix alone: one query for keys and values of all tokens."""
        own = self.passes[-1]
        assert isinstance(own.attention, PlainPass)
        x = visit(f"resid_pre.{len(self.blocks) - 1}", x)
        heads = own.attention.first_heads(own.before_attention(x), self.prefix)
        x = x[:, : self.prefix] + own.after_attention(own.attention.project(heads))
        return x + own.after_mlp(own.mlp.project(own.mlp.hidden(own.before_mlp(x))))

    def block_shapes(self, index: int) -> list[tuple[str, int, tuple[int, int]]]:
        """(kind, width, grid) of each site of a block."""
        own = self.passes[index]
        widths = {
            "resid_pre": self.width,
            "head_out": own.attention.width,
            "mlp_post": own.mlp.width,
            "resid_post": self.width,
        }
        # A part that can only be run whole has width 0: no site there.
        return [(kind, width, self.grid) for kind, width in widths.items() if width]


def same(x: Tensor) -> Tensor:
    """No norm here."""
    return x
