"""An evidence run: a recipe over an image set, chosen on other pictures than these.

Three passes. All pictures under the recipe; then the failing ones and a sample of the right ones
under controls and weaker and stronger versions; then fewer still, re-encoded.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from steerboard.analysis.evidence.answers import (
    Answered,
    Readout,
    Task,
    ask,
    chunks,
    readout,
    texts,
)
from steerboard.analysis.evidence.assemble import Found, assemble
from steerboard.analysis.evidence.downstream import Ask, downstream
from steerboard.analysis.evidence.pictures import Picture, PictureSet, digest_of
from steerboard.analysis.evidence.probing import Probed, evenly, probe
from steerboard.analysis.evidence.rows import Lenses, Row, failing, right, rows_of
from steerboard.spec.capabilities import ModelInfo
from steerboard.spec.errors import InvalidRequest
from steerboard.spec.evidence import Evidence
from steerboard.spec.recipe import SHORT, Recipe
from steerboard.spec.runner import Runner

MOVES = 1024  # edits times pictures in one question
NUMBERS_KEPT = 20_000_000  # logits held for the detection of concepts

Progress = Callable[[str, int, int], None]


def silent(_what: str, _done: int, _total: int) -> None:
    """Say nothing."""


@dataclass(frozen=True)
class Options:
    """How much is looked at.

    Args:
        failing: Most failing pictures in the second pass.
        right: Most right pictures in the second pass.
        encoded: Most pictures of each kind in the third.
        vocabulary: Words of the wide read-out, put into the recipe's template; none: left out.
        decoders: Decoder rows ``[f, d]`` by dictionary, for the forecast; none: left out.
        chosen_too: Go on (marked) where pictures are among those that the recipe was chosen on.
        seed: Of controls and bootstrap.
    """

    failing: int = 400
    right: int = 300
    encoded: int = 48
    vocabulary: tuple[str, ...] = ()
    decoders: Mapping[str, npt.ArrayLike] = field(default_factory=dict)
    chosen_too: bool = False
    seed: int = 0


@dataclass
class Concepts:
    """Logits before and after ``[n, c]``, kept as long as they fit."""

    before: list[npt.NDArray[np.float32]] = field(default_factory=list)
    after: list[npt.NDArray[np.float32]] = field(default_factory=list)
    numbers: int = 0

    def add(self, head: Readout, answered: Answered) -> None:
        """Keep one chunk, or give all up."""
        self.numbers += 2 * len(answered.pictures) * len(head.names)
        if self.numbers > NUMBERS_KEPT:
            self.before, self.after = [], []
        elif answered.pictures:
            self.before.append(head.logits(answered.embeddings[:, 0]).astype(np.float32))
            self.after.append(head.logits(answered.embeddings[:, 1]).astype(np.float32))


def run_evidence(
    runner: Runner,
    recipe: Recipe,
    images: PictureSet,
    options: Options | None = None,
    progress: Progress = silent,
) -> tuple[Evidence, tuple[Row, ...]]:
    """The evidence, and one row a picture.

    Raises:
        InvalidRequest: Pictures that the recipe was chosen on, labels that it does not know, or a
            model other than the one it was made on.
        SteerboardError: The steer set does not fit the model, or the Runner is away.
    """
    options = options or Options()
    model = fitting_model(runner, recipe)
    chosen = check_split(recipe, images, options)
    lenses = lenses_of(runner, model, recipe, options)
    concepts = Concepts()
    rows, failed = first_pass(runner, model, recipe, images, lenses, concepts, progress)
    probed = second_pass(runner, model, recipe, images, lenses.classes, rows, options, progress)
    sample = third_sample(rows, images, options)
    steered = Ask(runner, model, recipe.classifier, recipe.steer)
    progress("features", 0, 1)
    moved, skipped = downstream(steered, sample, options.decoders) if sample else ((), [])
    progress("features", 1, 1)
    found = Found(rows, failed, chosen, probed, moved, skipped, concepts.before, concepts.after)
    words = len(options.vocabulary)
    names = lenses.classes.names
    return assemble(recipe, model, images, found, names, words, options.seed), rows


def fitting_model(runner: Runner, recipe: Recipe) -> ModelInfo:
    """The recipe's model at the recipe's weights and dictionaries."""
    model = runner.model(recipe.provenance.model)
    pins = [("model", model.id, model.fingerprint, recipe.provenance.model_fingerprint)]
    for pin in recipe.provenance.dictionaries:
        here = model.dictionary(pin.id)
        pins.append(("dictionary", pin.id, here.fingerprint if here else "none", pin.fingerprint))
    for kind, name, here_, wanted in pins:
        if here_ != wanted:
            raise InvalidRequest(
                f"recipe {recipe.title} was made with {kind} {name} at {wanted[:12]}, here is"
                f" {here_[:12]}: use that one, or make the recipe anew",
                field="recipe",
            )
    return model


def check_split(recipe: Recipe, images: PictureSet, options: Options) -> int:
    """How many pictures the recipe was chosen on; any are refused unless asked for."""
    chosen = recipe.chosen_pictures
    named = any(
        (part.image_set, part.split) == (images.name, images.split)
        for part in recipe.provenance.chosen_on
    )
    met = sum(digest_of(p)[:SHORT] in chosen for p in images) if chosen else 0
    if (met or named) and not options.chosen_too:
        raise InvalidRequest(
            f"recipe {recipe.title} was chosen on split {images.split or 'all'!r} of {images.name}"
            f" or on {met} of its pictures: report on another split, or ask for a run that is"
            " marked as its own choice",
            field="images",
        )
    return met or (len(images) if named else 0)


def lenses_of(runner: Runner, model: ModelInfo, recipe: Recipe, options: Options) -> Lenses:
    """The recipe's own decision and the wide one."""
    wide = None
    if options.vocabulary:
        template = getattr(recipe.classifier, "template", "{}")
        sentences = [template.replace("{}", word) for word in options.vocabulary]
        weight = model.logit_scale * texts(runner, model.id, sentences)
        wide = Readout(options.vocabulary, weight, np.zeros(len(weight)))
    return Lenses(readout(runner, model, recipe.classifier), wide, recipe.failures)


def first_pass(
    runner: Runner,
    model: ModelInfo,
    recipe: Recipe,
    images: PictureSet,
    lenses: Lenses,
    concepts: Concepts,
    progress: Progress,
) -> tuple[tuple[Row, ...], int]:
    """Every picture before and after, in the set's order; and how many could not be read."""
    rows: list[Row] = []
    failed, total = 0, len(images)
    size = max(1, min(32, MOVES // len(recipe.steer.edits)))
    tasks = (Task(part, (recipe.steer,)) for part in chunks(images, size))
    for answered in ask(runner, model, tasks):
        rows += rows_of(answered, lenses)
        concepts.add(lenses.classes, answered)
        failed += len(answered.failed)
        progress("pictures", len(rows) + failed, total)
    if not rows:
        raise InvalidRequest(f"no picture of {images.name} can be read", field="images")
    return tuple(rows), failed


def second_pass(
    runner: Runner,
    model: ModelInfo,
    recipe: Recipe,
    images: PictureSet,
    head: Readout,
    rows: Sequence[Row],
    options: Options,
    progress: Progress,
) -> Probed:
    """Controls and strengths over a sample, which is spread over the whole set."""
    local = evenly(failing(rows), options.failing)
    sample = {r.key: r for r in [*local, *evenly(right(rows), options.right)]}
    counted = count(images, sample, "controls", progress)
    keys = frozenset(r.key for r in local)
    return probe(runner, model, head, recipe.steer, sample, counted, keys, options.seed)


def count(
    images: Iterable[Picture], sample: Mapping[str, Row], what: str, progress: Progress
) -> Iterator[Picture]:
    """The pictures of the sample, telling how far it is."""
    done = 0
    for picture in images:
        if picture.key in sample:
            yield picture
            done += 1
            progress(what, done, len(sample))


def third_sample(rows: Sequence[Row], images: PictureSet, options: Options) -> list[Picture]:
    """Failing and right pictures, as many of each as asked for."""
    kinds = (failing(rows), right(rows))
    keys = {r.key for kind in kinds for r in evenly(kind, options.encoded)}
    return [p for p in images if p.key in keys]
