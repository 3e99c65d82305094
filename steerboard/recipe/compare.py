"""A recipe's live edit beside the weights that it was baked into, on the same pictures."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from pydantic import Field

from steerboard.analysis.evidence.answers import Answered, Task, ask, chunks, readout
from steerboard.analysis.evidence.assemble import Found, assemble
from steerboard.analysis.evidence.effects import share
from steerboard.analysis.evidence.pictures import PictureSet
from steerboard.analysis.evidence.rows import Lenses, Row, rows_of
from steerboard.spec.base import Spec
from steerboard.spec.edits import SteerSet
from steerboard.spec.evidence import Evidence, Share
from steerboard.spec.recipe import Recipe
from steerboard.spec.runner import Runner

CHUNK = 32


class Agreement(Spec):
    """Pictures on which live edit and baked weights give the same class."""

    changed: Share = Field(description="of those whose answer the live edit changes")
    rest: Share = Field(description="of the others")
    live: Evidence
    baked: Evidence


def compare(live: Runner, baked: Runner, recipe: Recipe, images: PictureSet) -> Agreement:
    """Both evidences, without controls, and how far they agree; ``baked`` serves the new weights.

    Raises:
        SteerboardError: Either Runner cannot answer.
    """
    old, new = live.model(recipe.provenance.model), baked.model(recipe.provenance.model)
    lenses = Lenses(readout(live, old, recipe.classifier), None, recipe.failures)
    # The new answers: one embedding a picture, the smallest thing that every read-out needs.
    plain = {
        p.key: found[0].astype(np.float32)
        for a in ask(baked, new, (Task(part, (SteerSet(),)) for part in chunks(images, CHUNK)))
        for p, found in zip(a.pictures, a.embeddings, strict=True)
    }
    steered: list[Row] = []
    cooked: list[Row] = []
    for answered in ask(live, old, (Task(p, (recipe.steer,)) for p in chunks(images, CHUNK))):
        steered += rows_of(answered, lenses)
        cooked += rows_of(beside(answered, plain), lenses)
    parts = [
        evidence_of(recipe, live, images, steered, lenses, ""),
        evidence_of(recipe, live, images, cooked, lenses, new.fingerprint),
    ]
    return agreement(steered, cooked, parts[0], parts[1])


def beside(answered: Answered, plain: dict[str, npt.NDArray[np.float32]]) -> Answered:
    """The clean embeddings of the old weights, and those of the new ones in the steered place."""
    pictures = tuple(p for p in answered.pictures if p.key in plain)
    kept = [i for i, p in enumerate(answered.pictures) if p.key in plain]
    both = [(answered.embeddings[i, 0], plain[answered.pictures[i].key]) for i in kept]
    return Answered(pictures, np.asarray(both, np.float64))


def evidence_of(
    recipe: Recipe,
    runner: Runner,
    images: PictureSet,
    rows: Sequence[Row],
    lenses: Lenses,
    baked: str,
) -> Evidence:
    """The evidence of one way, of the first pass alone."""
    model = runner.model(recipe.provenance.model)
    chosen = sum(r.digest[:16] in recipe.chosen_pictures for r in rows)
    found = Found(tuple(rows), 0, chosen, None, (), (), (), (), baked)
    return assemble(recipe, model, images, found, lenses.classes.names, 0, 0)


def agreement(
    steered: Sequence[Row], cooked: Sequence[Row], live: Evidence, baked: Evidence
) -> Agreement:
    """Counts of equal answers, apart for pictures that the live edit changes and the rest."""
    said = {r.key: r.after for r in cooked}
    pairs = [(r.before != r.after, said[r.key] == r.after) for r in steered if r.key in said]
    moved = [same for changed, same in pairs if changed]
    rest = [same for changed, same in pairs if not changed]
    return Agreement(
        changed=share(sum(moved), len(moved)),
        rest=share(sum(rest), len(rest)),
        live=live,
        baked=baked,
    )
