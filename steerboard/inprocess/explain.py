"""Attributions of a batch of images: gradients from the kernel, scores, the top units."""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from steerboard.attribution.gradient import Scores, score
from steerboard.inprocess.kernel import Kernel, Row
from steerboard.inprocess.readout import Readout
from steerboard.inprocess.served import ServedModel
from steerboard.model.check import dictionary_of
from steerboard.model.grid import cell_sums, patches_of
from steerboard.spec.answers import Attribution, Floats, Prediction, ResolvedTarget
from steerboard.spec.edits import SteerSet
from steerboard.spec.requests import Attribute, Logit, Target


def resolve(target: Target, clean: Prediction) -> ResolvedTarget:
    """Freeze what a target left open: the top class, and the strongest competitor."""
    index = clean.top if target.index is None else target.index
    if isinstance(target, Logit):
        return ResolvedTarget(index)
    if target.against is not None:
        # Only ``against`` was named: the strongest other class stands against it.
        others = clean.logits.copy()
        others[target.against] = -np.inf
        return ResolvedTarget(
            int(others.argmax()) if target.index is None else index, target.against
        )
    others = clean.logits.copy()
    others[index] = -np.inf
    return ResolvedTarget(index, int(others.argmax()))


def explain(
    served: ServedModel, kernel: Kernel, head: Readout, rows: Sequence[Row], request: Attribute
) -> list[tuple[Attribution, ...]]:
    """One attribution a target for each row, each under its own steer set."""
    site = dictionary_of(served.info, request.dictionary).site
    before = [head.prediction(e) for e in kernel.embed(served, rows)]
    targets = [tuple(resolve(t, p) for t in request.targets) for p in before]
    repeated = [row for row, own in zip(rows, targets, strict=True) for _ in own]
    directions = torch.cat([head.directions(own) for own in targets])
    sensed = kernel.sense(served, repeated, [site], directions)[site]
    sae = served.books[request.dictionary]
    alive = served.editor.layout.lives(sae.tokens, sensed.x.shape[1]).to(sensed.x.device)
    pairs = zip(sensed.x, sensed.gradient, strict=True)
    out = []
    for prediction, own in zip(before, targets, strict=True):
        found = []
        for target in own:
            x, gradient = next(pairs)
            scores = score(sae, x, gradient, alive, request.method)
            found.append(ranked(served, scores, target, head.value(prediction, target), request))
        out.append(tuple(found))
    return out


def predict_effects(
    served: ServedModel,
    kernel: Kernel,
    directions: Callable[[Sequence[ResolvedTarget]], Tensor],
    rows: Sequence[Row],
    targets: Sequence[Sequence[ResolvedTarget]],
    sets: Sequence[SteerSet],
) -> list[Floats]:
    """``sum over sites and tokens of dy/dx . change`` on the clean pass, ``[k, target]`` a row."""
    count = len(targets[0])
    out = [np.zeros((len(sets), count), np.float32) for _ in rows]
    sites = sorted({e.site for s in sets for e in s.edits})
    if not count or not sites:
        return out
    readouts = torch.cat([directions(own) for own in targets])
    sensed = kernel.sense(served, [row for row in rows for _ in range(count)], sites, readouts)
    for site in sites:
        for i, total in enumerate(out):
            own = slice(i * count, (i + 1) * count)
            x, gradient = sensed[site].x[own.start], sensed[site].gradient[own]
            change = served.editor.change(site, x.expand(len(sets), *x.shape), sets)
            if change is not None:
                total += np.einsum("ktd,ntd->kn", change.cpu().numpy(), gradient.cpu().numpy())
    return out


def ranked(
    served: ServedModel, scores: Scores, target: ResolvedTarget, value: float, request: Attribute
) -> Attribution:
    """The ``top_k`` active units by absolute score."""
    per_unit = scores.token_scores.sum(0, dtype=torch.float64)
    active = (scores.code != 0).any(0).nonzero()[:, 0]
    order = per_unit[active].abs().argsort(descending=True, stable=True)[: request.top_k]
    top = active[order]
    code, tokens = scores.code[:, top].cpu(), scores.token_scores[:, top].cpu()
    rest = float(per_unit.sum() - per_unit[top].sum())
    chosen, top = per_unit[top].float().cpu(), top.cpu()
    prefix, grid = served.info.prefix_tokens, served.info.grid
    strongest = (
        code.abs().argmax(0, keepdim=True) if len(top) else torch.zeros(1, 0, dtype=torch.long)
    )
    maps = np.zeros((0, *grid), np.float32)
    if request.maps:
        patches = patches_of(len(tokens), prefix)
        maps = cell_sums(tokens[len(tokens) - patches :].T.numpy(), grid)
    return Attribution(
        target=target,
        value=value,
        features=top.numpy(),
        scores=chosen.numpy(),
        activations=code.sum(0).numpy(),
        peaks=code.gather(0, strongest)[0].numpy(),
        prefix_scores=tokens[: len(tokens) - patches_of(len(tokens), prefix)].sum(0).numpy(),
        rest=rest,
        error=scores.error,
        bias=scores.bias,
        total=scores.total,
        maps=maps,
    )
