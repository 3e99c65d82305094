"""Trust reports and suggestions, over the tiny house."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from steerboard.analysis.curves import curves
from steerboard.analysis.flip import Question, off, says
from steerboard.analysis.measuring import measure
from steerboard.analysis.methods import locate
from steerboard.analysis.suggestions import changed_answers, suggest
from steerboard.analysis.trust import (
    AGREES,
    BASELINES,
    NOTHING,
    OPPOSITE,
    overlap,
    relative_error,
    trust,
    trust_of_set,
    verdicts,
)
from steerboard.inprocess.runner import LocalRunner, open_local
from steerboard.spec.edits import Edit, Neuron, Scale, SteerSet, scale
from steerboard.spec.errors import BadImage, InvalidRequest, NotFound
from steerboard.spec.requests import Attribute, Encoded, Margin, Predict, Prompts, Steer
from steerboard.spec.tensor import Tensor

PROMPTS = Prompts(prompts=("cat", "dog", "horse", "boat"))
QUESTION = Question("tiny", PROMPTS, "middle", "resid_post.1")
AREAS = ("deletion", "insertion", "deletion_dropped", "insertion_dropped")


@pytest.fixture(scope="module")
def runner(tiny_house: Path) -> Iterator[LocalRunner]:
    found = open_local(tiny_house, "")
    yield found
    found.close()


def asked(image: bytes, method: str = "gradient", **other: Any) -> Attribute:
    plain = {"model": "tiny", "images": (Encoded(data=image),), "classifier": PROMPTS}
    return Attribute(**{**plain, "dictionary": "middle", "method": method, **other})


def steered(runner: LocalRunner, image: bytes, *sets: SteerSet) -> tuple[np.ndarray, np.ndarray]:
    """Predicted and measured change ``[k]`` of the clean margin."""
    (found,) = runner.attribute(asked(image)).one()
    margin = Margin(index=found.target.index, against=found.target.against)
    one = Steer(
        model="tiny",
        images=(Encoded(data=image),),
        classifier=PROMPTS,
        steer_sets=sets,
        targets=(margin,),
    )
    answer = runner.steer(one).one()
    return answer.predicted[:, 0].astype(float), answer.measured[:, 0].astype(float)


def without(*features: int) -> SteerSet:
    return scale("resid_post.1", "middle", -1.0, *features)


def cut_off(image: bytes) -> bytes:
    return image[: len(image) // 2]


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


def test_each_curve_goes_through_its_own_methods_ranking(
    runner: LocalRunner, tiny_images: list[bytes]
) -> None:
    """Route two: ask each method, and switch off what it ranks highest, by hand."""
    found, rankings = trust(runner, asked(tiny_images[0])), []
    for method in (*BASELINES, "gradient"):
        (said,) = runner.attribute(asked(tiny_images[0], method)).one()
        order = said.features[np.argsort(-said.scores, kind="stable")].tolist()
        drawn = found.curves[method]
        _, deleted = steered(runner, tiny_images[0], *(without(*order[:k]) for k in drawn.steps))
        np.testing.assert_allclose(drawn.deletion, deleted, atol=1e-4)
        rankings.append(order[:20])
    # Rows of unit length: energy ranks as activation does. No other two rank alike.
    assert all(one != two for one, two in pairwise(rankings[1:]))


def test_the_random_order_knows_nothing_of_the_method_on_trial(
    runner: LocalRunner, tiny_images: list[bytes]
) -> None:
    one, two = (
        trust(runner, asked(tiny_images[0], m), baselines=()) for m in ("gradient", "energy")
    )
    for area in AREAS:
        assert one.curves["random"].area(area) == pytest.approx(two.curves["random"].area(area))
    own = [r.curves[r.method].area("deletion") for r in (one, two)]
    assert abs(own[0] - own[1]) > 0.01
    # What speaks for the target goes first by gradient: chance falls less deep.
    assert own[0] < one.curves["random"].area("deletion") - 0.01


def test_a_report_is_on_the_ranking_that_it_is_given(
    runner: LocalRunner, tiny_images: list[bytes]
) -> None:
    found = locate(runner, asked(tiny_images[0]))
    turned = replace(found, scores=-found.scores)
    right, wrong = (trust(runner, asked(tiny_images[0]), (), f) for f in (found, turned))
    assert wrong.spearman == pytest.approx(-right.spearman) and right.spearman > 0
    assert wrong.slope == pytest.approx(-right.slope)
    assert wrong.sign == pytest.approx(1 - right.sign)
    # Predictions that are shown beside effects stay what they are.
    assert wrong.relative_error == pytest.approx(right.relative_error, abs=1e-6)


def test_relative_errors_that_are_known() -> None:
    measured = np.array([0.0, 4.0, -3.0])
    assert relative_error(measured, measured) == 0
    assert relative_error(0 * measured, measured) == pytest.approx(1)
    assert relative_error(1.5 * measured, measured) == pytest.approx(0.5)
    assert relative_error(-measured, measured) == pytest.approx(2)
    assert relative_error(np.array([5.0, 4.0, -3.0]), measured) == pytest.approx(1)
    assert relative_error(np.zeros(3), np.zeros(3)) == 0
    assert relative_error(measured, np.zeros(3)) == np.inf


@pytest.mark.parametrize("method", ["gradient", "activation", "ablation"])
def test_the_relative_error_is_that_of_what_stands_beside_steered_answers(
    runner: LocalRunner, tiny_images: list[bytes], method: str
) -> None:
    """Two routes to dy_hat: R here, the gradient times the actual change there."""
    found = trust(runner, asked(tiny_images[0], method), baselines=())
    sets = [without(claim.unit) for claim in found.claims]
    predicted, measured = steered(runner, tiny_images[0], *sets)
    off = np.sqrt(((predicted - measured) ** 2).sum() / (measured**2).sum())
    assert found.relative_error == pytest.approx(off, rel=1e-3) and off > 0.01
    np.testing.assert_allclose([c.measured for c in found.claims], -measured, atol=1e-4)


def test_effects_are_counted_from_the_questions_own_edits(
    runner: LocalRunner, tiny_images: list[bytes]
) -> None:
    """Where the question is asked under edits, a unit goes off besides those."""
    (clean,) = runner.attribute(asked(tiny_images[0])).one()
    earlier = tuple(
        Edit(site="resid_post.0", unit=Neuron(index=i), op=Scale(m=8.0)) for i in range(12)
    )
    held = SteerSet(edits=earlier)
    wanted = Margin(index=clean.target.index, against=clean.target.against)
    units = clean.features[:6]
    one = measure(runner, asked(tiny_images[0], steer=held, targets=(wanted,)))
    both = [SteerSet(edits=earlier + without(unit).edits) for unit in units.tolist()]
    _, (before, *after) = steered(runner, tiny_images[0], held, *both)
    assert abs(before) > 0.05
    np.testing.assert_allclose(one.effects(units.tolist()), [before - a for a in after], atol=1e-4)
    # The whole report: by measuring, a ranking is in the order of what it measured.
    found = trust(runner, one.request.model_copy(update={"method": "ablation"}), baselines=())
    np.testing.assert_allclose(
        [c.score for c in found.claims], [c.measured for c in found.claims], atol=1e-4
    )


LENS = {"activation", "energy", "integrated_gradients", "logit_lens", "gradient", "random"}
PLACES: dict[str, tuple[dict[str, Any], set[str]]] = {
    "heads": ({"units": "head", "site": "head_out.1"}, LENS - {"logit_lens"}),
    "hidden neurons": ({"units": "neuron", "site": "mlp_post.1"}, LENS - {"logit_lens"}),
    "neurons": ({"units": "neuron", "site": "resid_post.1"}, LENS),
    "directions": (
        {
            "units": "direction",
            "site": "resid_pre.1",
            "directions": Tensor.of(np.random.default_rng(0).normal(size=(5, 24))),
        },
        LENS,
    ),
}


@pytest.mark.parametrize("name", PLACES)
def test_the_baselines_are_those_that_the_units_have(
    runner: LocalRunner, tiny_images: list[bytes], name: str
) -> None:
    place, expected = PLACES[name]
    request = asked(tiny_images[0], dictionary="", **place)
    assert set(trust(runner, request).curves) == expected
    if "logit_lens" not in expected:
        with pytest.raises(InvalidRequest, match="logit_lens"):
            trust(runner, request, baselines=("logit_lens",))


def test_a_set_is_reported_by_medians_and_mean_areas(
    runner: LocalRunner, tiny_images: list[bytes]
) -> None:
    """Route two: each picture's own report."""
    requests = [asked(i) for i in tiny_images[:3]]
    found = trust_of_set(runner, requests, baselines=("energy",))
    each = [trust(runner, request, baselines=("energy",)) for request in requests]
    assert found.images == 3 and not found.failed
    for name in ("spearman", "slope", "relative_error", "sign", "overlap"):
        own = sorted(getattr(report, name) for report in each)
        assert getattr(found, name) == pytest.approx(own[1]) != 0
    assert set(found.areas) == {"gradient", "energy", "random"}
    for ranking, areas in found.areas.items():
        for name in AREAS:
            own = [report.curves[ranking].area(name) for report in each]
            assert areas[name] == pytest.approx(sum(own) / 3)
            assert max(own) - min(own) > 1e-3


def test_a_bad_picture_is_named_and_the_others_are_reported(
    runner: LocalRunner, tiny_images: list[bytes]
) -> None:
    good = [asked(i) for i in tiny_images[:2]]
    bad = asked(cut_off(tiny_images[2]))
    found = trust_of_set(runner, [good[0], bad, good[1]], baselines=())
    ((place, error),) = found.failed
    assert place == 1 and isinstance(error, BadImage)
    assert replace(found, failed=()) == trust_of_set(runner, good, baselines=())
    assert found.images == 2
    with pytest.raises(BadImage):
        trust_of_set(runner, [bad, bad], baselines=())


def test_a_question_that_is_wrong_whatever_the_picture_ends_the_report(
    runner: LocalRunner, tiny_images: list[bytes]
) -> None:
    good = asked(tiny_images[0])
    for wrong in ({"dictionary": "none"}, {"method": "guess"}, {"images": good.images * 2}):
        with pytest.raises((NotFound, InvalidRequest)):
            trust_of_set(runner, [good, good.model_copy(update=wrong)], baselines=())
    with pytest.raises(InvalidRequest, match="one picture at least"):
        trust_of_set(runner, [])


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


def test_a_ways_side_effect_is_the_number_of_answers_that_it_changes(
    runner: LocalRunner, tiny_images: list[bytes]
) -> None:
    """Route two: each probe alone, without and with the way."""
    probes = [Encoded(data=d) for d in tiny_images]
    seen = set()
    for data in tiny_images[:3]:
        found = suggest(runner, QUESTION, Encoded(data=data), ways=2, probes=probes)
        for way in found.ways:
            pairs = [says(runner, QUESTION, probe, [SteerSet(), way.steer]) for probe in probes]
            changed = sum(before != after for before, after in pairs)
            assert (way.changed.hits, way.changed.n) == (changed, len(probes)) and not way.failed
            seen.add(changed)
    assert len(seen) > 1 and max(seen) > 1  # The picture itself is one of the probes.


def test_a_bad_probe_is_named_and_the_others_are_counted(
    runner: LocalRunner, tiny_images: list[bytes]
) -> None:
    good = [Encoded(data=d) for d in tiny_images]
    bad = Encoded(data=cut_off(tiny_images[5]))
    image = Encoded(data=tiny_images[0])
    one, two = (
        suggest(runner, QUESTION, image, ways=1, probes=probes).ways[0]
        for probes in (good, [*good[:3], bad, *good[3:]])
    )
    assert two.changed == one.changed and two.changed.hits > 0
    ((place, error),) = two.failed
    assert place == 3 and isinstance(error, BadImage)
    # In the second question of a longer set, too.
    rate, failed = changed_answers(runner, QUESTION, one.steer, [*good * 2, *good[:2], bad])
    assert [place for place, _ in failed] == [2 * len(good) + 2]
    assert rate.n == 2 * len(good) + 2 and rate.hits >= 2 * one.changed.hits


def test_nothing_changes_no_answer(runner: LocalRunner, tiny_images: list[bytes]) -> None:
    probes = [Encoded(data=d) for d in tiny_images]
    rate, failed = changed_answers(runner, QUESTION, SteerSet(), probes)
    assert (rate.hits, rate.n, failed) == (0, len(probes), ())
