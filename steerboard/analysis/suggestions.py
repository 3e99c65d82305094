"""The smallest set of edits that flips a decision, and alternatives that share no feature with it.

Greedy: at each step the features that speak most for the decision, in the model as the edits so
far leave it, are tried in forward passes, and the one that lowers the margin most is taken. When
the decision has flipped, whatever is not needed is given back, largest group first. Each way is
tried on a probe set as well: a way that flips one picture may flip many.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations

from steerboard.analysis.flip import Question, off
from steerboard.analysis.intervals import Rate
from steerboard.spec.answers import Steered
from steerboard.spec.edits import SteerSet
from steerboard.spec.errors import InvalidRequest, SteerboardError
from steerboard.spec.requests import Attribute, ImageRef, Margin, Predict, Steer
from steerboard.spec.runner import Runner

MOST, TRIED, TOP_K, CHUNK = 12, 6, 64, 32


@dataclass(frozen=True)
class Suggestion:
    """Features that are switched off, and what follows.

    ``says`` is the class then; ``changed`` counts pictures of the probe set whose decision
    changes (n is 0 without a probe set). Those that cannot be answered are not in it but in
    ``failed``: the place of each among the probes, and what is wrong with it.
    """

    features: tuple[int, ...]
    steer: SteerSet
    says: int
    margin: float
    changed: Rate
    failed: tuple[tuple[int, SteerboardError], ...] = ()


@dataclass(frozen=True)
class Suggestions:
    """The decision, and ways to another one; none where ``MOST`` features did not do."""

    decision: int
    wanted: int | None
    ways: tuple[Suggestion, ...]


def suggest(
    runner: Runner,
    question: Question,
    image: ImageRef,
    wanted: int | None = None,
    ways: int = 3,
    probes: Sequence[ImageRef] = (),
) -> Suggestions:
    """Up to ``ways`` sets of features, no two of them sharing one.

    Args:
        runner: Who answers.
        question: Model, classifier, dictionary and site.
        image: The picture.
        wanted: Index of the class that it should become; None: any other than now.
        ways: How many at most.
        probes: Pictures on which the answers that each way changes are counted.
    """
    said = runner.predict(
        Predict(model=question.model, images=(image,), classifier=question.classifier)
    ).one()
    if wanted is not None and not 0 <= wanted < len(said.logits):
        raise InvalidRequest(
            f"class {wanted} is wanted, the classes are 0 to {len(said.logits) - 1}",
            field="wanted",
        )
    search = Search(runner, question, image, said.top, wanted)
    found: list[Suggestion] = []
    used: set[int] = set()
    while search.decision != wanted and len(found) < ways:
        features = search.way(used)
        if not features:
            break
        used |= set(features)
        found.append(search.described(features, probes))
    return Suggestions(search.decision, wanted, tuple(found))


@dataclass(frozen=True)
class Search:
    """One picture whose decision shall change."""

    runner: Runner
    question: Question
    image: ImageRef
    decision: int
    wanted: int | None

    def way(self, banned: Iterable[int]) -> tuple[int, ...]:
        """Features that flip the decision, pruned; empty where there is no way."""
        chosen: tuple[int, ...] = ()
        for _ in range(MOST):
            candidates = self.candidates(chosen, set(banned) | set(chosen))
            if not candidates:
                return ()
            tried = [(*chosen, f) for f in candidates]
            answers = self.steered(tried)
            best = min(range(len(tried)), key=lambda i: self.margin(answers, i))
            chosen = tried[best]
            if self.flipped(answers.steered[best].top):
                return self.pruned(chosen)
        return ()

    def candidates(self, chosen: tuple[int, ...], banned: set[int]) -> list[int]:
        """What speaks most for the decision while ``chosen`` are off."""
        target = Margin(index=self.decision, against=self.wanted)
        request = Attribute(
            model=self.question.model,
            images=(self.image,),
            classifier=self.question.classifier,
            dictionary=self.question.dictionary,
            targets=(target,),
            top_k=TOP_K,
            steer=off(self.question, chosen),
        )
        (found,) = self.runner.attribute(request).one()
        pairs = zip(found.features.tolist(), found.scores.tolist(), strict=True)
        return [f for f, score in pairs if score > 0 and f not in banned][:TRIED]

    def pruned(self, chosen: tuple[int, ...]) -> tuple[int, ...]:
        """The smallest part of ``chosen`` that still flips: sizes from 1 up for a few features."""
        if len(chosen) > 6:
            return self._thinned(chosen)
        for size in range(1, len(chosen)):
            parts = list(combinations(chosen, size))
            answers = self.steered(parts)
            flips = [i for i, p in enumerate(answers.steered) if self.flipped(p.top)]
            if flips:
                return parts[min(flips, key=lambda i: self.margin(answers, i))]
        return chosen

    def _thinned(self, chosen: tuple[int, ...]) -> tuple[int, ...]:
        """One feature given back at a time, as long as the decision stays flipped."""
        parts = [tuple(f for f in chosen if f != gone) for gone in chosen]
        answers = self.steered(parts)
        flips = [i for i, p in enumerate(answers.steered) if self.flipped(p.top)]
        if not flips:
            return chosen
        return self.pruned(parts[min(flips, key=lambda i: self.margin(answers, i))])

    def flipped(self, top: int) -> bool:
        """Whether an answer is what was wished for."""
        return top != self.decision if self.wanted is None else top == self.wanted

    def margin(self, answers: Steered, i: int) -> float:
        """The decision's logit above that of its rival, under set ``i``."""
        logits = answers.steered[i].logits.astype(float)
        if self.wanted is not None:
            return float(logits[self.decision] - logits[self.wanted])
        rivals = [value for c, value in enumerate(logits) if c != self.decision]
        return float(logits[self.decision] - max(rivals))

    def steered(self, parts: Sequence[tuple[int, ...]]) -> Steered:
        """The answers with each part off."""
        request = Steer(
            model=self.question.model,
            images=(self.image,),
            classifier=self.question.classifier,
            steer_sets=tuple(off(self.question, part) for part in parts),
        )
        return self.runner.steer(request).one()

    def described(self, features: tuple[int, ...], probes: Sequence[ImageRef]) -> Suggestion:
        """The way with what follows from it."""
        answers = self.steered([features])
        steer = off(self.question, features)
        changed, failed = changed_answers(self.runner, self.question, steer, probes)
        says, margin = answers.steered[0].top, self.margin(answers, 0)
        return Suggestion(features, steer, says, margin, changed, failed)


def changed_answers(
    runner: Runner, question: Question, steer: SteerSet, probes: Sequence[ImageRef]
) -> tuple[Rate, tuple[tuple[int, SteerboardError], ...]]:
    """How many pictures of a probe set are called something else under ``steer``.

    Beside it the places and errors of those that cannot be answered, which do not count.
    """
    changed = 0
    failed: list[tuple[int, SteerboardError]] = []
    for start in range(0, len(probes), CHUNK):
        request = Steer(
            model=question.model,
            images=tuple(probes[start : start + CHUNK]),
            classifier=question.classifier,
            steer_sets=(steer,),
        )
        for place, item in enumerate(runner.steer(request).items, start):
            if isinstance(item, SteerboardError):
                failed.append((place, item))
            else:
                changed += item.clean.top != item.steered[0].top
    return Rate(changed, len(probes) - len(failed)), tuple(failed)
