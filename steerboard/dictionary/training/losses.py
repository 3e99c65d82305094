"""What a step minimises, by architecture. Rows ``x [n, d]`` are in scaled units throughout.

topk, batchtopk and the loss for dead features: Gao et al., arXiv 2406.04093; Bussmann et al.,
arXiv 2412.06410. jumprelu with its straight-through gradient: Rajamanoharan et al., arXiv
2407.14435, its penalty on the distance of L0 from k. Matryoshka: Bussmann et al., arXiv 2503.17547.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from steerboard.dictionary.training.learner import Learner
from steerboard.dictionary.training.plan import Plan
from steerboard.dictionary.training.sparse import Code, activations, code_of, rebuild

BANDWIDTH = 0.3  # of jumprelu's straight-through kernel, scaled units
PULL = 0.1  # weight of (L0 / k - 1)^2
STEERING = 0.01  # how fast relu's L1 penalty follows L0


@dataclass(frozen=True, eq=False)
class Loss:
    """The sum to descend, its share that is plain error, who fired ``[f]``, and L0."""

    total: Tensor
    error: Tensor
    fired: Tensor
    l0: Tensor


def loss(learner: Learner, x: Tensor, plan: Plan, prefix: int) -> Loss:
    """All of a plan's terms over scaled rows, the first ``prefix`` of them prefix tokens."""
    if plan.architecture in ("topk", "batchtopk"):
        return _top(learner, x, plan, prefix)
    return _pointwise(learner, x, plan)


def _top(learner: Learner, x: Tensor, plan: Plan, prefix: int) -> Loss:
    centred = x - learner.b_dec
    with torch.no_grad():
        pre = learner.pre(x)
        kept = _largest(pre, plan.k, plan.architecture == "batchtopk")
    code = _through(learner, centred, kept)
    rebuilt, nested = _nested(learner, code, centred, plan)
    total = nested
    if plan.few and prefix:
        few = _through(learner, centred[:prefix], _largest(pre[:prefix], plan.few, False))
        total = total + plan.few_weight * error(
            learner, centred[:prefix] - rebuild(few, learner.W_dec)
        )
    left = centred - rebuilt
    total = total + _revive(learner, centred, pre, left.detach(), plan)
    fired = torch.zeros_like(learner.idle, dtype=torch.bool)
    fired[code.features[code.values > 0]] = True
    l0 = (code.values.detach() > 0).sum() / len(x)
    return Loss(total, error(learner, left).detach(), fired, l0)


def _largest(pre: Tensor, k: int, over_batch: bool) -> Code:
    """The k largest of each row, or the ``n k`` largest of all."""
    if not over_batch:
        return code_of(pre, pre.topk(min(k, pre.shape[1]), dim=1, sorted=False).indices)
    n, f = pre.shape
    flat, _ = pre.flatten().topk(n * k, sorted=False).indices.sort()
    rows = torch.div(flat, f, rounding_mode="floor")
    starts = torch.searchsorted(rows, torch.arange(n, device=rows.device))
    return Code(pre.flatten()[flat], flat % f, starts, (n, f))


def _through(learner: Learner, centred: Tensor, kept: Code) -> Code:
    code = activations(centred, learner.W_enc, learner.b_enc, kept)
    return Code(code.values.relu(), code.features, code.starts, code.shape)


def _nested(learner: Learner, code: Code, centred: Tensor, plan: Plan) -> tuple[Tensor, Tensor]:
    """What all features rebuild, and the mean error over the prefixes of the dictionary."""
    whole = rebuild(code, learner.W_dec)
    errors = [error(learner, centred - whole)]
    for size in plan.matryoshka[:-1]:
        part = rebuild(code.where(code.features < size), learner.W_dec)
        errors.append(error(learner, centred - part))
    return whole, torch.stack(errors).mean()


def _revive(learner: Learner, centred: Tensor, pre: Tensor, left: Tensor, plan: Plan) -> Tensor:
    """Features that have long not fired rebuild what the others leave over."""
    dead = torch.nonzero(learner.idle > plan.dead_after)[:, 0]
    k = min(plan.auxiliary_k, len(dead))
    if not k:
        return left.new_zeros(())
    which = dead[pre[:, dead].topk(k, dim=1, sorted=False).indices]
    # Without ReLU: a feature that lies below zero everywhere would get no gradient to rise by.
    code = activations(centred, learner.W_enc, learner.b_enc, code_of(pre, which))
    again = rebuild(code, learner.W_dec)
    return plan.auxiliary_weight * error(learner, left - again) / error(learner, left)


def error(learner: Learner, left: Tensor) -> Tensor:
    """Weighted squared error a row; 1 for a dictionary that only knows the mean."""
    return (left.square() * learner.weight).sum(1).mean() / learner.scale**2


def _pointwise(learner: Learner, x: Tensor, plan: Plan) -> Loss:
    pre = learner.pre(x)
    if plan.architecture == "jumprelu":
        threshold = learner.log_threshold.exp()
        code = _Jump.apply(pre, threshold)  # type: ignore[no-untyped-call]
        l0 = _Step.apply(pre, threshold).sum(1).mean()  # type: ignore[no-untyped-call]
        penalty = PULL * (l0 / plan.k - 1).square()
    else:
        code = pre.relu()
        l0 = (code > 0).sum(1).float().mean()
        penalty = learner.sparsity.clone() * code.sum(1).mean() / x.shape[1] ** 0.5
        _steer(learner, float(l0), plan.k)
    left = x - learner.b_dec - code @ learner.W_dec
    errors = [error(learner, left)]
    for size in plan.matryoshka[:-1]:
        part = code[:, :size] @ learner.W_dec[:size]
        errors.append(error(learner, x - learner.b_dec - part))
    total = torch.stack(errors).mean() + penalty
    total = total + _revive(learner, x - learner.b_dec, pre.detach(), left.detach(), plan)
    return Loss(total, errors[0].detach(), (code > 0).any(0), l0.detach())


@torch.no_grad()
def _steer(learner: Learner, l0: float, k: int) -> None:
    """A stronger L1 penalty where more than k features are active, a weaker one where fewer."""
    off = min(1.0, max(-1.0, l0 / k - 1))
    learner.sparsity.mul_(torch.tensor(STEERING * off).exp())


class _Jump(torch.autograd.Function):
    """``p`` where it exceeds the threshold; a kernel around it carries the gradient of that."""

    @staticmethod
    def forward(ctx: Any, pre: Tensor, threshold: Tensor) -> Tensor:
        ctx.save_for_backward(pre, threshold)
        return pre * (pre > threshold)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor]:
        pre, threshold = ctx.saved_tensors
        near = ((pre - threshold).abs() < BANDWIDTH / 2) / BANDWIDTH
        return gradient * (pre > threshold), (-threshold * near * gradient).sum(0)


class _Step(torch.autograd.Function):
    """1 where ``p`` exceeds the threshold, with the same kernel."""

    @staticmethod
    def forward(ctx: Any, pre: Tensor, threshold: Tensor) -> Tensor:
        ctx.save_for_backward(pre, threshold)
        return (pre > threshold).to(pre.dtype)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[None, Tensor]:
        pre, threshold = ctx.saved_tensors
        near = ((pre - threshold).abs() < BANDWIDTH / 2) / BANDWIDTH
        return None, (-near * gradient).sum(0)
