"""What the model's residual stream says of marks: detectors, and where an edit acts.

Letters: ``n`` picture, ``t`` token, ``p`` patch, ``d`` width.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from bench.emojiland_recipes.scenes import drawn
from demo.emojiland.manifest import Entry
from steerboard.model.load import LoadedModel
from steerboard.recipe.gates import input_of, plain
from steerboard.spec.edits import Condition, Direction
from steerboard.spec.tensor import Tensor as Numbers

RIDGE = 1e-4  # of the mean squared activation


@torch.inference_mode()
def residual(loaded: LoadedModel, scenes: Sequence[Entry], block: int) -> tuple[Tensor, Tensor]:
    """Output of ``block`` and input of its MLP, ``[n, t, d]`` each."""
    own: Any = loaded.tower.passes[block]
    layers = plain(own.mlp)
    assert layers is not None
    parts, inputs = [], []
    for start in range(0, len(scenes), 64):
        part = [loaded.pixels(drawn(e.scene)) for e in scenes[start : start + 64]]
        x = loaded.tower.start(torch.stack(part))
        with input_of(layers[0]) as entered:
            for index in range(block + 1):
                x = loaded.tower.block(x, index)
        parts.append(x)
        inputs += entered
    return torch.cat(parts), torch.cat(inputs)


def unsaid(x: Tensor, inputs: Tensor) -> Tensor:
    """Covariance ``[d, d]`` of what is not linear in ``inputs [n, d]`` of ``x [n, d]``.

    Where a condition reads little of this, the block's own neurons can know it (see ``gates``).
    """
    known = torch.cat([inputs, inputs.new_ones(len(inputs), 1)], dim=1).double()
    gram = known.T @ known
    lift = 1e-6 * gram.diagonal().mean() * torch.eye(len(gram))
    left = x.double() - known @ torch.linalg.solve(gram + lift, known.T @ x.double())
    return left.T @ left / len(left)


def detector(
    marked: Tensor, plain: Tensor, ridge: float = RIDGE, against: Tensor | None = None
) -> Tensor:
    """The unit direction ``[d]`` that tells ``marked [n, d]`` from ``plain``: ridge regression.

    Both kinds weigh alike, however many there are. ``against [d, d]`` is a covariance of which the
    direction should read little.
    """
    x = torch.cat([marked, plain]).double()
    y = torch.cat([torch.ones(len(marked)), torch.zeros(len(plain))]).double()
    weight = torch.where(y > 0, 1 / len(marked), 1 / len(plain))[:, None]
    x = torch.cat([x, torch.ones(len(x), 1)], dim=1)
    gram = x.T @ (weight * x)
    lift = ridge * gram.diagonal().mean() * torch.eye(len(gram))
    if against is not None:
        lift[:-1, :-1] += against
    found = torch.linalg.solve(gram + lift, x.T @ (weight[:, 0] * y))[:-1]
    return (found / found.norm()).float()


@dataclass(frozen=True, eq=False)
class Gate:
    """Where an edit acts: at ``tokens``, where ``seen [d]`` reads above ``tau``."""

    tokens: tuple[int, ...]
    seen: Tensor
    tau: float
    per: Literal["token", "image"]

    def __call__(self, x: Tensor) -> Tensor:
        """1 where the edit acts on ``x [n, t, d]``, else 0, ``[n, t]``."""
        read = x @ self.seen
        if self.per == "image":
            read = read.amax(1, keepdim=True).expand_as(read)
        under = torch.zeros(x.shape[1])
        under[list(self.tokens)] = 1
        return (read > self.tau).float() * under

    @property
    def condition(self) -> Condition:
        """The same in the edit algebra."""
        unit = Direction(values=Numbers.of(self.seen))
        return Condition(unit=unit, when="above", tau=self.tau, per=self.per)
