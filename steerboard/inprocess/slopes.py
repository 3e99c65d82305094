"""Gradients of read-outs at sites, block by block.

Each block's graph is differentiated by itself, from the last to the first: between two of them
others may go first, on the way back as on the way up, and no more is held than one pass needs.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.nn import functional

from steerboard.inprocess.between import Between, step_of
from steerboard.inprocess.climb import Climb
from steerboard.inprocess.prefixes import Prefixes
from steerboard.inprocess.rows import Row, entry
from steerboard.inprocess.served import ServedModel
from steerboard.model.placement import full


@dataclass(eq=False)
class Stretch:
    """One block: what enters, what leaves, and the sites that were met there."""

    begin: Tensor
    end: Tensor
    sites: dict[str, Tensor] = field(default_factory=dict)

    def back(self, slope: Tensor | None) -> dict[str, Tensor]:
        """The gradients at its sites, and at its beginning under no name, from that at its end."""
        wanted = self.sites | ({"": self.begin} if self.begin.requires_grad else {})
        if not wanted:
            return {}
        found = torch.autograd.grad(self.end, list(wanted.values()), slope)
        return dict(zip(wanted, found, strict=True))


@dataclass(eq=False)
class Walk:
    """One pass: the edits of its rows, and which sites it remembers.

    Args:
        served: The model.
        climb: Who knows what edits change; their changes are held as they are.
        rows: Of the batch.
        sites: Whose gradients are asked for.
        until: The site that is read in place of the embedding, or none.
    """

    served: ServedModel
    climb: Climb
    rows: Sequence[Row]
    sites: Collection[str]
    until: str

    def __post_init__(self) -> None:
        self.edited = {edit.site for row in self.rows for edit in row.steer.edits}
        self.met: dict[str, Tensor] = {}
        self.end: Tensor | None = None

    @property
    def first(self) -> int:
        """The block at which it begins."""
        blocks = len(self.served.loaded.tower.blocks)
        return min(entry(site, blocks) for site in {*self.sites, *self.edited})

    def visit(self, site: str, x: Tensor) -> Tensor:
        """See ``Visit``."""
        if site in self.edited:
            with torch.no_grad():
                change = self.climb.change(self.served, self.rows, site, x)
            x = x if change is None else (x + change).to(x.dtype)
        if site == self.until:
            self.end = x
        if site in self.sites:
            x = x if x.requires_grad else x.detach().requires_grad_()
            self.met[site] = x
        return x

    def up(self, x: Tensor, readouts: Tensor, between: Between | None) -> list[Stretch]:
        """The blocks behind the input ``x`` of the first, the last one ending in the value."""
        tower, step = self.served.loaded.tower, step_of(between)
        watched = {*self.sites, *self.edited, self.until}
        if self.first:
            x = self.visit(f"resid_post.{self.first - 1}", x)
        found = [Stretch(x.detach(), x, self._taken())]
        for stage in tower.stages(self.first, self.visit, watched):
            if self.end is not None:
                break
            step()
            begin = x.detach().requires_grad_(x.requires_grad)
            x = stage(begin)
            found.append(Stretch(begin, x, self._taken()))
        end = full(functional.normalize(full(x), dim=-1) if self.end is None else self.end)
        found[-1].end = (end * readouts.to(end.device)).sum()
        return found

    def _taken(self) -> dict[str, Tensor]:
        met, self.met = self.met, {}
        return met


@dataclass(frozen=True, eq=False)
class Slopes:
    """Differentiates what rows read of their embeddings."""

    prefixes: Prefixes
    climb: Climb

    def run(
        self,
        served: ServedModel,
        rows: Sequence[Row],
        sites: Sequence[str],
        readouts: Tensor,
        until: str = "",
        between: Between | None = None,
    ) -> tuple[list[Tensor], set[str]]:
        """Activation and gradient ``[n, t, d]`` of each site in turn, float32; cached pictures.

        Args:
            served: The model.
            rows: Of one batch.
            sites: From the input upward or in any order.
            readouts: ``[n, e]``, or ``[n, t, d]`` of the site ``until``, on the CPU.
            until: A site behind all others that is read; the embedding where empty.
            between: Who may go first between two blocks.
        """
        walk = Walk(served, self.climb, rows, sites, until)
        with torch.no_grad():
            begin, hits = self.prefixes.joined(served, rows, walk.first, between)
            x = begin.clone()
        with torch.enable_grad():
            stretches = walk.up(x, readouts, between)
        held = {site: x.detach() for one in stretches for site, x in one.sites.items()}
        slopes = down(stretches, between)
        return [full(found[site]) for site in sites for found in (held, slopes)], hits


def down(stretches: Sequence[Stretch], between: Between | None) -> dict[str, Tensor]:
    """The gradients at all sites, from the last block to the first."""
    step, found = step_of(between), dict[str, Tensor]()
    slope: Tensor | None = None
    for one in reversed(stretches):
        step()
        own = one.back(slope)
        slope = own.pop("", None)
        found |= own
    return found
