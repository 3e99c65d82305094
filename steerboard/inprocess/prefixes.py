"""The clean input of a block, from the cache or from the nearest lower block that is there.

Behind the cache in memory there may be one on disk: see ``shelf``.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from steerboard.inprocess.between import Between, Step
from steerboard.inprocess.crew import Crew
from steerboard.inprocess.lru import ByteLru
from steerboard.inprocess.rows import Row, drawn
from steerboard.inprocess.served import ServedModel
from steerboard.inprocess.shelf import Shelf

Known = dict[tuple[str, int], Tensor]  # By picture and block.


class Prefixes:
    """Residuals by (model, picture, block), in a cache that others share.

    Of pictures that begin at the input nothing is kept: to cut them into patches costs less than
    to keep them.

    Args:
        cache: Where residuals lie.
        crew: Who computes those of several pictures.
        shelf: What lies on disk.
    """

    def __init__(
        self, cache: ByteLru[tuple[Tensor, ...]], crew: Crew, shelf: Shelf | None = None
    ) -> None:
        self._cache = cache
        self._crew = crew
        self.shelf = shelf or Shelf()

    def get(
        self,
        served: ServedModel,
        rows: Sequence[Row],
        starts: Sequence[int],
        between: Between | None = None,
    ) -> tuple[list[Tensor], set[str]]:
        """Where each row begins, and the pictures of which that was in the cache.

        Between two blocks of what must be computed for it others may go first.

        What a row begins with is the input ``[t, d]`` of its block, or its pixels at block 0.
        Behind the last block it may be the prefix tokens ``[p, d]``, of all rows there.
        """
        known: Known = {}
        hits: set[str] = set()
        for first in sorted({start for start in starts if start}):
            own = [r for r, start in zip(rows, starts, strict=True) if start == first]
            fetch = self._fetch_short if self.shelf.short(served, own, first) else self._fetch
            hits |= fetch(served, own, first, known, between)
        pairs = list(zip(rows, starts, strict=True))
        pixels = iter(drawn([row for row, start in pairs if not start]))
        return [known[row.image, start] if start else next(pixels) for row, start in pairs], hits

    def joined(
        self,
        served: ServedModel,
        rows: Sequence[Row],
        first: int,
        between: Between | None = None,
    ) -> tuple[Tensor, set[str]]:
        """Input ``[n, t, d]`` of block ``first``, and the pictures whose it was in the cache."""
        if first:
            begin, hits = self.get(served, rows, [first] * len(rows), between)
            return torch.stack(begin), hits
        pictures = {row.image: row for row in rows}
        which = {image: i for i, image in enumerate(pictures)}
        pixels = drawn(list(pictures.values()))
        x = served.loaded.tower.start(served.placement.pixels(pixels))
        return x[[which[row.image] for row in rows]], set()

    def _fetch_short(
        self,
        served: ServedModel,
        rows: Sequence[Row],
        first: int,
        known: Known,
        between: Between | None,
    ) -> set[str]:
        """As ``_fetch`` behind the last block, of prefix tokens alone."""
        held = self.shelf.get(served, list({row.image for row in rows}), first, short=True)
        known.update({(image, first): x for image, x in held.items()})
        hits = set(held)
        others = [row for row in rows if row.image not in hits]
        found = self._fetch(served, others, first, known, between)
        for image in {row.image for row in others}:
            known[image, first] = known[image, first][: served.loaded.tower.prefix]
        return hits | found

    def _fetch(
        self,
        served: ServedModel,
        rows: Sequence[Row],
        first: int,
        known: Known,
        between: Between | None,
    ) -> set[str]:
        """Put the inputs of block ``first`` into ``known``; the pictures whose it was cached."""
        pictures = {row.image: row for row in rows}
        hits: set[str] = set()
        below: dict[int, list[str]] = {}
        for image in pictures:
            at = self._nearest(served, image, first, known)
            if at == first:
                hits.add(image)
            else:
                below.setdefault(at, []).append(image)
        for at, some in below.items():
            begin = (
                [known[image, at] for image in some]
                if at
                else drawn([pictures[image] for image in some])
            )
            fresh = self._run(served, begin, at, first, between)
            found = self.shelf.put(served, some, first, fresh)
            for image, x in zip(some, found, strict=True):
                known[image, first] = x
                self._keep(served, image, first, x)
        return hits

    def _run(
        self,
        served: ServedModel,
        begin: Sequence[Tensor],
        at: int,
        first: int,
        between: Between | None,
    ) -> Sequence[Tensor]:
        """From the inputs of block ``at``, or from pixels, to those of block ``first``."""
        tower, sizes = served.loaded.tower, self._crew.cut([1.0] * len(begin), served)
        ends = [sum(sizes[: i + 1]) for i in range(len(sizes))]

        def climb(some: Sequence[Tensor], step: Step) -> Tensor:
            with torch.inference_mode():
                step()
                x = torch.stack(list(some)) if at else tower.start(served.placement.pixels(some))
                for index in range(at, first):
                    step()
                    x = tower.block(x, index)
                return x

        pieces = [begin[end - size : end] for end, size in zip(ends, sizes, strict=True)]
        return [row for piece in self._crew.map(climb, pieces, between) for row in piece]

    def _nearest(self, served: ServedModel, image: str, first: int, known: Known) -> int:
        """The highest block up to ``first`` whose input is now ``known``, else 0."""
        for index in range(first, 0, -1):
            held = self._held(served, image, index)
            if held is not None:
                known[image, index] = held
            if (image, index) in known:
                return index
        return 0

    def _held(self, served: ServedModel, image: str, index: int) -> Tensor | None:
        """From memory, else from disk."""
        held = self._cache.get((served.info.fingerprint, image, "prefix", index))
        return held[0] if held is not None else self.shelf.get(served, [image], index).get(image)

    def _keep(self, served: ServedModel, image: str, first: int, x: Tensor) -> None:
        """Remember a copy: a view would hold its whole batch."""
        size = x.numel() * x.element_size()
        if size <= self._cache.limit:
            key = (served.info.fingerprint, image, "prefix", first)
            self._cache.put(key, (x.clone(),), size)
