"""Targets as functions of the image embedding: frozen, valued, and differentiated.

With ``s = W e + b`` the logits ``[c]`` of the unit-length embedding ``e`` (methods, section 3):
logit ``s_i``, margin ``s_i - s_j``, cosine ``W_i . e / norm(W_i)``, log probability
``log softmax(s)_i``, a probe of the caller's own ``w . e + b``. All but the log probability are
linear in ``e``.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import assert_never

import numpy as np
import torch
from torch import Tensor

from steerboard.inprocess.readout import Readout
from steerboard.spec.answers import Prediction, ResolvedTarget
from steerboard.spec.errors import InvalidRequest
from steerboard.spec.requests import (
    Cosine,
    Logit,
    LogProb,
    Margin,
    ProbeOutput,
    Target,
    UnitActivation,
)


@dataclass(frozen=True, eq=False)
class Aim:
    """What ``asked`` reads from an embedding once it is ``resolved``."""

    head: Readout
    asked: Target
    resolved: ResolvedTarget

    @property
    def curved(self) -> bool:
        """Whether the direction depends on the embedding."""
        return isinstance(self.asked, LogProb)

    def value(self, embedding: Tensor) -> float:
        """The target's value at an embedding ``[e]``, in float64."""
        e = embedding.double()
        weight, bias = self.head.weight.to(e), self.head.bias.to(e)
        if isinstance(self.asked, LogProb):
            return float((weight @ e + bias).log_softmax(0)[self.resolved.index])
        direction = self.direction(embedding).double()
        return float(direction @ e) + self._offset(bias)

    def _offset(self, bias: Tensor) -> float:
        index, against = self.resolved.index, self.resolved.against
        match self.asked:
            case ProbeOutput():
                return self.asked.bias
            case Logit():
                return float(bias[index])
            case Margin():
                return float(bias[index]) - float(bias[0 if against is None else against])
        return 0.0

    def direction(self, embedding: Tensor) -> Tensor:
        """``dy/de [e]`` at an embedding ``[e]``."""
        weight, index = self.head.weight.to(embedding), self.resolved.index
        match self.asked:
            case Logit():
                return weight[index]
            case Margin():
                return weight[index] - weight[self.resolved.against]
            case Cosine():
                row: Tensor = weight[index] / weight[index].norm()
                return row
            case LogProb():
                logits = weight @ embedding + self.head.bias.to(embedding)
                return weight[index] - logits.softmax(0) @ weight
            case ProbeOutput():
                values = self.asked.weight.numpy().astype(np.float32)
                return torch.from_numpy(values).to(embedding)
            case UnitActivation():
                raise AssertionError("a unit is no read-out of the embedding")
            case _:
                assert_never(self.asked)


def aims(
    head: Readout, targets: Sequence[Target], predictions: Sequence[Prediction]
) -> list[tuple[Aim, ...]]:
    """The targets of each picture, frozen from its own prediction."""
    return [tuple(Aim(head, t, resolve(t, said)) for t in targets) for said in predictions]


def resolve(target: Target, clean: Prediction) -> ResolvedTarget:
    """Freeze what a target left open: the top class, and the strongest competitor."""
    match target:
        case Margin():
            return against_strongest(target, clean)
        case ProbeOutput() | UnitActivation():
            return ResolvedTarget(0, kind=target.kind)
        case Logit() | Cosine() | LogProb():
            index = clean.top if target.index is None else target.index
            return ResolvedTarget(index, kind=target.kind)
        case _:
            assert_never(target)


def against_strongest(target: Margin, clean: Prediction) -> ResolvedTarget:
    """A margin: where one class only is named, the strongest other one stands against it."""
    if target.against is not None and target.index is not None:
        return ResolvedTarget(target.index, target.against)
    others = clean.logits.copy()
    if target.against is not None:
        others[target.against] = -np.inf
        return ResolvedTarget(int(others.argmax()), target.against)
    index = clean.top if target.index is None else target.index
    others[index] = -np.inf
    return ResolvedTarget(index, int(others.argmax()))


def check_targets(head: Readout, targets: Sequence[Target]) -> None:
    """Every class that a target names is there, and every probe has the embedding's width."""
    count, width = head.weight.shape
    for i, target in enumerate(targets):
        if isinstance(target, ProbeOutput) and target.weight.shape[0] != width:
            raise InvalidRequest(
                f"the probe of target {i + 1} reads {target.weight.shape[0]} numbers, embeddings"
                f" here have {width}",
                field=f"targets[{i}].weight",
            )
        named = (getattr(target, "index", None), getattr(target, "against", None))
        beyond = [index for index in named if index is not None and index >= count]
        if beyond:
            raise InvalidRequest(
                f"target {i + 1} names class {beyond[0]}, the classes are 0 to {count - 1}",
                field=f"targets[{i}]",
            )


def check_measurable(targets: Sequence[Target]) -> None:
    """A steered answer holds predictions, from which a unit's activation cannot be read."""
    for i, target in enumerate(targets):
        if isinstance(target, UnitActivation):
            raise InvalidRequest(
                f"target {i + 1} is a unit of {target.site}, which a steered answer does not tell:"
                " ask Attribute, or name a class",
                field=f"targets[{i}]",
            )
