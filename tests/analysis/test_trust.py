"""Trust reports and suggestions, over the tiny house."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from steerboard.analysis.curves import curves
from steerboard.analysis.flip import Question, off, says
from steerboard.analysis.measuring import measure
from steerboard.analysis.suggestions import changed_answers, suggest
from steerboard.analysis.trust import (
    AGREES,
    NOTHING,
    OPPOSITE,
    overlap,
    trust,
    trust_of_set,
    verdicts,
)
from steerboard.inprocess.runner import LocalRunner, open_local
from steerboard.spec.edits import SteerSet
from steerboard.spec.errors import InvalidRequest
from steerboard.spec.requests import Attribute, Encoded, Predict, Prompts

PROMPTS = Prompts(prompts=("cat", "dog", "horse", "boat"))
QUESTION = Question("tiny", PROMPTS, "middle", "resid_post.1")


@pytest.fixture(scope="module")
def runner(tiny_house: Path) -> Iterator[LocalRunner]:
    found = open_local(tiny_house, "")
    yield found
    found.close()


def asked(image: bytes, method: str = "gradient") -> Attribute:
    return Attribute(
        model="tiny",
        images=(Encoded(data=image),),
        classifier=PROMPTS,
        dictionary="middle",
        method=method,
    )


def test_verdicts_say_what_was_measured() -> None:
    scores, measured = np.array([3.0, 2.0, -1.0, 0.5]), np.array([2.5, -1.0, -0.9, 0.001])
    assert verdicts(scores, measured) == [AGREES, OPPOSITE, AGREES, NOTHING]
    assert overlap(scores, measured, top=2) == 1.0
    assert overlap(scores, measured[::-1], top=2) == 0.0


def test_claims_stand_beside_exact_ablations(runner: LocalRunner, tiny_images: list[bytes]) -> None:
    found = trust(runner, asked(tiny_images[0]))
    one = measure(runner, asked(tiny_images[0]))
    for claim in found.claims[:5]:
        effect = -float(one.changes([one.scaled(-1.0, claim.unit)])[0])
        assert claim.measured == pytest.approx(effect, abs=1e-5)
    assert set(found.curves) == {
        "activation", "energy", "logit_lens", "integrated_gradients", "gradient", "random",
    }  # fmt: skip


def test_curves_begin_and_end_where_they_must(
    runner: LocalRunner, tiny_images: list[bytes]
) -> None:
    """All 48 features off by deletion is no code at all; all put back is the clean pass."""
    one = measure(runner, asked(tiny_images[1]))
    found = curves(one, list(range(48)), steps=(24, 48))
    empty = float(one.changes([one.part("code")])[0])
    assert found.deletion[-1] == pytest.approx(empty, abs=1e-3)
    assert found.insertion[-1] == pytest.approx(-empty, abs=1e-3)
    nothing = SteerSet(edits=one.part("code").edits + one.part("error").edits)
    whole, gone = one.changes([one.part("error"), nothing])
    assert found.insertion_dropped[-1] == pytest.approx(whole - gone, abs=1e-3)
    assert found.area("deletion") == pytest.approx(
        (found.deletion[0] / 2 + (found.deletion[0] + found.deletion[1]) / 2) / 2
    )


def test_a_set_is_reported_by_medians_and_mean_areas(
    runner: LocalRunner, tiny_images: list[bytes]
) -> None:
    found = trust_of_set(runner, [asked(i) for i in tiny_images[:3]], baselines=("energy",))
    assert found.images == 3 and set(found.areas) == {"gradient", "energy", "random"}
    assert -1 <= found.spearman <= 1 and 0 <= found.overlap <= 1


def test_a_suggestion_flips_the_decision_and_nothing_in_it_is_spare(
    runner: LocalRunner, tiny_images: list[bytes]
) -> None:
    ways = 0
    probes = [Encoded(data=d) for d in tiny_images[4:]]
    for data in tiny_images[:4]:
        image = Encoded(data=data)
        found = suggest(runner, QUESTION, image, ways=2, probes=probes)
        used: set[int] = set()
        for way in found.ways:
            ways += 1
            assert not used & set(way.features)
            used |= set(way.features)
            (top,) = says(runner, QUESTION, image, [way.steer])
            assert top == way.says != found.decision and way.margin < 0
            for gone in way.features:
                part = off(QUESTION, [f for f in way.features if f != gone])
                assert says(runner, QUESTION, image, [part]) == (found.decision,)
            assert way.changed.n == len(probes)
    assert ways >= 3


def test_a_wanted_class_is_reached_or_nothing_is_suggested(
    runner: LocalRunner, tiny_images: list[bytes]
) -> None:
    image = Encoded(data=tiny_images[0])
    (now,) = runner.predict(Predict(model="tiny", images=(image,), classifier=PROMPTS)).results()
    runner_up = int(np.argsort(-now.logits)[1])
    found = suggest(runner, QUESTION, image, wanted=runner_up, ways=1)
    assert all(way.says == runner_up for way in found.ways)
    assert suggest(runner, QUESTION, image, wanted=now.top).ways == ()
    with pytest.raises(InvalidRequest, match="0 to 3"):
        suggest(runner, QUESTION, image, wanted=9)


def test_nothing_changes_no_answer(runner: LocalRunner, tiny_images: list[bytes]) -> None:
    probes = [Encoded(data=d) for d in tiny_images]
    assert changed_answers(runner, QUESTION, SteerSet(), probes).hits == 0
