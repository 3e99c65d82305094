"""An image tower as an explicit pass that can stop, start and be read anywhere.

No hooks: the pass calls ``visit(site, x)`` at each site, from the input upward, and goes on with
what comes back. Any suffix behind a block can be run alone. Shapes: ``x [b, t, d]``; tokens are
the prefix (class token and registers, or none) and then the patches, row by row. One file a family
in ``towers/``; ``towers.read_tower`` finds the right one.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any, ClassVar

import torch
from torch import Tensor

from steerboard.spec.capabilities import TokenSet
from steerboard.spec.errors import InvalidRequest

Visit = Callable[[str, Tensor], Tensor]
Stage = Callable[[Tensor], Tensor]
KINDS = ("resid_pre", "head_out", "mlp_post", "resid_post")


def unvisited(_site: str, x: Tensor) -> Tensor:
    """Change nothing."""
    return x


@dataclass(frozen=True)
class SiteShape:
    """What a tower says of one of its sites.

    ``grid`` is that of its patches; it is ``(0, 0)`` at the embedding, whose one token counts as
    a prefix. A site that is not of heads has none.
    """

    name: str
    width: int
    prefix: int
    grid: tuple[int, int]
    heads: int
    prefix_read: bool
    patches_read: bool

    @property
    def tokens(self) -> int:
        """Prefix tokens and patches."""
        return self.prefix + self.grid[0] * self.grid[1]


class Tower(ABC):
    """One image tower, read from the outside; its parameters are used, never changed.

    Args:
        visual: open_clip's module, in eval mode.
        blocks: The modules between ``start`` and ``finish``, in order.
        image_size: (height, width) in pixels.
        grid: Patches as (rows, columns) behind the last block.
        prefix: Prefix tokens.
        pools: Which tokens the embedding is read from: prefix, patches or all.

    Attributes:
        width: Of the residual stream behind the last block.
        heads: Attention heads a block, 0 where there are none.
        mlp_width: Hidden neurons of the last block's MLP, 0 where it is not a site.
        embedding_width: Of the image embedding.
        skips: Whether the last block can be run for the pooled tokens alone.
    """

    family: ClassVar[str]
    width: int
    heads: int = 0
    mlp_width: int = 0
    skips = False

    def __init__(
        self,
        visual: Any,
        blocks: Sequence[Any],
        image_size: tuple[int, int],
        grid: tuple[int, int],
        prefix: int,
        pools: TokenSet,
    ) -> None:
        self.visual = visual
        self.blocks = list(blocks)
        self.image_size = image_size
        self.grid = grid
        self.prefix = prefix
        self.tokens = prefix + grid[0] * grid[1]
        self.pools = pools
        self.pooled_from = "prefix" if pools == "prefix" else "patches"

    @property
    @abstractmethod
    def summary(self) -> str:
        """Such as ``ViT 192x6, patch 12, 96 x 96``."""

    @abstractmethod
    def start(self, pixels: Tensor) -> Tensor:
        """Pixels ``[b, 3, h, w]`` to the input of block 0."""

    @abstractmethod
    def block(self, x: Tensor, index: int, visit: Visit = unvisited) -> Tensor:
        """One block with its sites."""

    @abstractmethod
    def pool(self, x: Tensor) -> Tensor:
        """From the output of the last block to the image embedding ``[b, e]``."""

    @abstractmethod
    def block_shapes(self, index: int) -> list[tuple[str, int, tuple[int, int]]]:
        """(kind, width, grid) of each site of a block, in the order in which they are met."""

    def run(
        self,
        x: Tensor,
        first: int,
        visit: Visit = unvisited,
        watched: Collection[str] | None = None,
    ) -> Tensor:
        """From the input of block ``first`` to the image embedding ``[b, e]``, not normalised.

        Where ``watched`` is given ``visit`` leaves all other sites as they are, and need not be
        called there.
        """
        for stage in self.stages(first, visit, watched):
            x = stage(x)
        return x

    def stages(
        self, first: int, visit: Visit = unvisited, watched: Collection[str] | None = None
    ) -> list[Stage]:
        """What ``run`` does, in order: the blocks, each ``[b, t, d]`` to the next, and the end."""
        short = watched is not None and first < len(self.blocks) and self.ends_short(watched)
        blocks = range(first, len(self.blocks) - short)
        found: list[Stage] = [partial(self.block, index=index, visit=visit) for index in blocks]
        if short:
            found.append(partial(self.last, visit=visit))
        return [*found, partial(self.finish, visit=visit)]

    def ends_short(self, watched: Collection[str]) -> bool:
        """Whether ``last`` may stand for the last block where only ``watched`` sites are visited.

        Nothing reads the patches there once keys and values are formed, unless somebody looks.
        """
        last = len(self.blocks) - 1
        behind = {f"{kind}.{last}" for kind in ("head_out", "mlp_post", "resid_post")}
        return self.skips and behind.isdisjoint(watched)

    def last(self, x: Tensor, visit: Visit = unvisited) -> Tensor:
        """The last block for the tokens that are pooled, ``[b, p, d]``; visits what lies before.

        Only where ``ends_short`` says so.
        """
        return self.block(x, len(self.blocks) - 1, visit)

    def finish(self, x: Tensor, visit: Visit = unvisited) -> Tensor:
        """From the output of the last block to the image embedding ``[b, e]``."""
        return visit("embedding", self.pool(x)[:, None])[:, 0]

    @cached_property
    def sites(self) -> tuple[SiteShape, ...]:
        """All sites, from the input upward."""
        found = [
            self._shape(f"{kind}.{index}", width, self.prefix, grid)
            for index in range(len(self.blocks))
            for kind, width, grid in self.block_shapes(index)
        ]
        return (*found, self._shape("embedding", self.embedding_width, 1, (0, 0)))

    def site(self, name: str) -> SiteShape:
        """The site called ``name``; raises KeyError where this tower has none."""
        return self._by_name[name]

    @cached_property
    def _by_name(self) -> dict[str, SiteShape]:
        return {site.name: site for site in self.sites}

    @property
    def embedding_width(self) -> int:
        """Numbers in an image embedding."""
        return self._embedding_width

    def prefix_read(self, site: str) -> bool:
        """Whether anything behind ``site`` reads prefix tokens."""
        return site == "embedding" or self._read(site, "prefix")

    def patches_read(self, site: str) -> bool:
        """Whether anything behind ``site`` reads patch tokens."""
        return site != "embedding" and self._read(site, "patches")

    def _read(self, site: str, tokens: TokenSet) -> bool:
        # In the last block keys and values are formed before head_out: only resid_pre reaches them.
        last = block_of(site, len(self.blocks)) == len(self.blocks) - 1
        return self.pools in ("all", tokens) or not last or site.startswith("resid_pre")

    def _shape(self, name: str, width: int, prefix: int, grid: tuple[int, int]) -> SiteShape:
        return SiteShape(
            name=name,
            width=width,
            prefix=prefix,
            grid=grid,
            heads=self.heads if name.startswith("head_out") else 0,
            prefix_read=prefix > 0 and self.prefix_read(name),
            patches_read=self.patches_read(name),
        )

    def measure(self) -> None:
        """Learn the width of the embedding; families call this when they are complete.

        Raises:
            InvalidRequest: The tower does not end in one embedding a picture.
        """
        like = next(self.visual.parameters())
        with torch.no_grad():
            shape = self.pool(like.new_zeros(1, self.tokens, self.width)).shape
        if len(shape) != 2:
            raise InvalidRequest(
                f"the image tower ends in a tensor {tuple(shape)} and not in one embedding a"
                " picture: choose a model that pools its tokens (pool_type 'tok' or 'avg')"
            )
        self._embedding_width = shape[1]


def block_of(site: str, blocks: int) -> int:
    """The block that must run for ``site`` to be met; ``blocks`` for the embedding."""
    return blocks if site == "embedding" else int(site.partition(".")[2])


def site_names(blocks: int) -> list[str]:
    """The sites of a plain vision transformer, from the input upward."""
    return [f"{kind}.{i}" for i in range(blocks) for kind in KINDS] + ["embedding"]
