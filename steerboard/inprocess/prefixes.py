"""The clean input of a block, from the cache or from the nearest lower block that is there."""

from collections.abc import Sequence

import torch
from torch import Tensor

from steerboard.inprocess.crew import Crew
from steerboard.inprocess.lru import ByteLru
from steerboard.inprocess.rows import Row
from steerboard.inprocess.served import ServedModel

Known = dict[tuple[str, int], Tensor]  # By picture and block.


class Prefixes:
    """Residuals by (model, picture, block), in a cache that others share.

    Of pictures that begin at the input nothing is kept: to cut them into patches costs less than
    to keep them.

    Args:
        cache: Where residuals lie.
        crew: Who computes those of several pictures.
    """

    def __init__(self, cache: ByteLru[tuple[Tensor, ...]], crew: Crew) -> None:
        self._cache = cache
        self._crew = crew

    def get(
        self, served: ServedModel, rows: Sequence[Row], starts: Sequence[int]
    ) -> tuple[list[Tensor], set[str]]:
        """Where each row begins, and the pictures of which that was in the cache.

        What a row begins with is the input ``[t, d]`` of its block, or its pixels at block 0.
        """
        known: Known = {}
        hits: set[str] = set()
        for first in sorted({start for start in starts if start}):
            own = [r.image for r, start in zip(rows, starts, strict=True) if start == first]
            hits |= self._fetch(served, dict.fromkeys(own), first, known, rows)
        begin = [
            known[row.image, start] if start else row.pixels
            for row, start in zip(rows, starts, strict=True)
        ]
        return begin, hits

    def joined(
        self, served: ServedModel, rows: Sequence[Row], first: int
    ) -> tuple[Tensor, set[str]]:
        """Input ``[n, t, d]`` of block ``first``, and the pictures whose it was in the cache."""
        if first:
            begin, hits = self.get(served, rows, [first] * len(rows))
            return torch.stack(begin), hits
        pictures = {row.image: row.pixels for row in rows}
        which = {image: i for i, image in enumerate(pictures)}
        x = served.loaded.tower.start(served.placement.pixels(list(pictures.values())))
        return x[[which[row.image] for row in rows]], set()

    def _fetch(
        self,
        served: ServedModel,
        images: dict[str, None],
        first: int,
        known: Known,
        rows: Sequence[Row],
    ) -> set[str]:
        """Put the inputs of block ``first`` into ``known``; the pictures whose it was cached."""
        pixels = {row.image: row.pixels for row in rows}
        hits: set[str] = set()
        below: dict[int, list[str]] = {}
        for image in images:
            at = self._nearest(served, image, first, known)
            if at == first:
                hits.add(image)
            else:
                below.setdefault(at, []).append(image)
        for at, some in below.items():
            begin = [known[image, at] if at else pixels[image] for image in some]
            for image, x in zip(some, self._run(served, begin, at, first), strict=True):
                known[image, first] = x
                self._keep(served, image, first, x)
        return hits

    def _run(
        self, served: ServedModel, begin: Sequence[Tensor], at: int, first: int
    ) -> Sequence[Tensor]:
        """From the inputs of block ``at``, or from pixels, to those of block ``first``."""
        tower, sizes = served.loaded.tower, self._crew.cut([1.0] * len(begin), served)
        ends = [sum(sizes[: i + 1]) for i in range(len(sizes))]

        def climb(some: Sequence[Tensor]) -> Tensor:
            with torch.inference_mode():
                x = torch.stack(list(some)) if at else tower.start(served.placement.pixels(some))
                for index in range(at, first):
                    x = tower.block(x, index)
                return x

        pieces = [begin[end - size : end] for end, size in zip(ends, sizes, strict=True)]
        return [row for piece in self._crew.map(climb, pieces) for row in piece]

    def _nearest(self, served: ServedModel, image: str, first: int, known: Known) -> int:
        """The highest block up to ``first`` whose input is now ``known``, else 0."""
        for index in range(first, 0, -1):
            held = self._cache.get((served.info.fingerprint, image, "prefix", index))
            if held is not None:
                known[image, index] = held[0]
            if (image, index) in known:
                return index
        return 0

    def _keep(self, served: ServedModel, image: str, first: int, x: Tensor) -> None:
        """Remember a copy: a view would hold its whole batch."""
        size = x.numel() * x.element_size()
        if size <= self._cache.limit:
            key = (served.info.fingerprint, image, "prefix", first)
            self._cache.put(key, (x.clone(),), size)
