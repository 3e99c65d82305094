"""Activation times gradient (methods, section 3; arXiv 2604.11467).

    R_f = sum over t of a_tf dy/da_tf,    the model seeing x_hat + stop_gradient(x - x_hat)

and, exactly, ``sum_f R_f + R_bias + R_err = x . grad y`` over the tokens that count.
"""

import torch
from torch import Tensor

from steerboard.attribution.scene import Scene, Scores


def gradient(scene: Scene) -> Scores:
    """Scores, with the error term's and the bias's own."""
    x, units, code = scene.x, scene.units, scene.code()
    masked = scene.gradient * scene.mask
    bias = units.bias(x)
    return Scores(
        code * units.slopes(x, masked),
        code,
        error=_sum(masked * (x - units.built(code, x) - bias)),
        bias=_sum(masked * bias),
        total=_sum(masked * x),
    )


def _sum(values: Tensor) -> float:
    return float(values.sum(dtype=torch.float64))
