"""What is composed from a Runner's answers, over the tiny house."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from steerboard.analysis.ablation import ablate
from steerboard.analysis.controls import random_direction, random_features, size_of
from steerboard.analysis.faithfulness import agreement, faithfulness
from steerboard.analysis.flip import Contrast, Question, off, off_and_double, says
from steerboard.analysis.shortcut_tasks import Bench, Picture, steered_answers
from steerboard.inprocess.runner import LocalRunner, open_local
from steerboard.spec.answers import ResolvedTarget
from steerboard.spec.edits import SteerSet, scale
from steerboard.spec.requests import Attribute, Encode, Encoded, Logit, Margin, Prompts, Steer

PROMPTS = Prompts(prompts=("cat", "dog", "horse", "boat"))
QUESTION = Question("tiny", PROMPTS, "middle", "resid_post.1")


@pytest.fixture(scope="module")
def runner(tiny_house: Path) -> Iterator[LocalRunner]:
    found = open_local(tiny_house, "")
    yield found
    found.close()


def test_ablation_is_the_difference_of_two_passes(
    runner: LocalRunner, tiny_images: list[bytes]
) -> None:
    image = Encoded(data=tiny_images[0])
    found = ablate(runner, "tiny", image, PROMPTS, "middle", [0, 3], ResolvedTarget(1))
    for feature, effect in zip([0, 3], found, strict=True):
        one = Steer(
            model="tiny",
            images=(image,),
            classifier=PROMPTS,
            steer_sets=(scale("resid_post.1", "middle", -1.0, feature),),
            targets=(Logit(index=1),),
        )
        answer = runner.steer(one).one()
        change = answer.clean.logits[1] - answer.steered[0].logits[1]
        assert effect == pytest.approx(float(change), abs=1e-4)


def test_controls_have_the_norm_of_what_they_are_compared_with(
    runner: LocalRunner, tiny_images: list[bytes]
) -> None:
    image = Encoded(data=tiny_images[1])
    code = runner.encode(Encode(model="tiny", images=(image,), dictionary="middle")).one()
    chosen = np.unique(code.features)[:3].tolist()
    rng, info = np.random.default_rng(0), runner.model("tiny")
    drawn = random_features(code, "resid_post.1", "middle", chosen, rng)
    others = [e.unit.index for e in drawn.edits]  # type: ignore[union-attr]
    assert not set(others) & set(chosen)
    m = drawn.edits[0].op.m  # type: ignore[union-attr]
    want = float(np.linalg.norm(size_of(code, chosen)))
    assert -m * float(np.linalg.norm(size_of(code, others))) == pytest.approx(want)
    away = random_direction(code, info, "resid_post.1", chosen, rng)
    site = info.site("resid_post.1")
    assert site is not None
    alphas = [e.op.alpha for e in away.edits]  # type: ignore[union-attr]
    assert site.n_bar * float(np.linalg.norm(alphas)) == pytest.approx(want, rel=1e-5)
    assert len(says(runner, QUESTION, image, [drawn, away])) == 2


def test_agreement_of_equal_numbers_is_perfect() -> None:
    values = np.array([3.0, -2.0, 1.0, 0.5])
    assert agreement(values, 2 * values) == pytest.approx((1.0, 2.0, 1.0))
    assert agreement(values, np.zeros(4))[0] == 0.0


def test_faithfulness_is_measured(runner: LocalRunner, tiny_images: list[bytes]) -> None:
    found = faithfulness(runner, QUESTION, [Encoded(data=d) for d in tiny_images[:3]], top=8)
    assert found.images == 3
    assert -1 <= found.spearman <= 1
    assert 0 <= found.sign <= 1


def test_contrast_takes_only_what_speaks_for_the_class() -> None:
    contrast = Contrast(np.array([7, 8, 9, 4]), np.array([0.5, -2.0, 1.0, -0.1]))
    assert contrast.for_wrong(3) == (9, 7)
    assert contrast.for_true(1) == (8,)
    both = off_and_double(QUESTION, (9, 7), (8,))
    assert [e.op.m for e in both.edits] == [-1, -1, 1]  # type: ignore[union-attr]
    assert off(QUESTION, ()) == SteerSet()


def test_a_task_answers_for_each_picture(runner: LocalRunner, tiny_images: list[bytes]) -> None:
    facts = {"group": "water", "label": "cat", "wrong": "boat"}
    pictures = [Picture(Encoded(data=d), facts) for d in tiny_images[:3]]

    def contrasts(found: object, margins: object) -> list[Contrast]:
        out = []
        for picture in pictures:
            request = Attribute(
                model="tiny",
                images=(picture.image,),
                classifier=PROMPTS,
                dictionary="middle",
                targets=(Margin(index=3, against=0),),
            )
            (one,) = runner.attribute(request).one()
            out.append(Contrast(one.features, one.scores.astype(np.float64)))
        return out

    bench = Bench(runner, QUESTION, PROMPTS.prompts, contrasts)
    answers = steered_answers(bench, pictures)
    assert [len(a) for a in answers] == [6, 6, 6]
    assert answers == steered_answers(bench, pictures)  # fixed seeds
