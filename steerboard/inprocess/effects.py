"""The change of targets under steer sets: expected from the clean gradient, and measured."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from steerboard.inprocess.kernel import Kernel, Row
from steerboard.inprocess.served import ServedModel
from steerboard.inprocess.targets import Aim
from steerboard.model.edits import TOGETHER, Known
from steerboard.model.placement import full
from steerboard.spec.answers import Floats
from steerboard.spec.edits import Feature, SteerSet


def predict_effects(
    served: ServedModel,
    kernel: Kernel,
    rows: Sequence[Row],
    aims: Sequence[Sequence[Aim]],
    clean: Tensor,
    sets: Sequence[SteerSet],
) -> list[Floats]:
    """``sum over sites and tokens of dy/dx . change`` on the clean pass, ``[k, target]`` a row.

    Args:
        served: The model.
        kernel: Who computes.
        rows: One a picture.
        aims: The targets of each.
        clean: Clean embeddings ``[rows, e]``.
        sets: The steer sets.
    """
    count = len(aims[0])
    out = [np.zeros((len(sets), count), np.float32) for _ in rows]
    sites = sorted({e.site for s in sets for e in s.edits})
    if not count or not sites:
        return out
    pairs = zip(aims, clean, strict=True)
    readouts = torch.stack([aim.direction(e) for own, e in pairs for aim in own])
    sensed = kernel.sense(served, [row for row in rows for _ in range(count)], sites, readouts)
    for site in sites:
        for i, total in enumerate(out):
            own = slice(i * count, (i + 1) * count)
            x, gradient = sensed[site].x[own.start], sensed[site].gradient[own]
            known = read_once(served, site, x, sets)
            change = served.editor.change(site, x.expand(len(sets), *x.shape), sets, known)
            if change is not None:
                total += np.einsum("ktd,ntd->kn", change.cpu().numpy(), gradient.cpu().numpy())
    return out


def read_once(served: ServedModel, site: str, x: Tensor, sets: Sequence[SteerSet]) -> Known:
    """The activations ``[t]`` in ``x [t, d]`` of all features that some sets name at a site.

    Each is read once, however many sets name it: to read one may be to encode the picture.
    """
    edits = [e for s in sets for e in s.edits if e.site == site]
    units = [u for e in edits for u in (e.unit, e.condition and e.condition.unit)]
    features = list(dict.fromkeys(u for u in units if isinstance(u, Feature)))
    x, found = full(x), dict[Feature, Tensor]()
    size = max(1, TOGETHER // x.numel())
    for some in (features[i : i + size] for i in range(0, len(features), size)):
        read = served.editor.read(x.expand(len(some), *x.shape), some)
        found |= zip(some, read, strict=True)
    return lambda _, feature: found.get(feature)


def measured_effects(aims: Sequence[Aim], embeddings: Tensor) -> Floats:
    """``[k, target]`` from the embeddings ``[1 + k, e]`` of one picture, the clean one first."""
    values = np.array([[aim.value(e) for aim in aims] for e in embeddings])
    values = values.reshape(len(embeddings), len(aims))
    found: Floats = (values[1:] - values[:1]).astype(np.float32)
    return found
