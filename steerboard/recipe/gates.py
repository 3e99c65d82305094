"""Neurons given to the conditions of a recipe before its weights are fitted.

A condition is a step, and what is linear in a block's neurons makes none. So the neurons of the
block's MLP that matter least are made into steps. With n the MLP's input ``[d]``, ``w . n + b``
what predicts how far the condition's reading lies beyond tau, and ``l(n)`` anything linear,

    act(k (w . n + b) - 1/2 + l(n)) - act(k (w . n + b) - 1/2)

is 0 where the condition fails and l where it holds, for any activation that grows from 0 like its
input (GELU, SiLU, ReLU). (w, b) is a ridge regression in which tokens near tau weigh most; those
outside the edit's mask count as far below, as little as keeps them out. The edits that have this
condition change a token by a mean and by what depends on the token, along few directions: the mean
is written by l = 1, and what is along a direction by the ridge regression of it. All share the
second neuron. The regression of ``bake`` says the rest, and what the neurons did before.
Conditions per image are left out: one token cannot know them.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from steerboard.analysis.evidence.answers import chunks
from steerboard.analysis.evidence.pictures import Picture
from steerboard.dictionary.native import DictionaryFile
from steerboard.model.edits import Editor
from steerboard.model.load import LoadedModel
from steerboard.model.tower import block_of
from steerboard.model.towers.mlp import SequencePass, TimmMlpPass
from steerboard.recipe.apply import editor
from steerboard.spec.base import Spec
from steerboard.spec.edits import Condition, Edit, Mask, SteerSet
from steerboard.spec.recipe import Recipe

NEAR = 0.45  # of the reading's spread about tau: where a token's side is in doubt
FAR_WEIGHT, RIDGE = 0.01, 1e-6
OTHERS = (0.0, 0.05, 0.5)  # weight of all tokens outside the mask beside those near tau: tried
STEEP = 3.0  # k, over the error of the prediction near tau
SLOPE = 2.0  # standard deviations of a change for l = 1
LEAST = 1e-3  # of the norm of all changes: directions along which less of it varies are left out
TOKENS = 12  # of a picture that are fitted on, at most, of each kind
AGREES, ASTRAY = 0.9, 0.01  # a gate is kept that is right so often, and elsewhere open so seldom


class Gate(Spec):
    """Neurons that say whether a condition holds: the first less the second is 1 there, else 0.

    Those behind them, less the second, are what the change depends on. ``agrees`` is the share of
    tokens under the mask, on pictures that the fit did not see, where they say what the condition
    says; ``astray`` the share of other tokens where they speak.
    """

    site: str
    neurons: tuple[int, ...]
    agrees: float
    astray: float


@dataclass(frozen=True, eq=False)
class Seen:
    """Tokens at one site: inputs of the MLP ``[n, d]`` and readings beyond tau ``[n]``.

    ``others`` are inputs outside the mask; ``weight [h]`` is what each neuron matters, and
    ``change [m, d]`` the edits' own at the tokens where the condition holds, in their order.
    """

    inputs: Tensor
    beyond: Tensor
    others: Tensor
    weight: Tensor
    change: Tensor


def conditions(recipe: Recipe) -> list[SteerSet]:
    """The edits of each condition on single tokens, with one site and mask."""
    found: dict[tuple[str, Condition, Mask], list[Edit]] = {}
    for edit in recipe.steer.edits:
        if edit.condition is not None and edit.condition.per == "token":
            found.setdefault((edit.site, edit.condition, edit.mask), []).append(edit)
    return [SteerSet(edits=tuple(edits)) for edits in found.values()]


def plain(mlp: Any) -> tuple[nn.Linear, nn.Linear] | None:
    """Both linear layers of an MLP that is nothing but these and a growing activation."""
    if isinstance(mlp, SequencePass) and len(mlp.inner) == 2:
        first, act = mlp.inner
    elif isinstance(mlp, TimmMlpPass) and isinstance(mlp.module.norm, nn.Identity):
        first, act = getattr(mlp.module, "fc1", None), mlp.module.act
    else:
        return None
    linear = isinstance(first, nn.Linear) and first.out_features == mlp.output.in_features
    if not linear or first.bias is None:
        return None
    grows = act(torch.tensor([-30.0, 30.0], device=first.weight.device))
    return (first, mlp.output) if grows.cpu().allclose(torch.tensor([0.0, 30.0])) else None


def gates(
    loaded: LoadedModel,
    recipe: Recipe,
    files: Mapping[str, DictionaryFile],
    pictures: Sequence[Picture],
    unseen: Sequence[bool],
) -> tuple[dict[str, Tensor], tuple[Gate, ...]]:
    """Weights of the image tower with gates in place of idle neurons, by name, and the gates.

    The model is not changed. ``unseen`` pictures only judge. A condition that cannot be read from
    its block's MLP input gets none.
    """
    weights: dict[str, Tensor] = {}
    found: list[Gate] = []
    names = {id(module): name for name, module in loaded.clip.visual.named_modules()}
    edit_all = editor(loaded.tower, recipe, files)
    for alike in conditions(recipe):
        edit, tower = alike.edits[0], loaded.tower
        own: Any = getattr(tower, "passes", tower.blocks)[block_of(edit.site, len(tower.blocks))]
        layers = plain(own.mlp)
        if layers is None:
            continue
        parts = [
            seen(loaded, recipe, edit_all, alike, layers, which)
            for apart in (False, True)
            if (which := [p for p, u in zip(pictures, unseen, strict=True) if u == apart])
        ]
        taken = {n for gate in found if gate.site == edit.site for n in gate.neurons}
        made = fitted(parts[0], parts[-1], edit.site, taken)
        if made is not None:
            gate, rows, columns = made
            found.append(gate)
            columns = columns / getattr(own.after_mlp, "gamma", torch.ones(()))
            rewire(weights, [names[id(layer)] for layer in layers], layers, gate, rows, columns)
    return weights, tuple(found)


def fitted(
    own: Seen, judge: Seen, site: str, taken: set[int]
) -> tuple[Gate, Tensor, Tensor] | None:
    """A gate, what its neurons read ``[n, d + 1]`` and what they write ``[n, d]``.

    None where its condition is not to be read, or not so many neurons are left.
    """
    if 0 in (len(own.change), len(judge.beyond)) or own.beyond.std() == 0:
        return None
    for share in OTHERS:
        line, error = line_of(own, share)
        if not len(own.others) or float(on(own.others, line).double().mean()) <= ASTRAY / 2:
            break
    slopes, pushes = slopes_of(own)
    idle = [n for n in own.weight.argsort().tolist() if n not in taken][: 1 + len(slopes)]
    agrees = ((on(judge.inputs, line)) == (judge.beyond > 0)).double().mean()
    astray = on(judge.others, line).double().mean() if len(judge.others) else torch.zeros(())
    gate = Gate(site=site, neurons=tuple(idle), agrees=float(agrees), astray=float(astray))
    if gate.agrees < AGREES or gate.astray > ASTRAY or len(idle) <= len(slopes):
        return None
    rows = STEEP / max(error, 1e-6) * line + torch.cat([slopes[:1], 0 * slopes[:1], slopes[1:]])
    rows[:, -1] -= 0.5
    return gate, rows, torch.cat([pushes[:1], -pushes.sum(0, keepdim=True), pushes[1:]])


def slopes_of(own: Seen) -> tuple[Tensor, Tensor]:
    """Lines ``l [k, d + 1]`` that say the edits' change, and what each writes ``[k, d]``.

    The first is constant; each of the others is along a direction in which the change varies.
    """
    mean = own.change.mean(0)
    _, spread, along = torch.linalg.svd(own.change - mean, full_matrices=False)
    along = along[spread > LEAST * own.change.norm()]
    inputs = own.inputs[own.beyond > 0].double()
    x = torch.cat([inputs, inputs.new_ones(len(inputs), 1)], dim=1)
    wanted = ((own.change - mean) @ along.T).double()
    size = (SLOPE * wanted.square().mean(0).sqrt()).clamp(min=1e-12)
    gram = x.T @ x
    lift = RIDGE * gram.diagonal().mean() * torch.eye(len(gram), dtype=gram.dtype)
    lines = torch.linalg.solve(gram + lift, x.T @ (wanted / size)).T
    constant = torch.zeros(1, x.shape[1], dtype=x.dtype)
    constant[0, -1] = 1
    return torch.cat([constant, lines]), torch.cat([mean[None].double(), size[:, None] * along])


def on(inputs: Tensor, line: Tensor) -> Tensor:
    """Which tokens ``[n, d]`` the line ``[d + 1]`` lets through, bool."""
    return inputs.double() @ line[:-1] + line[-1] > 0


def line_of(own: Seen, share: float) -> tuple[Tensor, float]:
    """``(w, b) [d + 1]`` of the regression, and its root mean squared error near tau.

    ``share`` is the weight of all other tokens beside those near tau.
    """
    spread = float(own.beyond.std())
    near = torch.exp(-((own.beyond / (NEAR * spread)) ** 2))
    others = own.others.new_full((len(own.others),), -2 * spread)
    wanted = torch.cat([own.beyond.clamp(-3 * spread, 3 * spread), others]).double()
    far = torch.full_like(others, share * float(near.sum()) / max(1, len(others)))
    weight = torch.cat([near + FAR_WEIGHT, far]).double()[:, None]
    x = torch.cat([own.inputs, own.others]).double()
    x = torch.cat([x, x.new_ones(len(x), 1)], dim=1)
    gram = x.T @ (weight * x)
    lift = RIDGE * gram.diagonal().mean() * torch.eye(len(gram), dtype=gram.dtype)
    line = torch.linalg.solve(gram + lift, x.T @ (weight[:, 0] * wanted))
    missed = (x[: len(near)] @ line - own.beyond.double()) ** 2
    return line, float(((near * missed).sum() / near.sum()).sqrt())


@torch.inference_mode()
def seen(
    loaded: LoadedModel,
    recipe: Recipe,
    edit_all: Editor,
    alike: SteerSet,
    layers: tuple[nn.Linear, nn.Linear],
    pictures: Sequence[Picture],
) -> Seen:
    """What the live pass gives the MLP at some tokens of each picture, and reads behind it."""
    tower, edit = loaded.tower, alike.edits[0]
    condition = edit.condition
    assert condition is not None
    sign = 1.0 if condition.when == "above" else -1.0
    under = edit_all.layout.mask(edit.mask, tower.tokens)
    if not tower.patches_read(edit.site):  # nothing behind reads them: whatever a gate says there
        under[tower.prefix :] = False
    inputs, beyond, others, squares, moved = [], [], [], [], []
    for part in chunks(pictures, 32):
        x = tower.start(torch.stack([loaded.pixels(p.data, p.key) for p in part]))
        met: dict[str, Tensor] = {}

        def live(name: str, x: Tensor, met: dict[str, Tensor] = met) -> Tensor:
            met[name] = x
            return edit_all.at(name, x, [recipe.steer] * len(x))

        with input_of(layers[0]) as entered:
            for index in range(block_of(edit.site, len(tower.blocks)) + 1):
                x = tower.block(x, index, live)
        change = edit_all.at(edit.site, met[edit.site], [alike] * len(x)) - met[edit.site]
        read = edit_all.read(met[edit.site], [condition.unit] * len(x))
        inside, outside = some(under), some(~under)
        inputs.append(entered[-1][:, inside].flatten(0, 1))
        beyond.append(sign * (read[:, inside] - condition.tau).flatten())
        moved.append(change[:, inside].flatten(0, 1)[beyond[-1] > 0])
        if tower.patches_read(edit.site):
            others.append(entered[-1][:, outside].flatten(0, 1))
        hidden = met[f"mlp_post{edit.site[len('resid_post') :]}"]
        kinds = [kind for kind in (hidden[:, : tower.prefix], hidden[:, tower.prefix :])]
        squares.append(sum(k.flatten(0, 1).var(0, correction=0) for k in kinds if k.shape[1]))
    size = layers[0].in_features
    matter = torch.stack([torch.as_tensor(s) for s in squares]).mean(0)
    return Seen(
        torch.cat(inputs), torch.cat(beyond), torch.cat([torch.zeros(0, size), *others]),
        matter * layers[1].weight.square().sum(0), torch.cat(moved),
    )  # fmt: skip


def some(which: Tensor) -> Tensor:
    """Numbers of at most ``TOKENS`` tokens of ``which [t]``, evenly spread."""
    found = which.nonzero().flatten()
    return found[:: max(1, -(-len(found) // TOKENS))]


@contextmanager
def input_of(layer: nn.Linear) -> Iterator[list[Tensor]]:
    """What a layer is given while inside."""
    entered: list[Tensor] = []
    handle = layer.register_forward_pre_hook(lambda _layer, given: entered.append(given[0]))
    try:
        yield entered
    finally:
        handle.remove()


def rewire(
    weights: dict[str, Tensor],
    names: Sequence[str],
    layers: tuple[nn.Linear, nn.Linear],
    gate: Gate,
    rows: Tensor,
    columns: Tensor,
) -> None:
    """Put a gate's neurons into the weights: what they read ``[n, d + 1]`` and write ``[n, d]``."""
    (first, output), which = layers, list(gate.neurons)
    held = {
        f"{names[0]}.weight": first.weight, f"{names[0]}.bias": first.bias,
        f"{names[1]}.weight": output.weight,
    }  # fmt: skip
    for name, tensor in held.items():
        if name not in weights:
            weights[name] = tensor.detach().clone()
    weights[f"{names[0]}.weight"][which] = rows[:, :-1].to(first.weight)
    weights[f"{names[0]}.bias"][which] = rows[:, -1].to(first.weight)
    weights[f"{names[1]}.weight"][:, which] = columns.T.to(output.weight)
