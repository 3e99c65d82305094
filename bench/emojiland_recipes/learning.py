"""Moves fitted by gradient: what mends most for a change of a given size.

    J = mean of w * min(MOST, softplus(rivals - true + 1)) + PRICE * max(0, size / most - 1)
        + against * mean over failing ones of sigmoid(2 (true - rivals)) under a random change

over pictures, with the true class's logit, the log-sum-exp of all others, the root of the mean
summed squared change, and w = 1 for failing pictures, ``KEEP`` for others. ``MOST`` spends nothing
on pictures that are out of reach. A large change mends by spoiling the mark, as a random one of its
size does; a small one mends only if it is the right one. So ``most`` holds the controls down, and
is chosen by their rate. ``against`` does so too: the random change is the control itself, one
direction a picture with the norm of the moves' change at each token, so that moves learn to be
large only where a random change would not help. Letters: ``n`` picture, ``t`` token, ``d`` width,
``k`` direction, ``c`` class.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from bench.emojiland_recipes.seeing import Gate
from steerboard.model.tower import Tower

KEEP, PRICE, MOST, BATCH = 0.3, 2.0, 6.0, 25


class Added(nn.Module):
    """A vector of its own ``[d]`` for each token of the gate."""

    def __init__(self, gate: Gate, start: Tensor) -> None:
        super().__init__()
        self.gate = gate
        self.vectors = nn.Parameter(start.clone())

    def forward(self, x: Tensor) -> Tensor:
        """The change ``[n, t, d]``."""
        out = torch.zeros_like(x)
        out[:, list(self.gate.tokens)] = self.vectors.expand(len(x), -1, -1)
        return out * self.gate(x)[..., None]


class Placed(nn.Module):
    """Directions ``[k, d]`` whose activations are set to ``values [k]`` at the gate's tokens."""

    def __init__(self, gate: Gate, directions: Tensor, values: Tensor) -> None:
        super().__init__()
        self.gate = gate
        self.directions = nn.Parameter(directions.clone())
        self.values = nn.Parameter(values.clone())

    @property
    def rows(self) -> Tensor:
        """Unit rows ``[k, d]``."""
        return functional.normalize(self.directions, dim=-1)

    def forward(self, x: Tensor) -> Tensor:
        """The change ``[n, t, d]``."""
        change: Tensor = (self.values - x @ self.rows.T) @ self.rows
        return change * self.gate(x)[..., None]


Move = Added | Placed


@dataclass(frozen=True, eq=False)
class Lesson:
    """Residuals ``x [n, t, d]`` behind ``block``, true classes ``[n]``, and which ones fail."""

    tower: Tower
    head: Tensor  # [c, e]
    block: int
    x: Tensor
    truth: Tensor
    fails: Tensor

    def logits(self, x: Tensor) -> Tensor:
        """``[n, c]`` of changed residuals."""
        embeddings = self.tower.run(x, self.block + 1)
        return functional.normalize(embeddings, dim=-1) @ self.head.T

    @torch.no_grad()
    def mended(self, change: Tensor) -> Tensor:
        """Which failing pictures are right under ``change`` of all, bool."""
        x = (self.x + change)[self.fails]
        said = [self.logits(part).argmax(-1) for part in x.split(BATCH)]
        return torch.cat(said) == self.truth[self.fails]


def change_of(moves: Sequence[Move], x: Tensor) -> Tensor:
    """All moves together, ``[n, t, d]``."""
    return torch.stack([move(x) for move in moves]).sum(0)


def size_of(change: Tensor) -> Tensor:
    """Root of the mean over pictures of the summed square."""
    return change.square().sum((1, 2)).mean().sqrt()


def learn(
    moves: Sequence[Move], lesson: Lesson, most: float, epochs: int, rate: float, against: float = 0
) -> None:
    """Fit the moves in place, by Adam at a rate that falls as a cosine does."""
    weights = [p for move in moves for p in move.parameters()]
    steps = epochs * math.ceil(len(lesson.x) / BATCH)
    optimiser = torch.optim.Adam(weights, rate)
    falling = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    generator = torch.Generator().manual_seed(0)
    for _ in range(epochs):
        for part in torch.randperm(len(lesson.x), generator=generator).split(BATCH):
            optimiser.zero_grad()
            loss = loss_of(moves, lesson, part, most)
            if against:
                loss = loss + against * mended_at_random(moves, lesson, part, generator)
            loss.backward()
            optimiser.step()
            falling.step()


def loss_of(moves: Sequence[Move], lesson: Lesson, part: Tensor, most: float) -> Tensor:
    """J on some pictures."""
    x = lesson.x[part]
    change = change_of(moves, x)
    margin = margins(lesson.logits(x + change), lesson.truth[part])
    wrong = functional.softplus(1 - margin).clamp(max=MOST)
    weight = torch.where(lesson.fails[part], 1.0, KEEP)
    return (weight * wrong).mean() + PRICE * functional.relu(size_of(change) / most - 1)


def margins(logits: Tensor, truth: Tensor) -> Tensor:
    """The true class's logit above the log-sum-exp of all others, ``[n]``, of ``[n, c]``."""
    own = truth[:, None]
    rivals = logits.scatter(1, own, -torch.inf).logsumexp(1)
    found: Tensor = logits.gather(1, own)[:, 0] - rivals
    return found


def mended_at_random(
    moves: Sequence[Move], lesson: Lesson, part: Tensor, generator: torch.Generator
) -> Tensor:
    """How many of the failing pictures a random change of the same size mends, smoothly."""
    fails = part[lesson.fails[part]]
    change = at_random(change_of(moves, lesson.x[fails]), generator)
    margin = margins(lesson.logits(lesson.x[fails] + change), lesson.truth[fails])
    return torch.sigmoid(2 * margin).sum() / len(part)


def at_random(change: Tensor, generator: torch.Generator) -> Tensor:
    """A random direction a picture, with the norm of ``change [n, t, d]`` at each token."""
    free = torch.randn(len(change), 1, change.shape[-1], generator=generator)
    return change.norm(dim=-1, keepdim=True) * functional.normalize(free, dim=-1)


@torch.no_grad()
def rates(moves: Sequence[Move], lesson: Lesson, draws: int = 10) -> tuple[float, float, float]:
    """Share of failing pictures mended; by random directions of the same size; and the size.

    A direction is drawn for each picture and draw, and added at each token as strongly as the
    moves change it there (methods, section 5).
    """
    change = change_of(moves, lesson.x)
    generator, random = torch.Generator().manual_seed(1), 0.0
    for _ in range(draws):
        random += float(lesson.mended(at_random(change, generator)).float().mean())
    fixed = float(lesson.mended(change).float().mean())
    return fixed, random / draws, float(size_of(change[lesson.fails]))
