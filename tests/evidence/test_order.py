"""Answers that come in another order stand in the order of the questions."""

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from steerboard.analysis.evidence.answers import Task, ask, chunks
from steerboard.analysis.evidence.pictures import ManifestSet
from steerboard.spec.recipe import Recipe
from steerboard.spec.runner import Runner


class Backwards:
    """A real Runner whose stream answers the last question first, as a busy server may."""

    def __init__(self, runner: Runner) -> None:
        self.runner = runner

    def stream(self, questions: Iterable[Any]) -> Iterator[Any]:
        yield from reversed(list(self.runner.stream(questions)))


def test_answers_stand_in_the_order_of_the_questions(
    runner: Runner, recipe: Recipe, pictures: ManifestSet
) -> None:
    tasks = [Task(part, (recipe.steer,)) for part in chunks(pictures, 5)]
    found = list(ask(Backwards(runner), runner.model("tiny"), tasks))
    assert [p.key for a in found for p in a.pictures] == [p.key for p in pictures]
    plain = list(ask(runner, runner.model("tiny"), tasks))
    for one, two in zip(found, plain, strict=True):
        np.testing.assert_allclose(one.embeddings, two.embeddings, atol=1e-5)
