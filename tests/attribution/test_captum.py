"""Gradient and integrated gradients against Captum's, on the same model wrapped as a module."""

from typing import Any

import numpy as np
import pytest
import torch
from captum.attr import InputXGradient, IntegratedGradients

from steerboard.attribution.gradient import gradient
from steerboard.attribution.integrated_gradients import integrated_gradients

STEPS = 24
STAGES = ["tiny_stage", "emojiland_stage"]


@pytest.fixture(params=STAGES)
def stage(request: pytest.FixtureRequest) -> Any:
    return request.getfixturevalue(request.param)


def test_gradient_is_captums_input_times_gradient(stage: Any) -> None:
    code = stage.module.code()[None]
    theirs = InputXGradient(stage.module).attribute(code.clone().requires_grad_())[0].detach()
    ours = gradient(stage.scene()).token_scores
    np.testing.assert_allclose(ours, theirs, atol=1e-5 * float(theirs.abs().max()))


def test_integrated_gradients_are_captums(stage: Any) -> None:
    code = stage.module.code()[None]
    nothing = torch.zeros_like(code)
    captum = IntegratedGradients(stage.module)
    theirs = captum.attribute(code, nothing, n_steps=STEPS, method="riemann_middle")[0].detach()
    found = integrated_gradients(stage.scene(STEPS))
    np.testing.assert_allclose(found.token_scores, theirs, atol=1e-5 * float(theirs.abs().max()))
    assert found.baseline == pytest.approx(float(stage.module(nothing)), abs=1e-4)
