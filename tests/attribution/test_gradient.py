"""Completeness of gradient scores over every kind of unit, and other routes to the same numbers."""

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from steerboard.attribution.activation import activation
from steerboard.attribution.energy import energy
from steerboard.attribution.gradient import gradient
from steerboard.attribution.integrated_gradients import integrated_gradients
from steerboard.attribution.scene import Climb, Scene
from steerboard.attribution.units import Directions, Features, Heads, Neurons, Units, unit_rows
from steerboard.dictionary.sae import Sae

ALIVE = torch.tensor([True, True, False, True])
Curve = Callable[[Tensor], Tensor]


def sae(**kind: object) -> Sae:
    torch.manual_seed(0)
    weights = [torch.randn(*s, dtype=torch.float64) for s in ((6, 20), (20,), (20, 6), (6,))]
    return Sae(*weights, **kind)  # type: ignore[arg-type]


KINDS: dict[str, Units] = {
    "plain": Features(sae()),
    "layer_norm": Features(sae(normalize="layer_norm")),
    "rescale": Features(sae(normalize="constant_norm_rescale")),
    "signed": Features(sae(architecture="topk", k=5, signed=True)),
    "magnitude": Features(sae(architecture="abstopk", k=5, signed=True, normalize="layer_norm")),
    "groups": Features(sae(architecture="groupmax", k=4)),
    "pursuit": Features(
        replace(sae(architecture="matching_pursuit", k=4), W_dec=unit_rows(sae().W_dec))
    ),
    "tanh": Features(sae(architecture="tanh-relu")),
    "capped": Features(sae(architecture="topk", k=5, softcap=1.5)),
    "gated": Features(
        sae(
            architecture="gated",
            gain=torch.linspace(0.2, 1, 20, dtype=torch.float64),
            b_mag=torch.linspace(-0.5, 0.5, 20, dtype=torch.float64),
        )
    ),
    "neurons": Neurons(),
    "heads": Heads(3),
    "directions": Directions(unit_rows(torch.randn(3, 6, dtype=torch.float64))),
}


def curve(seen: Tensor) -> Tensor:
    """Some smooth scalar of ``[.., t, d]``."""
    return (seen.tanh() * torch.linspace(-1, 1, 6, dtype=torch.float64)).sum((-1, -2))


def slope(y: Curve, x: Tensor) -> Tensor:
    start = x.clone().requires_grad_()
    (found,) = torch.autograd.grad(y(start).sum(), start)
    return found


def scene(units: Units, x: Tensor, y: Curve = curve, steps: int = 16) -> Scene:
    mask = ALIVE[:, None].to(x)
    moved = units.built(units.code(x) * mask, x)

    def gradients(alphas: object) -> Tensor:
        return torch.stack([slope(y, x - (1 - a) * moved) for a in alphas])  # type: ignore

    climb = Climb(lambda a: float(y(x - (1 - a) * moved)), gradients)
    return Scene(units, x, slope(y, x), mask, float(y(x)), climb, lambda: x.new_zeros(1), steps)


@pytest.fixture
def x() -> Tensor:
    torch.manual_seed(1)
    return torch.randn(4, 6, dtype=torch.float64)


@pytest.mark.parametrize("name", KINDS)
def test_scores_error_and_bias_sum_to_x_times_gradient(name: str, x: Tensor) -> None:
    asked = scene(KINDS[name], x)
    found = gradient(asked)
    parts = float(found.token_scores.sum()) + found.error + found.bias
    assert parts == pytest.approx(found.total, abs=1e-9)
    assert found.total == pytest.approx(float((x * asked.gradient)[ALIVE].sum()), abs=1e-9)
    assert not found.code[2].any()


@pytest.mark.parametrize("name", KINDS)
def test_equals_the_derivative_through_the_reconstruction(name: str, x: Tensor) -> None:
    units, mask = KINDS[name], ALIVE[:, None].to(x)
    code = (units.code(x) * mask).detach().requires_grad_()
    built = units.built(code, x)
    seen = built + (x - built).detach()
    (by_code,) = torch.autograd.grad(curve(seen), code)
    torch.testing.assert_close(
        gradient(scene(units, x)).token_scores, (code * by_code).detach() * mask
    )


@pytest.mark.parametrize("name", KINDS)
def test_on_a_linear_read_out_gradient_integrated_gradients_and_ablation_agree(
    name: str, x: Tensor
) -> None:
    units, weight = KINDS[name], torch.randn(4, 6, dtype=torch.float64)
    asked = scene(units, x, lambda seen: (seen * weight).sum((-1, -2)), steps=1)
    scores, code = gradient(asked).token_scores, asked.code()
    torch.testing.assert_close(integrated_gradients(asked).token_scores, scores)
    for unit in range(min(3, code.shape[1])):
        off = code.clone()
        off[:, unit] = 0
        without = x - units.built(code, x) + units.built(off, x)
        assert float(((x - without) * weight).sum()) == pytest.approx(
            float(scores[:, unit].sum()), abs=1e-9
        )


@pytest.mark.parametrize("name", KINDS)
def test_the_completeness_error_of_integrated_gradients_falls_as_one_over_n(
    name: str, x: Tensor
) -> None:
    gaps = []
    for steps in (2, 4, 8, 16, 32):
        found = integrated_gradients(scene(KINDS[name], x, steps=steps))
        assert found.baseline is not None and found.error == 0 == found.bias
        gaps.append(steps * abs(float(found.token_scores.sum()) - found.total))
    assert gaps[-1] <= max(gaps[0], 1e-9)  # the midpoint rule does better than 1/n: n * gap falls
    assert gaps[-1] / 32 < 0.01 * (abs(found.total) + 1)


def test_activation_and_energy_need_no_gradient(x: Tensor) -> None:
    book = sae()
    asked = scene(Features(book), x)
    assert torch.equal(activation(asked).token_scores, asked.code())
    torch.testing.assert_close(energy(asked).token_scores, asked.code() * book.W_dec.norm(dim=1))
