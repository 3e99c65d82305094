"""The sparse way and the dense way give one gradient; each term does what it is for."""

from typing import Any

import pytest
import torch
from torch import Tensor

from steerboard.dictionary.quality import quality
from steerboard.dictionary.training.learner import Learner, weights
from steerboard.dictionary.training.losses import error, loss
from steerboard.dictionary.training.plan import Plan
from steerboard.dictionary.training.sparse import Code, activations, code_of, rebuild
from tests.dictionary_training.conftest import sparse_sums


def learner(plan: Plan, x: Tensor) -> Learner:
    made = Learner(plan, x)
    with torch.no_grad():
        made.b_enc.normal_(0, 0.1)
        made.b_dec.normal_(0, 0.1)
    return made


def dense_error(made: Learner, x: Tensor, plan: Plan, size: int) -> Tensor:
    """The same loss by plain products, zeros and all."""
    pre = (x - made.b_dec) @ made.W_enc.T + made.b_enc
    if plan.architecture == "topk":
        least = pre.topk(plan.k, dim=1).values[:, -1:]
    else:
        least = pre.flatten().topk(plan.k * len(x)).values[-1]
    code = pre.relu() * (pre >= least)
    return error(made, x - made.b_dec - code[:, :size] @ made.W_dec[:size])


@pytest.mark.parametrize("architecture", ["topk", "batchtopk"])
@pytest.mark.parametrize("groups", [(), (8, 20, 48)])
def test_sparse_gradients_are_those_of_the_dense_products(
    architecture: Any, groups: tuple[int, ...]
) -> None:
    plan = Plan(architecture=architecture, size=48, k=4, matryoshka=groups, steps=1)
    x = sparse_sums(100, 1)
    made = learner(plan, x)
    scaled = made.scaled(x)
    parameters = list(made.parameters())
    ours = torch.autograd.grad(loss(made, scaled, plan, 0).total, parameters)
    sizes = groups or (48,)
    theirs = torch.autograd.grad(
        torch.stack([dense_error(made, scaled, plan, size) for size in sizes]).mean(), parameters
    )
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other, atol=1e-6, rtol=1e-4)


def test_a_ragged_code_is_its_dense_matrix() -> None:
    torch.manual_seed(0)
    dense = torch.randn(6, 9).relu()
    dense[2] = 0  # a row without anything active, and one at the end
    dense[5] = 0
    rows, features = dense.nonzero(as_tuple=True)
    starts = torch.searchsorted(rows, torch.arange(6))
    code = Code(dense[rows, features], features, starts, (6, 9))
    assert torch.equal(code.dense(), dense)
    W = torch.randn(9, 4, requires_grad=True)
    torch.testing.assert_close(rebuild(code, W), dense @ W)
    (ours,) = torch.autograd.grad(rebuild(code, W).square().sum(), W)
    (theirs,) = torch.autograd.grad((dense @ W).square().sum(), W)
    torch.testing.assert_close(ours, theirs)


def test_gradients_by_finite_differences() -> None:
    torch.manual_seed(0)
    x, W, b, D = (
        torch.randn(*shape, dtype=torch.double, requires_grad=True)
        for shape in ((5, 4), (7, 4), (7,), (7, 4))
    )
    which = torch.rand(5, 7).topk(3).indices

    def whole(x: Tensor, W: Tensor, b: Tensor, D: Tensor) -> Tensor:
        code = code_of((x @ W.T + b).detach(), which)
        return rebuild(activations(x, W, b, code), D)

    assert torch.autograd.gradcheck(whole, (x, W, b, D))


def test_dead_features_learn_from_what_is_left_over_and_only_they() -> None:
    plan = Plan(size=48, k=4, steps=1, auxiliary_k=8, auxiliary_weight=1.0, dead_after=10)
    x = sparse_sums(100, 1)
    made = learner(plan, x)
    made.idle[40:] = 11
    with torch.no_grad():
        made.b_enc[40:] = -1e3  # never among the k largest
    plain = torch.autograd.grad(
        loss(made, made.scaled(x), plan.model_copy(update={"auxiliary_k": 0}), 0).total,
        made.W_enc,
        allow_unused=True,
    )[0]
    assert not plain[40:].any()
    with torch.no_grad():
        made.b_enc[40:] = 0.0
    full = torch.autograd.grad(loss(made, made.scaled(x), plan, 0).total, made.W_enc)[0]
    assert full[40:].abs().sum() > 0


def test_the_error_is_one_for_knowing_the_mean_and_zero_for_all() -> None:
    x = sparse_sums(3000, 1)
    for balance in (0.0, 1.0):
        made = Learner(Plan(size=4, k=1, steps=1, balance=balance), x)
        assert float(error(made, made.scaled(x))) == pytest.approx(1.0, rel=1e-3)
        assert float(error(made, torch.zeros_like(x))) == 0.0


def test_balance_counts_each_dimension_in_its_own_variance() -> None:
    x = torch.randn(2000, 3) * torch.tensor([100.0, 1.0, 1.0])
    assert weights(x, 0.0)[0] == weights(x, 0.0)[1]
    share = weights(x, 1.0) * x.var(0)
    assert share[0] < 0.5  # 0.9998 without balance


def test_export_is_the_same_function_in_other_units() -> None:
    x = sparse_sums(500, 1)
    for architecture in ("topk", "batchtopk", "relu", "jumprelu"):
        plan = Plan(architecture=architecture, size=48, k=4, steps=1, matryoshka=(16, 48))
        made = learner(plan, x)
        made.keep_unit_rows()
        sae = made.export(plan, threshold=0.7)
        pre = made.pre(made.scaled(x)).detach()
        if architecture == "topk":
            code = pre.relu() * (pre >= pre.topk(4, dim=1).values[:, -1:])
        else:
            limit = {"relu": 0.0, "batchtopk": 0.7, "jumprelu": 1.0}[architecture]
            code = pre.relu() * (pre > limit)
        torch.testing.assert_close(sae.encode(x), code / made.scale, atol=1e-4, rtol=1e-4)
        rebuilt = (code @ made.W_dec + made.b_dec) / made.scale + made.mean
        torch.testing.assert_close(sae.decode(sae.encode(x), x), rebuilt, atol=1e-4, rtol=1e-4)
        torch.testing.assert_close(sae.W_dec.norm(dim=1), torch.ones(48))
        assert sae.groups == (16, 32)
        left = error(made, made.scaled(x) - code @ made.W_dec - made.b_dec).detach()
        found = 1 - quality(sae, x, "all").explained_variance
        assert found == pytest.approx(float(left), rel=2e-2)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"k": 49}, "more than the 48"),
        ({"matryoshka": (8, 20)}, "end at 48"),
        ({"steps": 0}, "training must end"),
        ({"architecture": "relu", "few": 3}, "top-k kinds"),
    ],
)
def test_plans_that_make_no_sense_are_refused(wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Plan(**{"size": 48, "k": 4, "steps": 1, **wrong})
