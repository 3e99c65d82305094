"""What is differentiated: a target's read-out of the embedding, or a unit of a later site.

A goal answers about rows of one picture: its values there, and the vectors whose product with the
embedding (or with the activations at ``until``) the kernel differentiates.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from steerboard.attribution.units import (
    Directions,
    Features,
    Heads,
    Neurons,
    Units,
    unit_rows,
)
from steerboard.inprocess.kernel import Kernel, Row
from steerboard.inprocess.served import ServedModel
from steerboard.inprocess.targets import Aim
from steerboard.spec.edits import Direction, Feature, Neuron
from steerboard.spec.requests import UnitActivation


class Goal(Protocol):
    """A scalar of the pass."""

    @property
    def until(self) -> str:
        """The later site that is read; empty: the embedding."""

    def values(self, rows: Sequence[Row]) -> list[float]:
        """Its value under each row."""

    def readouts(self, rows: Sequence[Row]) -> Tensor:
        """Its derivative ``[n, e]`` or ``[n, t, d]`` where it is read, on the CPU."""


@dataclass(frozen=True, eq=False)
class EmbeddingGoal:
    """A target's value."""

    served: ServedModel
    kernel: Kernel
    aim: Aim
    until: str = ""

    def values(self, rows: Sequence[Row]) -> list[float]:
        """See ``Goal``."""
        return [self.aim.value(e) for e in self.kernel.embed(self.served, rows)]

    def readouts(self, rows: Sequence[Row]) -> Tensor:
        """See ``Goal``; a linear target reads the same direction everywhere."""
        if self.aim.curved:
            found = self.kernel.embed(self.served, rows)
            return torch.stack([self.aim.direction(e) for e in found])
        width = self.aim.head.weight.shape[1]
        return self.aim.direction(torch.zeros(width)).expand(len(rows), -1)


@dataclass(frozen=True, eq=False)
class UnitGoal:
    """A later unit's activation, summed over the tokens where it lives."""

    served: ServedModel
    kernel: Kernel
    target: UnitActivation

    @property
    def until(self) -> str:
        """See ``Goal``."""
        return self.target.site

    def values(self, rows: Sequence[Row]) -> list[float]:
        """See ``Goal``."""
        return [float(self._activation(x)) for x in self._activations(rows)]

    def readouts(self, rows: Sequence[Row]) -> Tensor:
        """See ``Goal``."""
        found = []
        for x in self._activations(rows):
            start = x.clone().requires_grad_()
            with torch.enable_grad():
                (slope,) = torch.autograd.grad(self._activation(start), start)
            found.append(slope.cpu())
        return torch.stack(found)

    def _activations(self, rows: Sequence[Row]) -> Tensor:
        """At the later site, after the edits of each row ``[n, t, d]``."""
        site = self.target.site
        nothing = torch.zeros(len(rows), self.served.info.embedding_width)
        return self.kernel.sense(self.served, rows, [site], nothing)[site].x

    def _activation(self, x: Tensor) -> Tensor:
        unit, layout = self.target.unit, self.served.editor.layout
        if isinstance(unit, Feature):
            sae = self.served.books[unit.dictionary]
            alive = layout.lives(sae.tokens, x.shape[0]).to(x.device)
            return sae.encode(x)[alive, unit.index].sum()
        if isinstance(unit, Neuron):
            return x[:, unit.index].sum()
        return (x @ unit_rows(torch.from_numpy(floats(unit))[None])[0].to(x)).sum()


def floats(unit: Direction) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    """The numbers of a direction, one's own to write on."""
    return np.array(unit.values.numpy(), np.float32)


def units_of(
    served: ServedModel, kind: str, dictionary: str, directions: Tensor | None, like: Tensor
) -> Units:
    """What the activations ``like`` are taken apart into, on their device."""
    if kind == "feature":
        return Features(served.books[dictionary])
    if kind == "head":
        return Heads(served.editor.heads)
    if directions is not None:
        return Directions(unit_rows(directions.to(like)))
    return Neurons()
