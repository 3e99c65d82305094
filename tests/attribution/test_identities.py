"""The identities of attribution, in float64 on a tiny random CLIP and in float32 on Emojiland.

Every test of this file runs on both. What is composed over a Runner goes over ``Staged``, which
steers by the engine in the stage's own precision.
"""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from bench.house import Plan, build
from steerboard.analysis.ablated import ablation
from steerboard.analysis.measuring import measure
from steerboard.analysis.shapley import enumerated, remembered, shapley, worth
from steerboard.attribution.gradient import gradient
from steerboard.attribution.integrated_gradients import integrated_gradients
from steerboard.attribution.units import Directions, Heads, Neurons, Units, unit_rows
from steerboard.inprocess.check_attribute import check_attribute
from steerboard.spec.edits import Edit, Feature, Mask, Scale, SteerSet
from steerboard.spec.errors import EmptyMask
from steerboard.spec.requests import Attribute, Encoded, Prompts
from tests.attribution.staged import BOOK, SITE, Staged, question

# Completeness up to: float64 exactly, float32 to its digits.
EXACT = {"tiny_stage": 1e-9, "emojiland_stage": 2e-4}


@pytest.fixture(params=EXACT)
def stage(request: pytest.FixtureRequest) -> Any:
    return request.getfixturevalue(request.param)


@pytest.fixture
def tolerance(request: pytest.FixtureRequest) -> float:
    return EXACT[request.node.callspec.params["stage"]]


def test_scores_error_and_bias_make_up_x_times_gradient(stage: Any, tolerance: float) -> None:
    scene = stage.scene()
    found = gradient(scene)
    parts = float(found.token_scores.double().sum()) + found.error + found.bias
    assert parts == pytest.approx(found.total, abs=tolerance)
    by_hand = float((scene.x.double() * scene.gradient.double()).sum())
    assert found.total == pytest.approx(by_hand, abs=tolerance)
    assert abs(found.error) > 0 and abs(found.bias) > 0


@pytest.mark.parametrize("kind", ["neurons", "heads", "directions"])
def test_other_units_scores_and_error_make_up_x_times_gradient(
    stage: Any, tolerance: float, kind: str
) -> None:
    """Neurons and heads leave nothing over; free directions do."""
    scene = stage.scene()
    width = scene.x.shape[1]
    units: dict[str, Units] = {
        "neurons": Neurons(),
        "heads": Heads(stage.loaded.tower.heads),
        "directions": Directions(unit_rows(torch.randn(5, width, dtype=scene.x.dtype))),
    }
    found = gradient(replace(scene, units=units[kind]))
    parts = float(found.token_scores.double().sum()) + found.error + found.bias
    by_hand = float((scene.x.double() * scene.gradient.double()).sum())
    assert parts == pytest.approx(by_hand, abs=tolerance) and found.bias == 0
    assert (abs(found.error) > 10 * tolerance) == (kind == "directions")


def test_the_gap_of_integrated_gradients_falls_as_one_over_n_or_better(
    stage: Any, tolerance: float
) -> None:
    steps = (4, 8, 16, 32, 64)
    gaps = []
    for n in steps:
        found = integrated_gradients(stage.scene(n))
        gaps.append(abs(float(found.token_scores.double().sum()) - found.total))
    first = steps[0] * gaps[0]
    assert all(n * gap <= 1.1 * first for n, gap in zip(steps, gaps, strict=True)), gaps
    assert gaps[-1] < max(0.02 * abs(found.total), 10 * tolerance)


def test_a_small_step_down_moves_the_target_by_the_score(stage: Any) -> None:
    """Route two: half a percent less of a unit, in place of its gradient."""
    found, module = gradient(stage.scene()), stage.module
    scores = found.token_scores.sum(0)
    for unit in scores.abs().argsort(descending=True)[:3].tolist():
        code, step = module.code(), 0.005
        up, down = code.clone(), code.clone()
        up[:, unit] *= 1 + step
        down[:, unit] *= 1 - step
        slope = (float(module(up[None])) - float(module(down[None]))) / (2 * step)
        assert slope == pytest.approx(float(scores[unit]), rel=0.02)


def test_what_is_gone_at_once_is_near_what_was_predicted(stage: Any) -> None:
    """Not an identity: ablation and gradient agree in rank where features are many."""
    scores = gradient(stage.scene()).token_scores.sum(0)
    top = scores.abs().argsort(descending=True)[:8].tolist()
    value = stage.scene().value
    effects = [value - stage.without(u) for u in top]
    signs = np.sign(effects) == np.sign([float(scores[u]) for u in top])
    assert signs.mean() >= 0.75


def test_shapley_values_of_all_active_units_sum_to_the_change_from_no_code(
    stage: Any, tolerance: float
) -> None:
    """Of the prefix tokens' units. Route two: the module without any code, the error kept."""
    own = stage.of_prefix()
    module = own.module
    code = module.code()
    active = int((code != 0).any(0).sum())
    found = shapley(Staged(own), question(own, 4096), pairs=1)
    assert len(found.units) == active >= 20
    empty = float(module(torch.zeros_like(code)[None]))
    whole = float(module(code[None]))
    assert found.scores.sum() == pytest.approx(whole - empty, abs=tolerance)
    assert found.rows["baseline"] == pytest.approx(empty, abs=tolerance)
    assert found.rows["total"] == pytest.approx(whole - empty, abs=tolerance)
    assert set(found.rows) == {"baseline", "total"}
    assert integrated_gradients(own.scene()).baseline == pytest.approx(empty, abs=tolerance)
    assert abs(whole - empty) > 100 * tolerance


def test_sampled_shapley_values_lie_within_three_errors_of_enumeration(
    stage: Any, tolerance: float
) -> None:
    """Eight features: all 256 coalitions, each one a row of the module's own code."""
    one = measure(Staged(stage), question(stage, 8))
    players = one.attribution().features
    code = stage.module.code()
    base = float(stage.module(code[None]))

    def by_hand(coalitions: Any) -> np.ndarray:
        rows = code.repeat(len(coalitions), 1, 1)
        for row, coalition in zip(rows, coalitions, strict=True):
            row[:, [int(p) for i, p in enumerate(players) if i not in coalition]] = 0
        with torch.no_grad():
            found = [stage.module(part).numpy() for part in rows.split(64) if len(part)]
        return np.concatenate([np.zeros(0), *found]) - base

    exact = enumerated(remembered(by_hand), 8)
    engine = enumerated(remembered(worth(one, players)), 8)
    np.testing.assert_allclose(engine, exact, atol=tolerance)
    found = shapley(Staged(stage), question(stage, 8), pairs=16)
    values = dict(zip(players.tolist(), exact, strict=True))
    assert found.errors is not None and sorted(found.units) == sorted(players)
    off = np.abs(found.scores - [values[int(u)] for u in found.units])
    assert np.all(off <= 3 * found.errors + tolerance), (off, found.errors)
    assert found.scores.sum() == pytest.approx(exact.sum(), abs=tolerance)


def test_on_a_linear_read_out_all_methods_agree(stage: Any, tolerance: float) -> None:
    own = stage.straight()
    units = 8
    scores = gradient(own.scene()).token_scores.sum(0).double().numpy()
    size = tolerance * max(1.0, float(np.abs(scores).max()))
    walked = integrated_gradients(own.scene(1)).token_scores.sum(0)
    np.testing.assert_allclose(walked, scores, atol=size)
    for found in (
        ablation(Staged(own), question(own, units)),
        shapley(Staged(own), question(own, units), pairs=2),
    ):
        assert len(found.units) == units
        np.testing.assert_allclose(found.scores, scores[found.units], atol=size)
        assert np.abs(found.scores).min() > 10 * size


def test_the_predicted_effect_of_scaling_is_the_weighted_sum_of_scores(
    stage: Any, tolerance: float
) -> None:
    """Gradient times what the engine changes, against m times R."""
    found = gradient(stage.scene()).token_scores.sum(0).double().numpy()
    units = np.argsort(-np.abs(found))[:6].tolist()
    strengths = np.linspace(-1, 2, 6)
    edits = tuple(
        Edit(site=SITE, unit=Feature(dictionary=BOOK, index=u), op=Scale(m=m))
        for u, m in zip(units, strengths.tolist(), strict=True)
    )
    change = Staged(stage).changes([SteerSet(edits=edits)])[0]
    predicted = float((stage.scene().gradient.double() * change.double()).sum())
    assert predicted == pytest.approx(float(strengths @ found[units]), abs=tolerance)
    assert abs(predicted) > 10 * tolerance


def test_at_the_end_scores_balance_since_the_scale_of_x_decides_nothing(stage: Any) -> None:
    """Behind a layer norm and a cosine x . grad y is 0, up to the layer norm's epsilon."""
    scene = stage.at_the_end().scene()
    x = scene.x.double()[0]
    eps = stage.loaded.tower.visual.ln_post.eps / float(x.var(unbiased=False))
    parts = (x * scene.gradient.double()[0]).abs().sum()
    assert abs(gradient(scene).total) <= max(eps, 1e-5) * float(parts)
    assert float(parts) > 0.1


def test_no_gradient_reaches_patches_at_the_end_and_that_is_said(stage: Any) -> None:
    """Zeros by hand; refused with the remedy, which does, by the check of every question."""
    slopes, prefix = stage.at_the_end().scene().gradient, stage.loaded.tower.prefix
    assert not slopes[prefix:].any() and slopes[:prefix].any()
    assert stage.scene().gradient[prefix:].any()
    served = build(Plan("stage"), stage.loaded)
    last = len(stage.loaded.tower.blocks) - 1

    def check(block: int, tokens: Mask) -> None:
        asked = Attribute(
            model="stage",
            images=(Encoded(data=b"any"),),
            classifier=Prompts(prompts=("cat", "dog")),
            units="neuron",
            site=f"resid_post.{block}",
            tokens=tokens,
        )
        check_attribute(served, asked)

    for patches in (Mask(kind="patches", cells=((0, 0),)), Mask(kind="patches", cells=((1, 2),))):
        with pytest.raises(EmptyMask, match="choose an earlier site") as e:
            check(last, patches)
        assert e.value.field == "tokens"
        check(last - 1, patches)
    check(last, Mask(kind="prefix"))
