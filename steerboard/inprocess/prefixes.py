"""The clean input of a block, from the cache or from the nearest lower block that is there."""

from collections.abc import Sequence

import torch
from torch import Tensor

from steerboard.inprocess.lru import ByteLru
from steerboard.inprocess.rows import Row
from steerboard.inprocess.served import ServedModel


class Prefixes:
    """Residuals by (model, picture, block), in a cache that others share."""

    def __init__(self, cache: ByteLru[tuple[Tensor, ...]]) -> None:
        self._cache = cache

    def get(self, served: ServedModel, rows: Sequence[Row], first: int) -> tuple[Tensor, set[str]]:
        """Input ``[n, t, d]`` of block ``first``, and the pictures whose it was in the cache.

        Of pictures that begin at the input nothing is kept: to cut them into patches costs less
        than to keep them.
        """
        pictures = {row.image: row.pixels for row in rows}
        known: dict[str, Tensor] = {}
        hits: set[str] = set()
        starts: dict[int, list[str]] = {}
        for image in pictures:
            at, x = self._nearest(served, image, first)
            if x is not None:
                known[image] = x
            if x is not None and at == first:
                hits.add(image)
            else:
                starts.setdefault(at, []).append(image)
        for at, images in starts.items():
            begin = [known[image] if at else pictures[image] for image in images]
            known.update(zip(images, self._run(served, images, begin, at, first), strict=True))
        return torch.stack([known[row.image] for row in rows]), hits

    def _run(
        self, served: ServedModel, images: Sequence[str], begin: list[Tensor], at: int, first: int
    ) -> Tensor:
        """From the input of block ``at``, or from pixels, to that of block ``first``."""
        tower = served.loaded.tower
        x = torch.stack(begin) if at else tower.start(served.placement.pixels(begin))
        for index in range(at, first):
            x = tower.block(x, index)
        if first:
            self._keep(served, images, first, x)
        return x

    def _nearest(self, served: ServedModel, image: str, first: int) -> tuple[int, Tensor | None]:
        """The highest block up to ``first`` whose input is there, else block 0 and nothing."""
        for index in range(first, 0, -1):
            held = self._cache.get((served.info.fingerprint, image, "prefix", index))
            if held is not None:
                return index, held[0]
        return 0, None

    def _keep(self, served: ServedModel, images: Sequence[str], first: int, x: Tensor) -> None:
        for image, row in zip(images, x, strict=True):
            kept = row.clone()
            key = (served.info.fingerprint, image, "prefix", first)
            self._cache.put(key, (kept,), kept.numel() * kept.element_size())
