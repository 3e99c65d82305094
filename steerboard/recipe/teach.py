"""Baked weights taught: the MLP of an edited block learns what the live edit does there.

Regression changes what an MLP writes, and gates give it neurons for conditions. From there on both
its layers follow the gradient of the squared error that the regression has, too,

    J = mean over tokens of |live - baked|^2 at the block's output

in which prefix tokens and patches weigh alike. Of each picture a few tokens that the recipe changes
are used, and a few others, which stand for the rest. A batch has as many of the ones as of the
others, each with the weight that J gives its kind. Pictures that are held out judge,
as they judge the regression; what is no better there than before is not kept. Letters: ``n``
token, ``t`` token of a picture, ``d`` width.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from steerboard.analysis.evidence.answers import chunks
from steerboard.analysis.evidence.pictures import Picture
from steerboard.model.edits import Editor
from steerboard.model.load import LoadedModel
from steerboard.model.tower import Tower, block_of
from steerboard.recipe.apply import Dictionaries, editor, opened
from steerboard.recipe.bake import CHUNK, baked_sites, held_out
from steerboard.recipe.baked import Baked, projected, with_weights
from steerboard.recipe.gates import input_of, plain
from steerboard.spec.base import Spec
from steerboard.spec.edits import SteerSet
from steerboard.spec.errors import InvalidRequest
from steerboard.spec.recipe import Recipe

BATCH = 2048  # tokens
RATE, WARM = 0.6, 0.1  # Adam's at its highest, over the width; share of steps till then
TOKENS = 16  # of a picture that the recipe changes, and of the others, at most


class Taught(Spec):
    """R^2 at one site on pictures held out, of the baked change, before and after teaching.

    ``size`` is the norm of the change of the MLP's weights over the norm of these; 0 where what was
    there before is kept.
    """

    site: str
    steps: int
    before: float
    after: float
    changed: int
    tokens: int
    size: float


@dataclass(frozen=True, eq=False)
class Lesson:
    """Tokens that teach: inputs of the MLP ``[n, d]``, what it must write, and what each weighs.

    ``changed [n]`` are those that the live edit changes.
    """

    inputs: Tensor
    wanted: Tensor
    weight: Tensor
    changed: Tensor

    def batches(self, steps: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Numbers of tokens and what each counts in the mean, half of each kind."""
        generator = torch.Generator().manual_seed(0)
        kinds = [k for k in (self.changed, ~self.changed) if k.any()]
        each = [k.nonzero().flatten() for k in kinds]
        for _ in range(steps):
            parts = [k[torch.randint(len(k), (BATCH // 2,), generator=generator)] for k in each]
            counts = [self.weight[p] * len(k) / len(p) for p, k in zip(parts, each, strict=True)]
            yield torch.cat(parts), torch.cat(counts) / self.weight.sum()


@dataclass(frozen=True, eq=False)
class Met:
    """Some pictures at a site: inputs of the student's MLP and what it must write ``[b, t, d]``.

    ``change`` is the live edits', ``missing`` what the student lacks of it; a token weighs
    ``weight [t]``, prefix tokens together as much as patches.
    """

    inputs: Tensor
    wanted: Tensor
    change: Tensor
    missing: Tensor
    weight: Tensor


@dataclass(frozen=True, eq=False)
class Course:
    """A student's MLP before ``site``, and the live edits that it is to learn."""

    loaded: LoadedModel
    student: Tower
    live: Editor
    steer: SteerSet
    site: str

    @property
    def last(self) -> int:
        """The block before the site."""
        return block_of(self.site, len(self.student.blocks))

    @property
    def block(self) -> Any:
        """The student's block before the site."""
        return getattr(self.student, "passes", self.student.blocks)[self.last]

    @property
    def layers(self) -> tuple[nn.Linear, nn.Linear]:
        """The student's; raises InvalidRequest where two layers are not all of the MLP."""
        found = plain(self.block.mlp)
        if found is None:
            raise InvalidRequest(
                f"the MLP before {self.site} is more than two linear layers with an activation"
                " between them: this model's recipes can be baked, but not taught"
            )
        return found

    @torch.inference_mode()
    def met(self, pictures: Sequence[Picture]) -> Iterator[Met]:
        """What the student and the live edits do with pictures, a few at a time."""
        tower, own = self.loaded.tower, self.block
        read = None if tower.patches_read(self.site) else tower.prefix
        scale = getattr(own.after_mlp, "gamma", torch.ones(()))
        kinds = (tower.prefix, tower.tokens - tower.prefix)
        weight = torch.cat([torch.full((count,), 1 / count) for count in kinds if count])[:read]
        for part in chunks(pictures, CHUNK):
            x = tower.start(torch.stack([self.loaded.pixels(p.data, p.key) for p in part]))
            before, change = self.edited(x)
            with input_of(self.layers[0]) as entered:
                for index in range(self.last + 1):
                    x = self.student.block(x, index)
            inputs, missing = entered[-1][:, :read], (before + change - x)[:, :read]
            wanted = own.mlp.project(own.mlp.hidden(inputs)) + missing / scale
            yield Met(inputs, wanted, change[:, :read], missing, weight)

    def edited(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """From inputs of block 0, the live pass at the site before its edits, and their change."""
        met: dict[str, Tensor] = {}

        def live(name: str, x: Tensor) -> Tensor:
            met[name] = x
            return self.live.at(name, x, [self.steer] * len(x))

        for index in range(self.last + 1):
            x = self.loaded.tower.block(x, index, live)
        return met[self.site], x - met[self.site]

    def lesson(self, pictures: Sequence[Picture]) -> Lesson:
        """Some of the tokens that the live edits change, and some of the others."""
        generator = torch.Generator().manual_seed(0)
        parts = []
        for met in self.met(pictures):
            changed = (met.change != 0).any(-1)
            one, other = (stand_ins(kind, generator) for kind in (changed, ~changed))
            weight = (one + other) * met.weight
            fields = (met.inputs, met.wanted, weight, changed)
            parts.append([field[weight > 0] for field in fields])
        return Lesson(*(torch.cat(column) for column in zip(*parts, strict=True)))

    def r2(self, pictures: Sequence[Picture]) -> float:
        """As the regression's (``Moments.r2``): 1 - squared error / spread of the change."""
        error, square, count, total = 0.0, 0.0, 0.0, torch.zeros(())
        for met in self.met(pictures):
            weight, change = met.weight[:, None].double(), met.change.double()
            error += float((weight * met.missing.double().square()).sum())
            square += float((weight * change.square()).sum())
            total = total + (weight * change).sum((0, 1))
            count += float(weight.sum()) * len(change)
        return 1 - error / max(square - float(total.square().sum()) / count, 1e-12)

    def learn(self, lesson: Lesson, steps: int) -> None:
        """Fit the student's MLP in place, by Adam at a rate that rises and falls."""
        mlp = self.block.mlp
        weights = [p.requires_grad_() for layer in self.layers for p in layer.parameters()]
        rate = RATE / lesson.inputs.shape[1]
        optimiser = torch.optim.Adam(weights, rate)
        falling = torch.optim.lr_scheduler.OneCycleLR(optimiser, rate, steps + 1, pct_start=WARM)
        for which, count in lesson.batches(steps):
            optimiser.zero_grad()
            missed = mlp.project(mlp.hidden(lesson.inputs[which])) - lesson.wanted[which]
            (count * missed.square().sum(1)).sum().backward()
            optimiser.step()
            falling.step()
        for p in weights:
            p.requires_grad_(False)


def stand_ins(kind: Tensor, generator: torch.Generator) -> Tensor:
    """How many tokens of a kind (bool ``[b, t]``) each stands for: a few for all of a picture's."""
    drawn = torch.rand(kind.shape, generator=generator).masked_fill(~kind, -1.0)
    first = drawn.argsort(1, descending=True)[:, :TOKENS]
    count = kind.sum(1, keepdim=True)
    few = torch.zeros_like(kind).scatter(1, first, True) & kind
    return few * count / count.clamp(1, TOKENS)


def teach(
    loaded: LoadedModel,
    recipe: Recipe,
    dictionaries: Dictionaries,
    pictures: Sequence[Picture],
    baked: Baked,
    steps: int,
) -> tuple[Baked, tuple[Taught, ...]]:
    """Teach the MLPs of what ``bake`` found for ``steps`` batches each; the model is not changed.

    ``baked`` is without further blocks: what these mend is what is taught here.

    Raises:
        InvalidRequest: An MLP that is more than two linear layers and an activation.
    """
    files = {pin.id: opened(pin, dictionaries) for pin in recipe.provenance.dictionaries}
    live, student = (
        editor(loaded.tower, recipe, files),
        with_weights(loaded, projected(loaded, baked)),
    )
    told = [
        taught(Course(loaded, student, live, recipe.steer, site), pictures, steps)
        for site in baked_sites(loaded, recipe)
    ]
    own = dict(loaded.clip.visual.named_parameters())
    found = {n: p.detach() for n, p in student.visual.named_parameters() if not p.equal(own[n])}
    return Baked({}, baked.fits, found, baked.gates), tuple(told)


def taught(course: Course, pictures: Sequence[Picture], steps: int) -> Taught:
    """Teach one MLP, in place, if that raises R^2 on the pictures held out."""
    weights = [p for layer in course.layers for p in layer.parameters()]
    before = [p.detach().clone() for p in weights]
    unseen = [p for p in pictures if held_out(p)]
    lesson = course.lesson([p for p in pictures if not held_out(p)])
    first = course.r2(unseen)
    course.learn(lesson, steps)
    last = course.r2(unseen)
    with torch.no_grad():
        for p, b in zip(weights, before, strict=True):
            p.copy_(p if last > first else b)
    moved = sum(float((p - b).square().sum()) for p, b in zip(weights, before, strict=True))
    whole = sum(float(b.square().sum()) for b in before)
    return Taught(
        site=course.site, steps=steps, before=first, after=max(first, last),
        changed=int(lesson.changed.sum()), tokens=len(lesson.changed), size=(moved / whole) ** 0.5,
    )  # fmt: skip
