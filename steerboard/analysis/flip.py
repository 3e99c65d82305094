"""Switch off what speaks for the wrong class, and see what the model then says."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from steerboard.spec.edits import SteerSet, scale
from steerboard.spec.requests import Attribute, Classifier, ImageRef, Margin, Steer
from steerboard.spec.runner import Runner

TOP_K = 64


@dataclass(frozen=True)
class Contrast:
    """One picture: features ``[n]`` and R of the margin wrong minus true ``[n]``."""

    features: npt.NDArray[np.int64]
    scores: npt.NDArray[np.float64]

    def for_wrong(self, n: int) -> tuple[int, ...]:
        """Up to ``n`` features with the largest positive score, largest first."""
        return self._largest(self.scores, n)

    def for_true(self, n: int, without: Sequence[int] = ()) -> tuple[int, ...]:
        """Up to ``n`` features with the most negative score, none of ``without`` among them."""
        free = np.where(np.isin(self.features, np.asarray(without, np.int64)), 0.0, self.scores)
        return self._largest(-free, n)

    def _largest(self, scores: npt.NDArray[np.float64], n: int) -> tuple[int, ...]:
        order = np.argsort(-scores, kind="stable")[:n]
        return tuple(int(self.features[i]) for i in order if scores[i] > 0)


@dataclass(frozen=True)
class Question:
    """What is asked of every picture of a task."""

    model: str
    classifier: Classifier
    dictionary: str
    site: str


def off(question: Question, features: Sequence[int]) -> SteerSet:
    """Switch ``features`` off."""
    return scale(question.site, question.dictionary, -1.0, *features)


def off_and_double(question: Question, lower: Sequence[int], raise_: Sequence[int]) -> SteerSet:
    """Switch ``lower`` off and double ``raise_``."""
    doubled = scale(question.site, question.dictionary, 1.0, *raise_)
    return SteerSet(edits=off(question, lower).edits + doubled.edits)


def says(
    runner: Runner, question: Question, image: ImageRef, sets: Sequence[SteerSet]
) -> tuple[int, ...]:
    """The class predicted under each of K steer sets ``[k]``, all in one call."""
    request = Steer(
        model=question.model,
        images=(image,),
        classifier=question.classifier,
        steer_sets=tuple(sets),
    )
    return tuple(p.top for p in runner.steer(request).one().steered)


def against_rival(
    runner: Runner, question: Question, image: ImageRef, true: int, steer: SteerSet
) -> Contrast:
    """What speaks, under ``steer``, for the then strongest other class against ``true``."""
    request = Attribute(
        model=question.model,
        images=(image,),
        classifier=question.classifier,
        dictionary=question.dictionary,
        targets=(Margin(against=true),),
        top_k=TOP_K,
        steer=steer,
    )
    (found,) = runner.attribute(request).one()
    return Contrast(found.features, found.scores.astype(np.float64))
