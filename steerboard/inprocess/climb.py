"""The forward pass of rows under their own steer sets, from wherever each of them begins."""

from collections.abc import Sequence
from functools import partial
from itertools import groupby

import torch
from torch import Tensor
from torch.nn import functional

from steerboard.inprocess.between import Step, onward
from steerboard.inprocess.codes import Codes
from steerboard.inprocess.crew import Worker
from steerboard.inprocess.rows import Row
from steerboard.inprocess.served import ServedModel
from steerboard.inprocess.traced import Traced
from steerboard.model.placement import full
from steerboard.model.tower import Visit, block_of

# Tokens that are worth another core's while: with fewer a layer's weights cost more than its rows.
TAKEN = 150


class Climb:
    """Knows no cache but that of codes; may be used by several threads at once."""

    def __init__(self, codes: Codes) -> None:
        self._codes = codes

    def run(
        self,
        served: ServedModel,
        rows: Sequence[Row],
        starts: Sequence[int],
        begin: Sequence[Tensor],
        step: Step = onward,
    ) -> Tensor:
        """Unit-length embeddings ``[n, e]``, float32 on the device, in one pass.

        Args:
            served: The model.
            rows: By rising start.
            starts: The block at which each row enters; the number of blocks: only pooling is left.
            begin: The clean input ``[t, d]`` of that block, or pixels ``[3, h, w]`` at block 0.
            step: Done before each block.
        """
        members: list[Row] = []
        x: Tensor | None = None
        entering = {
            start: [i for i, _ in group]
            for start, group in groupby(enumerate(starts), key=lambda one: one[1])
        }
        for index in range(starts[0], starts[-1] + 1):
            step()
            if own := entering.get(index):
                fresh = self._enter(served, [rows[i] for i in own], index, [begin[i] for i in own])
                # Behind the last block some bring its patches, which nobody reads, and some do not.
                read = fresh.shape[1] if x is None else min(x.shape[1], fresh.shape[1])
                x = fresh if x is None else torch.cat([x[:, :read], fresh[:, :read]])
                members = [*members, *(rows[i] for i in own)]
            assert x is not None
            if index < starts[-1]:
                x = self._block(served, members, x, index)
        assert x is not None
        return self._onward(served, members, x, starts[-1], step)

    @torch.inference_mode()
    def _onward(
        self, served: ServedModel, rows: Sequence[Row], x: Tensor, first: int, step: Step
    ) -> Tensor:
        """From the input of block ``first``, where all have entered and a step was done."""
        blocks = len(served.loaded.tower.blocks)
        for index in range(first, blocks):
            if index > first:
                step()
            if traced := small(served, rows, index):
                return traced.rest(x, index)
            half = (len(rows) + 1) // 2
            if isinstance(step, Worker) and _worth(x[half:], blocks - index):
                theirs = partial(self._onward, served, rows[half:], x[half:], index)
                if step.give(theirs):
                    rows, x = rows[:half], x[:half]
            x = self._block(served, rows, x, index)
        if first < blocks:
            step()
        out = served.loaded.tower.finish(x, self._visit(served, rows))
        return functional.normalize(full(out), dim=-1)

    def _enter(
        self, served: ServedModel, rows: Sequence[Row], index: int, begin: Sequence[Tensor]
    ) -> Tensor:
        """Input ``[n, t, d]`` of block ``index``, after the edits of the output before it."""
        if index:
            x = torch.stack(list(begin))
            return self._edited(served, rows, f"resid_post.{index - 1}", x)
        pictures = {row.image: pixels for row, pixels in zip(rows, begin, strict=True)}
        pixels = served.placement.pixels(list(pictures.values()))
        x = (small(served, (), 0) or served.loaded.tower).start(pixels)
        if len(pictures) == len(rows):
            return x
        which = {image: i for i, image in enumerate(pictures)}
        return x[[which[row.image] for row in rows]]

    def _block(self, served: ServedModel, rows: Sequence[Row], x: Tensor, index: int) -> Tensor:
        """One block under the rows' edits; the last one for what is pooled, where that suffices."""
        tower, visit = served.loaded.tower, self._visit(served, rows)
        watched = {edit.site for row in rows for edit in row.steer.edits}
        if index == len(tower.blocks) - 1 and tower.ends_short(watched):
            return tower.last(x, visit)
        return tower.block(x, index, visit)

    def _visit(self, served: ServedModel, rows: Sequence[Row]) -> Visit:
        edited = {edit.site for row in rows for edit in row.steer.edits}

        def visit(site: str, x: Tensor) -> Tensor:
            return self._edited(served, rows, site, x) if site in edited else x

        return visit

    def _edited(self, served: ServedModel, rows: Sequence[Row], site: str, x: Tensor) -> Tensor:
        change = self.change(served, rows, site, x)
        return x if change is None else (x + change).to(x.dtype)

    def change(
        self, served: ServedModel, rows: Sequence[Row], site: str, x: Tensor
    ) -> Tensor | None:
        """What the rows' edits add to ``x [n, t, d]`` at a site; None where there are none."""
        sets = [row.steer for row in rows]
        x = full(x)
        return served.editor.change(site, x, sets, self._codes.known(served, site, x, rows))


def small(served: ServedModel, rows: Sequence[Row], first: int) -> Traced | None:
    """Who runs all from block ``first`` on at once: where that is little, and not edited."""
    traced, blocks = served.traced, len(served.loaded.tower.blocks)
    if traced is None or not traced.takes(first):
        return None
    edits = (edit for row in rows for edit in row.steer.edits)
    return None if any(block_of(edit.site, blocks) >= first for edit in edits) else traced


def _worth(x: Tensor, blocks: int) -> bool:
    """Whether another core gains by computing ``x [n, t, d]`` through so many blocks."""
    return blocks > 1 and x.shape[0] * x.shape[1] >= TAKEN
