"""Women doctors called nurse, mended at the class token of a middle block."""

import torch

from bench.emojiland_recipes import scenes
from bench.emojiland_recipes.fitting import Seen, broken, edits_of, fitted, lesson, seen
from bench.emojiland_recipes.learning import Added, Lesson
from bench.emojiland_recipes.seeing import Gate, detector
from bench.emojiland_recipes.workshop import Workshop
from demo.emojiland.manifest import Entry
from steerboard.spec.edits import SteerSet
from steerboard.spec.recipe import Recipe

BLOCK = 3
FIT, CHOOSE, OTHERS = 1400, 800, 300  # scenes
MISSED = 0.07  # of the failing doctors may the detector miss
RIDGE = 1e-3


def nurse(shop: Workshop) -> Recipe:
    """At the class token, where a doctor's cue is seen: the small vector that mends most."""
    fitting, choosing = drawn(FIT, scenes.FITTING), drawn(CHOOSE, scenes.CHOOSING)
    plain = [two for _, two in scenes.pairs("watermark", OTHERS, scenes.FITTING)]
    fit_on, found = group(shop, fitting)
    choose_on, other = group(shop, choosing)
    gate = cue_gate(shop, found, seen(shop, plain, BLOCK), fit_on.x[fit_on.fails])
    width = found.x.shape[-1]
    move = Added(gate, torch.full((1, width), 1e-3))
    fitted([move], (11.0, 9.0, 7.0), fit_on, choose_on, 8, 0.1)
    print("  broken", broken([move], other, choose_on))
    return shop.recipe(
        "doctor-not-nurse", SteerSet(edits=tuple(edits_of(shop, BLOCK, move))),
        {"group": "medical", "label": "doctor", "gender": "woman"},
        "At the class token, where a doctor's cue is seen: a small vector, fitted to mend, is"
        " added.",
        "a vector fitted by gradient, its size held; a linear detector of doctors",
        (scenes.chosen([*fitting, *choosing, *plain]),),
    )  # fmt: skip


def drawn(count: int, first: int) -> list[Entry]:
    """New medical scenes of the validation split."""
    return [scenes.medical("validation", first + i) for i in range(count)]


def group(shop: Workshop, people: list[Entry]) -> tuple[Lesson, Seen]:
    """Women doctors that are misread, with others that are not; and all of them."""
    found = seen(shop, people, BLOCK)
    kinds = [(e.scene.label, e.scene.gender) for e in people]
    women = torch.tensor([kind == ("doctor", "woman") for kind in kinds])
    return lesson(shop, BLOCK, found, women & ~found.right, len(people)), found


def cue_gate(shop: Workshop, people: Seen, plain: Seen, failing: torch.Tensor) -> Gate:
    """The class token, where a linear detector of doctors reads as on most failing ones."""
    doctor = people.truth == shop.head.names.index("doctor")
    others = torch.cat([people.x[~doctor][:, 0], plain.x[:, 0]])
    # Failing ones count twice: they are those on which the cue has to be seen.
    own = torch.cat([people.x[doctor][:, 0], failing[:, 0]])
    direction = detector(own, others, RIDGE)
    return Gate((0,), direction, float((failing[:, 0] @ direction).quantile(MISSED)), "token")
