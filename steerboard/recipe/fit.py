"""Strengths of given edits, fitted for the failing pictures under a penalty on breaks.

    J(s) = mean over failing pictures of g(true) - penalty * mean over right pictures of loss(true)
    g    = [is right] + SLOPE * p(true),     loss = [is wrong] + SLOPE * (p before - p after)

Cyclic coordinate search over a grid of multiples, without derivatives: J counts decisions, which
have none, and a Runner answers the same questions in this process and over gRPC; all values of one
strength are steer sets of one request, behind one cached prefix. The small smooth part leads where
no decision changes yet. A strength of zero drops its edit, so fitting also chooses.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import softmax

from steerboard.analysis.evidence.answers import Readout, Task, ask, chunks, readout
from steerboard.analysis.evidence.pictures import Picture, PictureSet, matches
from steerboard.analysis.evidence.probing import evenly
from steerboard.analysis.evidence.strengths import has_strength, strength_of, with_strength
from steerboard.recipe.making import chosen
from steerboard.spec.capabilities import ModelInfo
from steerboard.spec.edits import SteerSet
from steerboard.spec.errors import InvalidRequest
from steerboard.spec.recipe import Recipe
from steerboard.spec.runner import Runner

Floats = npt.NDArray[np.float64]
SLOPE = 0.2
MULTIPLES = (0.0, 0.5, 1.5, 2.0)
CHUNK = 16
LEAST = 1e-3  # gain in J that a change must bring


@dataclass(frozen=True)
class Step:
    """One look at J: after ``edit`` was tried; the first has none."""

    edit: int | None
    strength: float
    score: float
    fixed: int
    broken: int


@dataclass(frozen=True, eq=False)
class Bench:
    """The fitting pictures: failing ones and right ones, with their true classes."""

    runner: Runner
    model: ModelInfo
    head: Readout
    failing: tuple[Picture, ...]
    right: tuple[Picture, ...]
    penalty: float

    def scores(self, sets: Sequence[SteerSet]) -> list[tuple[float, int, int]]:
        """J, fixed and broken of each steer set."""
        local, _ = self._chances(self.failing, sets)
        other, before = self._chances(self.right, sets)
        fixed, broken = local.won, ~other.won
        gain = (fixed + SLOPE * local.chance).mean(0) if len(fixed) else np.zeros(len(sets))
        loss = broken + SLOPE * (before[:, None] - other.chance)
        price = loss.mean(0) if len(broken) else np.zeros(len(sets))
        found = gain - self.penalty * price
        return [
            (float(found[k]), int(fixed[:, k].sum()), int(broken[:, k].sum()))
            for k in range(len(sets))
        ]

    def _chances(
        self, pictures: Sequence[Picture], sets: Sequence[SteerSet]
    ) -> "tuple[Chances, Floats]":
        """What is said of the true class under each set ``[n, k]``, and its chance before."""
        won, chance, before = [], [], []
        tasks = (Task(part, tuple(sets)) for part in chunks(pictures, CHUNK))
        for answered in ask(self.runner, self.model, tasks):
            logits = self.head.logits(answered.embeddings)
            truth = np.array([self.head.names.index(p.label) for p in answered.pictures])
            own = softmax(logits, axis=-1)[np.arange(len(truth)), :, truth]
            won.append(logits[:, 1:].argmax(-1) == truth[:, None])
            chance.append(own[:, 1:])
            before.append(own[:, 0])
        if not won:
            return Chances(np.zeros((0, len(sets)), bool), np.zeros((0, len(sets)))), np.zeros(0)
        return Chances(np.concatenate(won), np.concatenate(chance)), np.concatenate(before)


@dataclass(frozen=True, eq=False)
class Chances:
    """Whether the true class wins, and its probability, ``[n, k]``."""

    won: npt.NDArray[np.bool_]
    chance: Floats


def fit(
    runner: Runner,
    recipe: Recipe,
    images: PictureSet,
    *,
    penalty: float = 10.0,
    rounds: int = 2,
    most: int = 120,
    tell: Callable[[Step], None] = lambda _step: None,
) -> tuple[Recipe, tuple[Step, ...]]:
    """A new version of ``recipe`` with fitted strengths, chosen on ``images``; and how it came.

    Args:
        runner: Who answers.
        recipe: Its edits of ops scale and add are fitted, the others stay.
        images: The fitting split; at most ``most`` failing and ``most`` right pictures are used.
        penalty: What one broken right picture (as a rate) costs against one fixed one.
        rounds: Most sweeps over the edits; ends early where one changes nothing.
        most: See ``images``.
        tell: Called after each look.

    Raises:
        InvalidRequest: No strength to fit, or no failing picture among these.
    """
    if not any(has_strength(e) for e in recipe.steer.edits):
        raise InvalidRequest("no edit of this recipe has a strength: use scale or add")
    bench = bench_of(runner, recipe, images, penalty, most)
    steps: list[Step] = []
    steer = recipe.steer
    for step, found in search(bench, steer, rounds):
        steps.append(step)
        tell(step)
        steer = found
    kept = SteerSet(edits=tuple(e for e in steer.edits if strength_of(e) != 0))
    if not kept.edits:
        raise InvalidRequest(
            "every strength was fitted to zero: no edit of this recipe is worth what it breaks at"
            f" a penalty of {penalty:g}"
        )
    return improved(recipe, kept, images, penalty), tuple(steps)


def search(bench: Bench, steer: SteerSet, rounds: int) -> Iterator[tuple[Step, SteerSet]]:
    """The looks, each with the best steer set so far."""
    best = bench.scores([steer])[0]
    yield Step(None, 0.0, *best), steer
    start = [strength_of(e) for e in steer.edits]
    for _ in range(rounds):
        before = best
        for i, edit in enumerate(steer.edits):
            if not has_strength(edit):
                continue
            values = [start[i] * m for m in (*MULTIPLES, 1.0) if start[i] * m != strength_of(edit)]
            tried = [replaced(steer, i, v) for v in values]
            scores = bench.scores(tried)
            k = max(range(len(scores)), key=lambda j: scores[j][0])
            if scores[k][0] > best[0] + LEAST:
                best, steer = scores[k], tried[k]
            yield Step(i, strength_of(steer.edits[i]), *best), steer
        if best == before:
            return


def replaced(steer: SteerSet, index: int, value: float) -> SteerSet:
    """The steer set with one strength changed."""
    edits = list(steer.edits)
    edits[index] = with_strength(edits[index], value)
    return SteerSet(edits=tuple(edits))


def bench_of(
    runner: Runner, recipe: Recipe, images: PictureSet, penalty: float, most: int
) -> Bench:
    """Failing pictures of the recipe's group (twin right, where one is named) and right ones."""
    model = runner.model(recipe.provenance.model)
    head = readout(runner, model, recipe.classifier)
    known: dict[str, tuple[Picture, bool]] = {}
    for answered in ask(runner, model, (Task(p, (SteerSet(),)) for p in chunks(images, 32))):
        said = head.logits(answered.embeddings[:, 0]).argmax(-1)
        for picture, index in zip(answered.pictures, said.tolist(), strict=True):
            known[picture.key] = picture, head.names[index] == picture.label
    failing = [p for p, right in known.values() if not right and wanted(recipe, p, known)]
    right_ = [p for p, right in known.values() if right and not matches(p, recipe.failures)]
    if not failing:
        raise InvalidRequest(
            f"no picture of {images.name} {images.split} fails as {recipe.title} says"
            f" ({recipe.failures}): fit on a split where some do",
            field="images",
        )
    return Bench(
        runner, model, head, tuple(evenly(failing, most)), tuple(evenly(right_, most)), penalty
    )


def wanted(recipe: Recipe, picture: Picture, known: dict[str, tuple[Picture, bool]]) -> bool:
    """In the failure group; a clean twin that is known is right."""
    twin = known.get(str(picture.attributes.get("twin") or ""))
    return matches(picture, recipe.failures) and (twin is None or twin[1])


def improved(recipe: Recipe, steer: SteerSet, images: PictureSet, penalty: float) -> Recipe:
    """The next version, unproven, chosen on all these pictures too."""
    here = chosen(images.name, images.split, list(images))
    others = tuple(
        part
        for part in recipe.provenance.chosen_on
        if (part.image_set, part.split) != (here.image_set, here.split)
    )
    provenance = recipe.provenance.model_copy(
        update={
            "chosen_on": (*others, here),
            "method": f"strengths fitted by coordinate search, penalty {penalty:g}",
            "parents": (recipe.digest,),
        }
    )
    return recipe.model_copy(
        update={
            "version": recipe.version + 1,
            "steer": steer,
            "provenance": provenance,
            "evidence": (),
        }
    )
