"""Completeness, and agreement with other routes to the same numbers."""

import pytest
import torch

from steerboard.attribution.gradient import score
from steerboard.dictionary.sae import Sae

ALIVE = torch.tensor([True, True, False, True])
KINDS = [
    {"normalize": "none"},
    {"normalize": "layer_norm"},
    {"normalize": "constant_norm_rescale"},
    {"architecture": "topk", "k": 5, "signed": True},
    {"architecture": "abstopk", "k": 5, "signed": True, "normalize": "layer_norm"},
    {"architecture": "groupmax", "k": 4},
    {"architecture": "tanh-relu"},
    {"architecture": "topk", "k": 5, "softcap": 1.5},
    {
        "architecture": "gated",
        "gain": torch.linspace(0.5, 2, 20, dtype=torch.float64),
        "b_mag": torch.linspace(-0.5, 0.5, 20, dtype=torch.float64),
    },
]


def sae(**kind: object) -> Sae:
    torch.manual_seed(0)
    weights = [torch.randn(*s, dtype=torch.float64) for s in ((6, 20), (20,), (20, 6), (6,))]
    return Sae(*weights, **kind)  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", KINDS)
def test_scores_error_and_bias_sum_to_x_times_gradient(kind: dict[str, object]) -> None:
    x, gradient = torch.randn(2, 4, 6, dtype=torch.float64)
    found = score(sae(**kind), x, gradient, ALIVE)
    assert float(found.token_scores.sum()) + found.error + found.bias == pytest.approx(
        found.total, abs=1e-9
    )
    assert found.total == pytest.approx(float((x * gradient)[ALIVE].sum()), abs=1e-9)
    assert not found.code[2].any()


@pytest.mark.parametrize("kind", KINDS)
def test_equals_the_derivative_through_the_reconstruction(kind: dict[str, object]) -> None:
    book, x = sae(**kind), torch.randn(4, 6, dtype=torch.float64)
    z = (book.encode(x) * ALIVE[:, None]).requires_grad_()
    seen = book.decode(z, x) + (x - book.decode(z, x)).detach()
    y = (seen.tanh() * torch.linspace(-1, 1, 6, dtype=torch.float64)).sum()
    (by_code,) = torch.autograd.grad(y, z, retain_graph=True)
    (by_x,) = torch.autograd.grad(y, seen)
    torch.testing.assert_close(
        score(book, x, by_x, ALIVE).token_scores, (z * by_code).detach() * ALIVE[:, None]
    )


def test_on_a_linear_read_out_the_score_is_the_exact_ablation() -> None:
    book, x = sae(), torch.randn(4, 6, dtype=torch.float64)
    weight = torch.randn(4, 6, dtype=torch.float64)
    found = score(book, x, weight, ALIVE)
    without = x - found.code[:, 3:4] * book.W_dec[3]
    assert float(((x - without) * weight).sum()) == pytest.approx(
        float(found.token_scores[:, 3].sum()), abs=1e-9
    )


def test_activation_and_energy_need_no_gradient() -> None:
    book, x = sae(), torch.randn(4, 6, dtype=torch.float64)
    code = book.encode(x) * ALIVE[:, None]
    nothing = torch.zeros_like(x)
    assert torch.equal(score(book, x, nothing, ALIVE, "activation").token_scores, code)
    energy = score(book, x, nothing, ALIVE, "energy").token_scores
    torch.testing.assert_close(energy, code * book.W_dec.norm(dim=1))
