"""The top units of an attribution, in numpy."""

import numpy as np
from torch import Tensor

from steerboard.attribution.scene import Scores
from steerboard.attribution.units import Units
from steerboard.inprocess.served import ServedModel
from steerboard.model.grid import cell_sums, patches_of
from steerboard.spec.answers import Attribution, Floats, ResolvedTarget
from steerboard.spec.methods import METHODS, has_parts
from steerboard.spec.requests import Attribute


def ranked(
    served: ServedModel,
    units: Units,
    scores: Scores,
    target: ResolvedTarget,
    value: float,
    request: Attribute,
    names: Tensor | None = None,
) -> Attribution:
    """The ``top_k`` active units by absolute score; ``names [f]`` are theirs, or their places."""
    per_unit = units.totals(scores.token_scores)
    active = units.totals(scores.code != 0).nonzero()[:, 0]
    order = per_unit[active].abs().argsort(descending=True, stable=True)[: request.top_k]
    top = active[order]
    code, tokens = (units.columns(v, top).cpu() for v in (scores.code, scores.token_scores))
    prefix = len(tokens) - patches_of(len(tokens), served.info.prefix_tokens)
    return Attribution(
        target=target,
        value=value,
        features=(top if names is None else names[top]).cpu().numpy(),
        scores=per_unit[top].float().cpu().numpy(),
        activations=code.sum(0).numpy(),
        peaks=peaks(code).numpy(),
        prefix_scores=tokens[:prefix].sum(0).numpy(),
        rest=rest(per_unit, top, request.method),
        error=scores.error,
        bias=scores.bias,
        total=scores.total,
        maps=maps(tokens[prefix:], served.info.grid, request.maps),
        baseline=scores.baseline,
    )


def rest(per_unit: Tensor, top: Tensor, method: str) -> float:
    """Sum of the scores ``[f]`` not listed; 0 of a method whose scores are no parts of a whole.

    By ``peak``, which no person asks by, it says whether any unit that answers is not listed.
    """
    if method in METHODS and not has_parts(method):
        return 0.0
    return float(per_unit.sum() - per_unit[top].sum())


def peaks(code: Tensor) -> Tensor:
    """The activation ``[n]`` of largest size over the tokens of ``code [t, n]``."""
    if not code.shape[1]:
        return code.new_zeros(0)
    return code.gather(0, code.abs().argmax(0, keepdim=True))[0]


def maps(patches: Tensor, grid: tuple[int, int], wanted: bool) -> Floats:
    """Scores ``[t, n]`` of patches on the grid ``[n, rows, columns]``; none unless wanted."""
    if not wanted:
        return np.zeros((0, *grid), np.float32)
    return cell_sums(patches.T.numpy(), grid)
