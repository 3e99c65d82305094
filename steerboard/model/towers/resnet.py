"""open_clip's ``ModifiedResNet``: the CLIP models with a ResNet, pooled by attention."""

from typing import Any

from torch import Tensor

from steerboard.model import torchvision_ops  # noqa: F401  (before open_clip)

from open_clip.modified_resnet import ModifiedResNet  # isort: skip

from steerboard.model.tower import Visit
from steerboard.model.towers.convolution import (
    ConvBlock,
    ConvolutionTower,
    as_map,
    grids,
    tokens,
)


class ResNetTower(ConvolutionTower):
    """A block is one bottleneck; ``resid_post`` is what its last ReLU puts out.

    Args:
        visual: The image tower.

    Raises:
        InvalidRequest: Its pictures are no multiples of 32.
    """

    family = "ResNet"

    @staticmethod
    def fits(visual: Any) -> bool:
        """Whether the module is of this family."""
        return type(visual) is ModifiedResNet

    def __init__(self, visual: Any) -> None:
        size = visual.image_size
        image_size = (size, size) if isinstance(size, int) else tuple(size)
        super().__init__(visual, read_blocks(visual, image_size), image_size)

    def start(self, pixels: Tensor) -> Tensor:
        """Pixels ``[b, 3, h, w]`` to the input of block 0."""
        return tokens(self.visual.stem(pixels))

    def convolve(self, own: ConvBlock, x: Tensor, index: int, visit: Visit) -> Tensor:
        """The bottleneck on a map ``[b, d, rows, columns]``."""
        out: Tensor = own.module(x)
        return out

    def pool(self, x: Tensor) -> Tensor:
        """From the output of the last block to the image embedding ``[b, e]``."""
        out: Tensor = self.visual.attnpool(as_map(x, self.grid))
        return out


def read_blocks(visual: Any, image_size: tuple[int, int]) -> list[ConvBlock]:
    """All bottlenecks; the first of a stage halves the grid, but for the first stage's."""
    stages = [visual.layer1, visual.layer2, visual.layer3, visual.layer4]
    found: list[ConvBlock] = []
    width, before = visual.conv3.out_channels, grids(image_size, 4)[0]
    for stage, grid in zip(stages, grids(image_size, 4), strict=True):
        for i, module in enumerate(stage):
            own = module.conv3.out_channels
            found.append(ConvBlock(module, stage, i == 0, width, own, before, grid))
            width, before = own, grid
    return found
