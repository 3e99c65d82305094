"""A Runner over one stage, in the stage's own precision: for what is composed over a Runner."""

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch

from steerboard.attribution.gradient import gradient
from steerboard.model.edits import Editor, Layout
from steerboard.spec.answers import Answer, Attribution, Prediction, ResolvedTarget, Steered
from steerboard.spec.edits import Feature, Mask, SteerSet
from steerboard.spec.requests import Attribute, Encoded, Margin, Prompts, Steer

BOOK, SITE = "book", "resid_post.0"
EMPTY = np.zeros((0, 1))


class Staged:
    """Answers about the stage's one picture and target: gradient, and steered by the engine."""

    def __init__(self, stage: Any) -> None:
        self.stage = stage
        module, tower = stage.module, stage.module.loaded.tower
        layout = Layout(tower.prefix, tower.grid)
        self.editor = Editor(layout, {BOOK: module.sae}, {SITE: 1.0}, tower.heads)
        self.whole = module.sae.encode(module.x)

    def model(self, _name: str) -> Any:
        """Where the dictionary stands is all that is asked of it."""
        return SimpleNamespace(dictionary=lambda _name: SimpleNamespace(site=SITE))

    def attribute(self, request: Attribute) -> Answer[tuple[Attribution, ...]]:
        """By gradient."""
        assert request.method == "gradient"
        scene = self.stage.scene()
        found = gradient(scene)
        scores = found.token_scores.sum(0)
        order = scores.abs().argsort(descending=True, stable=True)[: request.top_k]
        order = order[found.code.any(0)[order]]
        none = np.zeros(len(order))
        one = Attribution(
            target=ResolvedTarget(0, 1),
            value=scene.value,
            features=order.numpy(),
            scores=scores[order].numpy(),
            activations=none,
            peaks=none,
            prefix_scores=none,
            rest=0.0,
            error=found.error,
            bias=found.bias,
            total=found.total,
            maps=np.zeros((0, 1, 1)),
        )
        return Answer(((one,),))

    def steer(self, request: Steer) -> Answer[Steered]:
        """Measured changes ``[k, 1]`` in the stage's precision."""
        module = self.stage.module
        with torch.no_grad():
            moved = module.behind(module.x + self.changes(request.steer_sets))
            clean = module.behind(module.x[None])
        nothing = Prediction(np.zeros(2), np.zeros(2))
        measured = (moved - clean).numpy()[:, None]
        return Answer((Steered(nothing, (), (ResolvedTarget(0, 1),), EMPTY, measured),))

    def changes(self, sets: Sequence[SteerSet]) -> torch.Tensor:
        """What each set does to the activations ``[k, t, d]``."""

        def known(_row: int, feature: Feature) -> torch.Tensor:
            return self.whole[:, feature.index]

        x = self.stage.module.x
        found = self.editor.change(SITE, x.expand(len(sets), *x.shape), sets, known)
        return torch.zeros(len(sets), *x.shape, dtype=x.dtype) if found is None else found


def question(stage: Any, top_k: int) -> Attribute:
    """The stage's picture, target and dictionary, with the tokens that count there."""
    every = bool(stage.module.mask.all())
    return Attribute(
        model="stage",
        images=(Encoded(data=b"the stage's own"),),
        classifier=Prompts(prompts=("cat", "dog")),
        dictionary=BOOK,
        targets=(Margin(index=0, against=1),),
        tokens=Mask() if every else Mask(kind="prefix"),
        top_k=top_k,
    )
