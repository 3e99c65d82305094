"""Do merged edits do together what they do alone? Measured on a probe set, over any Runner.

Per picture, the change of the clean margin (top class against runner-up) under each recipe alone,
under all together, and the difference between the latter and the sum of the former. Conditions,
LayerNorm and the blocks behind make edits interact even when their decoder rows are orthogonal.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from pydantic import Field

from steerboard.analysis.evidence.answers import Readout, Task, ask, chunks, readout
from steerboard.analysis.evidence.pictures import PictureSet
from steerboard.spec.base import Spec
from steerboard.spec.edits import SteerSet
from steerboard.spec.recipe import Recipe
from steerboard.spec.runner import Runner

Floats = npt.NDArray[np.float64]
CHUNK = 16
STRONG = 0.2
QUIET = 1e-4  # logits: what float32 does by itself


class Interaction(Spec):
    """``excess`` is the mean absolute gap between together and the sum, over the mean movement.

    ``other_class`` counts pictures whose answer together is neither the clean one nor that of any
    recipe alone.
    """

    pictures: int
    moved: float = Field(description="mean over pictures of the summed absolute single effects")
    gap: float = Field(description="mean absolute difference of together and sum, in logits")
    excess: float
    other_class: int
    strong: bool = Field(description="excess above 0.2: do not judge the recipes one by one")


def interaction(runner: Runner, recipes: Sequence[Recipe], images: PictureSet) -> Interaction:
    """Effect of all together against the sum of each, over ``images``."""
    model = runner.model(recipes[0].provenance.model)
    head = readout(runner, model, recipes[0].classifier)
    joined = SteerSet(edits=tuple(dict.fromkeys(e for r in recipes for e in r.steer.edits)))
    sets = (*(r.steer for r in recipes), joined)
    tasks = (Task(part, sets) for part in chunks(images, CHUNK))
    logits = [logits_of(head, a.embeddings) for a in ask(runner, model, tasks) if a.pictures]
    return compare(np.concatenate(logits))


def logits_of(head: Readout, embeddings: Floats) -> Floats:
    """``[n, 1 + k, c]``."""
    return head.logits(embeddings)


def compare(logits: Floats) -> Interaction:
    """From logits ``[n, 1 + recipes + 1, c]``: clean, each alone, all together."""
    top = np.argsort(-logits[:, 0], axis=-1)[:, :2]
    one, two = (np.take_along_axis(logits, top[:, None, i : i + 1], -1)[..., 0] for i in (0, 1))
    effects = (one - two)[:, 1:] - (one - two)[:, :1]
    alone, together = effects[:, :-1], effects[:, -1]
    gap, moved = np.abs(together - alone.sum(1)).mean(), np.abs(alone).sum(1).mean()
    said = logits.argmax(-1)
    known = (said[:, -1:] == said[:, :-1]).any(1)
    excess = float(gap / moved) if moved > QUIET else 0.0
    return Interaction(
        pictures=len(logits),
        moved=float(moved),
        gap=float(gap),
        excess=excess,
        other_class=int((~known).sum()),
        strong=excess > STRONG,
    )
