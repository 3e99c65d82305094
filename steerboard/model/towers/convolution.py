"""What convolutional towers share: a stem, then blocks in stages whose grid halves each time.

Their feature maps are read as tokens ``[b, rows * columns, channels]``, without a prefix. A place
on the picture is told on the grid of the last stage; at a finer site k x k tokens lie under each of
its cells. There are no heads.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from steerboard.model.tower import Tower, Visit, unvisited
from steerboard.spec.errors import InvalidRequest

Grid = tuple[int, int]


@dataclass(frozen=True)
class ConvBlock:
    """One block between two grids; ``stage`` is the module that holds it."""

    module: Any
    stage: Any
    first: bool
    width_in: int
    width: int
    grid_in: Grid
    grid: Grid


class ConvolutionTower(Tower):
    """A stem and blocks; families say how a block runs and how the end is pooled.

    Args:
        visual: open_clip's module.
        places: Its blocks, in order.
        image_size: (height, width) in pixels.
    """

    def __init__(self, visual: Any, places: Sequence[ConvBlock], image_size: Grid) -> None:
        modules = [place.module for place in places]
        super().__init__(visual, modules, image_size, places[-1].grid, 0, "patches")
        self.places = list(places)
        self.width = places[-1].width
        self.measure()

    @property
    def summary(self) -> str:
        """Such as ``ResNet 3-4-6-3, 224 x 224``."""
        starts = [i for i, place in enumerate(self.places) if place.first]
        ends = [*starts[1:], len(self.blocks)]
        depths = "-".join(str(end - start) for start, end in zip(starts, ends, strict=True))
        return f"{self.family} {depths}, {self.image_size[0]} x {self.image_size[1]}"

    def block(self, x: Tensor, index: int, visit: Visit = unvisited) -> Tensor:
        """One block with its sites."""
        own = self.places[index]
        x = visit(f"resid_pre.{index}", x)
        return visit(
            f"resid_post.{index}", tokens(self.convolve(own, as_map(x, own.grid_in), index, visit))
        )

    def convolve(self, own: ConvBlock, x: Tensor, index: int, visit: Visit) -> Tensor:
        """The block on a map ``[b, d, rows, columns]``."""
        raise NotImplementedError

    def block_shapes(self, index: int) -> list[tuple[str, int, Grid]]:
        """(kind, width, grid) of each site of a block."""
        own = self.places[index]
        return [("resid_pre", own.width_in, own.grid_in), ("resid_post", own.width, own.grid)]


def tokens(x: Tensor) -> Tensor:
    """A map ``[b, d, rows, columns]`` as tokens ``[b, t, d]``."""
    return x.flatten(2).transpose(1, 2)


def as_map(x: Tensor, grid: Grid) -> Tensor:
    """Tokens ``[b, t, d]`` as a map ``[b, d, rows, columns]``."""
    return x.transpose(1, 2).reshape(x.shape[0], x.shape[2], *grid)


def grids(image_size: Grid, stages: int) -> list[Grid]:
    """The grid of each stage: a quarter of the picture's sides, then half of that, and so on.

    Raises:
        InvalidRequest: The sides are no multiples of the last stage's stride, so that a cell of
            the last grid would not be so many whole cells of the others.
    """
    stride = 4 * 2 ** (stages - 1)
    if any(side % stride for side in image_size):
        raise InvalidRequest(
            f"the image tower reads pictures of {image_size[0]} x {image_size[1]}: its stages can"
            f" be read as grids only where both sides are multiples of {stride}"
        )
    return [(image_size[0] // s, image_size[1] // s) for s in (4 * 2**i for i in range(stages))]
