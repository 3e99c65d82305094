"""The identities of attribution, in float64 on a tiny random CLIP and in float32 on Emojiland."""

from typing import Any

import numpy as np
import pytest

from steerboard.attribution.gradient import gradient
from steerboard.attribution.integrated_gradients import integrated_gradients

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
