"""What the three fits share: their pictures, the choice of a size, and the edits they come to."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from bench.emojiland_recipes.learning import Added, Lesson, Move, change_of, learn, rates
from bench.emojiland_recipes.seeing import residual
from bench.emojiland_recipes.workshop import Workshop
from demo.emojiland.manifest import Entry
from steerboard.spec.edits import Add, Direction, Edit, Mask, Set
from steerboard.spec.tensor import Tensor as Numbers

AT_MOST = 0.1  # of the failing pictures may random directions of the same size mend


@dataclass(frozen=True, eq=False)
class Seen:
    """Scenes behind a block: residuals ``[n, t, d]``, true classes and answers ``[n]``.

    ``inputs [n, t, d]`` are what its MLP was given.
    """

    x: Tensor
    inputs: Tensor
    truth: Tensor
    said: Tensor

    @property
    def right(self) -> Tensor:
        """Which are answered rightly, bool ``[n]``."""
        found: Tensor = self.said == self.truth
        return found


def seen(shop: Workshop, scenes: Sequence[Entry], block: int) -> Seen:
    """The model's view of some scenes."""
    x, inputs = residual(shop.loaded, scenes, block)
    truth = torch.tensor([shop.head.names.index(e.scene.label) for e in scenes])
    plain = lesson(shop, block, Seen(x, inputs, truth, truth), torch.ones(len(x), dtype=torch.bool))
    with torch.no_grad():
        said = torch.cat([plain.logits(part).argmax(-1) for part in x.split(64)])
    return Seen(x, inputs, truth, said)


def lesson(shop: Workshop, block: int, found: Seen, fails: Tensor, most: int = 0) -> Lesson:
    """Failing pictures and a sixth as many right ones; ``most`` failing ones at most (0: all)."""
    failing = fails.nonzero().flatten()[: most or None]
    others = (~fails & found.right).nonzero().flatten()[: len(failing) // 6 if most else None]
    which = torch.cat([failing, others])
    head = torch.from_numpy(shop.head.weight).float()
    return Lesson(
        shop.loaded.tower, head, block, found.x[which], found.truth[which], fails[which]
    )  # fmt: skip


def fitted(
    moves: Sequence[Move],
    sizes: Sequence[float],
    fit_on: Lesson,
    choose_on: Lesson,
    epochs: int,
    rate: float,
    at_most: float = AT_MOST,
    against: float = 0,
) -> None:
    """Fit the moves in place to ever smaller sizes, until controls keep within ``at_most``.

    Each fit goes on from the one before. Where no size does, the smallest stands, and says so.
    ``against`` is the price of controls in the fit itself.
    """
    for most in sizes:
        learn(moves, fit_on, most, epochs, rate, against)
        fixed, controls, size = rates(moves, choose_on)
        print(f"  size {size:.1f}: fixed {fixed:.3f}, controls {controls:.3f}", flush=True)
        if controls <= at_most:
            return
    print("  no size keeps the controls within", at_most)


def broken(moves: Sequence[Move], found: Seen, on: Lesson) -> float:
    """Share of the rightly answered pictures that the moves make wrong."""
    x, truth = found.x[found.right], found.truth[found.right]
    with torch.no_grad():
        said = [on.logits(p + change_of(moves, p)).argmax(-1) for p in x.split(64)]
    return float((torch.cat(said) != truth).float().mean())


def edits_of(shop: Workshop, block: int, move: Move) -> list[Edit]:
    """The same in the edit algebra."""
    site = f"resid_post.{block}"
    n_bar, only = shop.info.site(site).n_bar, move.gate.condition
    if isinstance(move, Added):
        pairs = zip(move.gate.tokens, move.vectors.detach(), strict=True)
        return [
            Edit(site=site, unit=unit(v), op=Add(alpha=float(v.norm()) / n_bar),
                 mask=mask(shop, (token,)), condition=only)
            for token, v in pairs
        ]  # fmt: skip
    return [
        Edit(site=site, unit=unit(row), op=Set(value=float(value), everywhere=True),
             mask=mask(shop, move.gate.tokens), condition=only)
        for row, value in zip(move.rows.detach(), move.values.detach(), strict=True)
    ]  # fmt: skip


def unit(values: Tensor) -> Direction:
    """A free direction."""
    return Direction(values=Numbers.of(values))


def mask(shop: Workshop, tokens: Sequence[int]) -> Mask:
    """The class token, or patches by their token."""
    prefix, columns = shop.info.prefix_tokens, shop.info.grid[1]
    if max(tokens) < prefix:
        return Mask(kind="prefix")
    return Mask(kind="patches", cells=tuple(divmod(t - prefix, columns) for t in tokens))
