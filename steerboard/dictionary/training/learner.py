"""The parameters of a dictionary in training, and the dictionary that they become.

Training works on ``x' = (x - mean) s`` with ``s = sqrt(d) / E norm(x - mean)``, so that one
learning rate suits every model; ``export`` folds mean and scale back. Encoder and decoder are both
held as rows ``[f, d]``; decoder rows keep unit length.
"""

from itertools import pairwise

import torch
from torch import Tensor
from torch.nn import Module, Parameter, functional

from steerboard.dictionary.sae import Sae
from steerboard.dictionary.training.plan import Plan

FIRST_THRESHOLD = 1.0  # of jumprelu, in scaled units: about one in six is active at first


class Learner(Module):
    """Parameters of a plan, in scaled units."""

    mean: Tensor
    scale: Tensor
    weight: Tensor
    idle: Tensor
    sparsity: Tensor

    def __init__(self, plan: Plan, sample: Tensor) -> None:
        """From a sample of normalised rows ``[n, d]``, by the plan's seed."""
        super().__init__()
        source = torch.Generator().manual_seed(plan.seed)
        f, d = plan.size, sample.shape[1]
        rows = functional.normalize(torch.randn(f, d, generator=source), dim=1)
        self.W_enc = Parameter(rows.clone())
        self.W_dec = Parameter(rows.clone())
        self.b_enc = Parameter(torch.zeros(f))
        self.b_dec = Parameter(torch.zeros(d))
        if plan.architecture == "jumprelu":
            self.log_threshold = Parameter(torch.full((f,), FIRST_THRESHOLD).log())
        mean = sample.mean(0)
        self.register_buffer("mean", mean)
        self.register_buffer("scale", d**0.5 / (sample - mean).norm(dim=1).mean())
        self.register_buffer("weight", weights(sample, plan.balance))
        self.register_buffer("idle", torch.zeros(f))  # tokens since each feature fired
        self.register_buffer("sparsity", torch.tensor(0.01))  # strength of relu's L1 penalty

    def scaled(self, x: Tensor) -> Tensor:
        """``x [n, d]`` in the units of training."""
        return (x - self.mean) * self.scale

    def pre(self, x: Tensor) -> Tensor:
        """Pre-activations ``[n, f]`` of scaled rows."""
        return functional.linear(x - self.b_dec, self.W_enc, self.b_enc)

    @torch.no_grad()
    def keep_unit_rows(self) -> None:
        """Decoder rows back to length 1, after a step."""
        self.W_dec.copy_(functional.normalize(self.W_dec, dim=1))

    @torch.no_grad()
    def export(self, plan: Plan, threshold: float = 0.0) -> Sae:
        """The dictionary in the units of the (normalised) input.

        Args:
            plan: What was trained.
            threshold: Of batchtopk, in scaled units.
        """
        limit = None
        if plan.architecture == "jumprelu":
            limit = self.log_threshold.exp() / self.scale
        elif plan.architecture == "batchtopk":
            limit = torch.full_like(self.b_enc, threshold) / self.scale
        return Sae(
            W_enc=self.W_enc.T.contiguous().cpu(),
            b_enc=(self.b_enc / self.scale).cpu(),
            W_dec=self.W_dec.detach().clone().cpu(),
            b_dec=(self.mean + self.b_dec / self.scale).cpu(),
            architecture=plan.architecture,
            k=plan.k if plan.architecture == "topk" else 0,
            threshold=None if limit is None else limit.cpu(),
            normalize=plan.normalize,
            tokens=plan.tokens,
            groups=tuple(b - a for a, b in pairwise((0, *plan.matryoshka))),
        )


def weights(sample: Tensor, balance: float) -> Tensor:
    """What each dimension weighs in the loss ``[d]``; the loss of predicting the mean is 1.

    At ``balance`` 0 every dimension weighs the same and massive ones decide; at 1 each is counted
    in its own variance.
    """
    variance = sample.var(0)
    weight = (variance + 1e-4 * variance.mean()) ** -balance
    return weight / (weight * variance).sum()
