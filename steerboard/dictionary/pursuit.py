"""Matching pursuit: features are taken one by one, each the nearest to what is left of a token.

    r = c;  repeat:  f = argmax r . v_f,  a = relu(r . v_f),  z_f += a,  r -= a v_f

Source: SAELens, ``matching_pursuit_sae.py``.
"""

import torch
from torch import Tensor


def pursue(
    c: Tensor, rows: Tensor, steps: int, least: float, stop_at_repeat: bool
) -> tuple[Tensor, Tensor]:
    """What is taken of each token.

    Args:
        c: Tokens ``[.., d]``, the bias already off.
        rows: Decoder rows ``[f, d]``.
        steps: At most so many features are taken, one perhaps several times.
        least: A token is done when what is left of it is shorter; 0 never is.
        stop_at_repeat: Whether it is done, too, when a step added no new feature.

    Returns:
        Values and features ``[.., steps]``; a feature's activation is the sum of its values.
    """
    left, values, taken = c, [], []
    going = torch.ones_like(c[..., :1], dtype=torch.bool)
    held = c.new_zeros(*c.shape[:-1], len(rows), dtype=torch.bool)
    for _ in range(steps):
        f = (left @ rows.T).argmax(-1, keepdim=True)
        row = rows[f[..., 0]]
        a = (left * row).sum(-1, keepdim=True).relu() * going
        values.append(a)
        taken.append(f)
        left = left - a * row
        if stop_at_repeat:
            going = going & (a > 0) & ~held.gather(-1, f)
            held = held.scatter(-1, f, True)
        if least > 0:
            going = going & (left.norm(dim=-1, keepdim=True) >= least)
        if not going.any():
            break
    return torch.cat(values, -1), torch.cat(taken, -1)
