"""timm's ``ConvNeXt`` inside open_clip."""

from typing import Any

from torch import Tensor

from steerboard.model import torchvision_ops  # noqa: F401  (before open_clip)

from open_clip.timm_model import TimmModel  # isort: skip
from timm.models.convnext import ConvNeXt

from steerboard.model.tower import Visit
from steerboard.model.towers.convolution import (
    ConvBlock,
    ConvolutionTower,
    Grid,
    as_map,
    grids,
    tokens,
)
from steerboard.model.towers.mlp import MlpPass, read_mlp
from steerboard.spec.errors import InvalidRequest


class ConvNextTower(ConvolutionTower):
    """A stage's first block includes the step down to its grid; ``mlp_post`` is a site.

    Args:
        visual: open_clip's ``TimmModel``.

    Raises:
        InvalidRequest: Its pictures are no multiples of 32, or its strides are unusual.
    """

    family = "ConvNeXt"

    @staticmethod
    def fits(visual: Any) -> bool:
        """Whether the module is of this family; a subclass may compute otherwise."""
        return isinstance(visual, TimmModel) and type(visual.trunk) is ConvNeXt

    def __init__(self, visual: Any) -> None:
        blocks = read_blocks(visual.trunk, tuple(visual.image_size))
        self.mlps = [read_mlp(block.module.mlp) for block in blocks]
        super().__init__(visual, blocks, tuple(visual.image_size))
        self.mlp_width = self.mlps[-1].width

    def start(self, pixels: Tensor) -> Tensor:
        """Pixels ``[b, 3, h, w]`` to the input of block 0."""
        return tokens(self.visual.trunk.stem(pixels))

    def convolve(self, own: ConvBlock, x: Tensor, index: int, visit: Visit) -> Tensor:
        """The block on a map ``[b, d, rows, columns]``."""
        if own.first:
            x = own.stage.downsample(x)
        block = own.module
        if not self.mlps[index].readable:
            out: Tensor = block(x)
            return out
        change = block.norm(block.conv_dw(x).permute(0, 2, 3, 1))
        change = self._think(self.mlps[index], change, index, visit).permute(0, 3, 1, 2)
        if block.gamma is not None:
            change = change * block.gamma.reshape(1, -1, 1, 1)
        out = change + block.shortcut(x)
        return out

    def _think(self, mlp: MlpPass, x: Tensor, index: int, visit: Visit) -> Tensor:
        """The MLP on ``[b, rows, columns, d]``, its neurons seen as tokens."""
        hidden = mlp.hidden(x)
        seen = visit(f"mlp_post.{index}", hidden.flatten(1, 2))
        return mlp.project(seen.unflatten(1, hidden.shape[1:3]))

    def block_shapes(self, index: int) -> list[tuple[str, int, Grid]]:
        """(kind, width, grid) of each site of a block."""
        before, after = super().block_shapes(index)
        mlp = self.mlps[index]
        return [before, *([("mlp_post", mlp.width, after[2])] if mlp.readable else []), after]

    def pool(self, x: Tensor) -> Tensor:
        """From the output of the last block to the image embedding ``[b, e]``."""
        trunk = self.visual.trunk
        pooled = trunk.forward_head(trunk.norm_pre(as_map(x, self.grid)))
        out: Tensor = self.visual.head(pooled)
        return out


def read_blocks(trunk: Any, image_size: Grid) -> list[ConvBlock]:
    """All blocks of all stages; raises InvalidRequest where strides are not 4, 2, 2, 2."""
    strides = [stage["reduction"] for stage in trunk.feature_info]
    if strides != [4, 8, 16, 32]:
        raise InvalidRequest(
            f"the image tower's stages have strides {strides}, not 4, 8, 16 and 32: choose another"
        )
    found: list[ConvBlock] = []
    before = grids(image_size, 4)[0]
    width = trunk.stages[0].blocks[0].conv_dw.in_channels
    for stage, grid in zip(trunk.stages, grids(image_size, 4), strict=True):
        for i, module in enumerate(stage.blocks):
            own = module.conv_dw.out_channels
            found.append(ConvBlock(module, stage, i == 0, width, own, before, grid))
            width, before = own, grid
    return found
