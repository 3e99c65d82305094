"""Attributions of a batch of pictures: a scene for each picture and target, and its method."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from steerboard.attribution.registry import METHODS
from steerboard.attribution.scene import Climb, Scene
from steerboard.attribution.units import Features, Units
from steerboard.inprocess.active import Active, Actives
from steerboard.inprocess.check_attribute import place_of, whole
from steerboard.inprocess.goals import EmbeddingGoal, Goal, UnitGoal, units_of
from steerboard.inprocess.kernel import Kernel, Row, Sensed
from steerboard.inprocess.lens import lens
from steerboard.inprocess.ranking import ranked
from steerboard.inprocess.readout import Readout
from steerboard.inprocess.served import ServedModel
from steerboard.inprocess.targets import Aim, aims
from steerboard.spec.answers import Attribution
from steerboard.spec.edits import Direction, Edit, Scale, SteerSet
from steerboard.spec.requests import Attribute, UnitActivation
from steerboard.spec.tensor import Tensor as Array


def explain(
    served: ServedModel,
    kernel: Kernel,
    head: Readout,
    rows: Sequence[Row],
    request: Attribute,
    actives: Actives,
) -> list[tuple[Attribution, ...]]:
    """One attribution a target for each row, each under its own steer set."""
    embeddings = kernel.embed(served, rows)
    frozen = aims(head, request.targets, head.predictions(embeddings))
    each = Explainer(served, kernel, request, place_of(served.info, request).name, actives)
    columns = [
        each.column(rows, embeddings, [own[i] for own in frozen])
        for i in range(len(request.targets))
    ]
    return list(zip(*columns, strict=True))


@dataclass(frozen=True, eq=False)
class Explainer:
    """One question about units of ``site``."""

    served: ServedModel
    kernel: Kernel
    request: Attribute
    site: str
    actives: Actives

    def column(
        self, rows: Sequence[Row], embeddings: Tensor, own: Sequence[Aim]
    ) -> list[Attribution]:
        """One target of every row: the gradients of all in one batch."""
        unit = own[0].asked
        if isinstance(unit, UnitActivation):
            goal = UnitGoal(self.served, self.kernel, unit)
            values, readouts, until = goal.values(rows), goal.readouts(rows), goal.until
        else:
            pairs = list(zip(own, embeddings, strict=True))
            values = [aim.value(e) for aim, e in pairs]
            readouts, until = torch.stack([aim.direction(e) for aim, e in pairs]), ""
        sensed = self.sense(rows, readouts, until)
        return [
            self.one(row, aim, value, Sensed(x, slope))
            for row, aim, value, x, slope in zip(
                rows, own, values, sensed.x, sensed.gradient, strict=True
            )
        ]

    def one(self, row: Row, aim: Aim, value: float, sensed: Sensed) -> Attribution:
        """One picture and target; ``sensed`` holds ``[t, d]``."""
        scene = self.scene(row, aim, value, sensed)
        scores = METHODS[self.request.method](scene)
        names = scene.units.found.features if isinstance(scene.units, Active) else None
        return ranked(self.served, scene.units, scores, aim.resolved, value, self.request, names)

    def goal(self, aim: Aim) -> Goal:
        """What a target reads."""
        if isinstance(aim.asked, UnitActivation):
            return UnitGoal(self.served, self.kernel, aim.asked)
        return EmbeddingGoal(self.served, self.kernel, aim)

    def scene(self, row: Row, aim: Aim, value: float, sensed: Sensed) -> Scene:
        """What the method sees."""
        x = sensed.x
        units = self.units(row, x)
        return Scene(
            units=units,
            x=x,
            gradient=sensed.gradient,
            mask=self.mask(x, units),
            value=value,
            climb=self.climb(row, self.goal(aim)),
            lens=lambda: self.lens(units, aim).to(x),
            steps=self.request.steps,
        )

    def lens(self, units: Units, aim: Aim) -> Tensor:
        """Cosines ``[f]`` of the units with what the target reads."""
        found = lens(self.served, units, self.site, aim)
        return found[units.found.features.cpu()] if isinstance(units, Active) else found

    def units(self, row: Row, x: Tensor) -> Units:
        """What the activations ``x [t, d]`` of a row are taken apart into."""
        given, asked = self.request.directions, self.request
        if asked.units == "feature":
            return self.actives.of(self.served, asked.dictionary, self.site, row, x)
        rows = None if given is None else torch.from_numpy(given.numpy().astype("float32"))
        return units_of(self.served, asked.units, asked.dictionary, rows, x)

    def mask(self, x: Tensor, units: Units) -> Tensor:
        """1 at the tokens that count, where the units live ``[t, 1]``."""
        layout = self.served.editor.layout
        counted = layout.mask(self.request.tokens, len(x))
        if isinstance(units, Features):
            counted = counted & layout.lives(units.sae.tokens, len(x))
        return counted[:, None].to(x)

    def climb(self, row: Row, goal: Goal) -> Climb:
        """The path from no code to the code of the pass, as steer sets."""

        def at(alpha: float) -> Row:
            edits = row.steer.edits + self.lowered(alpha - 1.0)
            return replace(row, steer=SteerSet(edits=edits))

        def value(alpha: float) -> float:
            return goal.values([at(alpha)])[0]

        def gradients(alphas: Sequence[float]) -> Tensor:
            rows = [at(alpha) for alpha in alphas]
            return self.sense(rows, goal.readouts(rows), goal.until).gradient

        return Climb(value, gradients)

    def lowered(self, m: float) -> tuple[Edit, ...]:
        """Edits that scale all units together by ``m``."""
        given, mask, op = self.request.directions, self.request.tokens, Scale(m=m)
        if given is None:
            return (Edit(site=self.site, unit=whole(self.request), op=op, mask=mask),)
        rows = [Direction(values=Array.of(row)) for row in given.numpy()]
        return tuple(Edit(site=self.site, unit=row, op=op, mask=mask) for row in rows)

    def sense(self, rows: Sequence[Row], readouts: Tensor, until: str) -> Sensed:
        """Activations and gradients at the site."""
        found = self.kernel.sense(self.served, rows, [self.site], readouts, until)
        return found[self.site]
