"""A sparse code and what it rebuilds, paying for the active features only.

A code is a list of ``m`` activations: ``values [m]`` of ``features [m]``, row by row, those of row
``i`` from ``starts[i]`` on. On a processor this is several times cheaper than dense products; on
an accelerator the dense product wins, so ``rebuild`` and ``activations`` choose by device.
"""

import warnings
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional


@dataclass(frozen=True, eq=False)
class Code:
    """Activations as a ragged list; ``shape`` is ``[n, f]`` of the dense code."""

    values: Tensor
    features: Tensor
    starts: Tensor
    shape: tuple[int, int]

    @property
    def rows(self) -> Tensor:
        """The row of each activation ``[m]``."""
        ends = torch.cat([self.starts[1:], self.starts.new_tensor([len(self.features)])])
        return torch.repeat_interleave(
            torch.arange(self.shape[0], device=self.starts.device), ends - self.starts
        )

    def where(self, keep: Tensor) -> "Code":
        """The same places, with the values of those not in ``keep [m]`` set to 0."""
        return Code(self.values * keep, self.features, self.starts, self.shape)

    def dense(self) -> Tensor:
        """``[n, f]``."""
        empty = self.values.new_zeros(self.shape)
        return empty.index_put((self.rows, self.features), self.values)

    def weights(self, values: Tensor) -> Tensor:
        """``[f, n]``, sparse: ``values`` at the places of this code, transposed."""
        starts = torch.cat([self.starts, self.starts.new_tensor([len(self.features)])])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch calls its sparse layouts a beta each time
            matrix = torch.sparse_csr_tensor(
                starts, self.features, values, self.shape, check_invariants=False
            )
            return matrix.t().to_sparse_csr()


def code_of(pre: Tensor, which: Tensor) -> Code:
    """The code that holds ``pre [n, f]`` at the features ``which [n, k]``."""
    n, k = which.shape
    starts = torch.arange(0, n * k, k, device=which.device)
    return Code(pre.gather(1, which).flatten(), which.flatten(), starts, (n, pre.shape[1]))


class _Activations(torch.autograd.Function):
    """``values[m] = x[row] . W[feature] + b[feature]``, whose gradients touch these alone."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, W: Tensor, b: Tensor, code: Code) -> Tensor:
        ctx.save_for_backward(x, W)
        ctx.code = code
        return code.values.clone()

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        x, weights = ctx.saved_tensors
        code: Code = ctx.code
        of_x = functional.embedding_bag(
            code.features, weights, code.starts, mode="sum", per_sample_weights=gradient
        )
        of_b = gradient.new_zeros(weights.shape[0]).index_add_(0, code.features, gradient)
        return of_x, code.weights(gradient) @ x, of_b, None


class _Rebuild(torch.autograd.Function):
    """``x_hat[row] = sum of values W[feature]``."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, W: Tensor, code: Code) -> Tensor:
        ctx.save_for_backward(values, W)
        ctx.code = code
        return functional.embedding_bag(
            code.features, W, code.starts, mode="sum", per_sample_weights=values
        )

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, None]:
        values, weights = ctx.saved_tensors
        code: Code = ctx.code
        # Only the gathered places of [n, f] are needed, yet one dense product beats the gathering.
        of_values = (gradient @ weights.T)[code.rows, code.features]
        return of_values, code.weights(values) @ gradient, None


def activations(x: Tensor, W: Tensor, b: Tensor, code: Code) -> Code:
    """``code`` with values that gradients flow through, to ``x [n, d]``, ``W [f, d]``, ``b [f]``.

    ``code.values`` must be the pre-activations ``x W^T + b`` at the places of the code.
    """
    if x.is_cuda:
        values = (functional.linear(x, W, b))[code.rows, code.features]
    else:
        values = _Activations.apply(x, W, b, code)  # type: ignore[no-untyped-call]
    return Code(values, code.features, code.starts, code.shape)


def rebuild(code: Code, W: Tensor) -> Tensor:
    """``[n, d]`` from decoder rows ``W [f, d]``."""
    if code.values.is_cuda:
        return code.dense() @ W
    return _Rebuild.apply(code.values, W, code)  # type: ignore[no-any-return, no-untyped-call]
