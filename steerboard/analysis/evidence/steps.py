"""The steps of an evidence run: three maps over pictures, and what they gave as one Evidence.

    look       every picture before and after
    challenge  the failing ones and a sample of the right ones under controls and other strengths
    reread     fewer still, re-encoded from the steered pass

Each asks a Runner about the pictures that it is given, and no others, so a set can be cut into
chunks of any size: in this process, or over a pool of workers that send ``Gathered`` to each other.
``look`` comes first; ``samples`` then says which pictures the other two want. ``evidence_of`` may
be asked at any time, and says what is known by then.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

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
from steerboard.analysis.evidence.downstream import Ask, downstream, readings
from steerboard.analysis.evidence.gathered import Gathered, joined
from steerboard.analysis.evidence.pictures import Picture, PictureSet
from steerboard.analysis.evidence.probing import Challenge, evenly, probed_of
from steerboard.analysis.evidence.rows import Lenses, Row, failing, right, rows_of
from steerboard.spec.capabilities import ModelInfo
from steerboard.spec.errors import InvalidRequest
from steerboard.spec.evidence import Evidence
from steerboard.spec.recipe import Recipe
from steerboard.spec.runner import Runner
from steerboard.spec.tensor import Tensor

MOVES = 1024  # edits times pictures in one question
NUMBERS_KEPT = 20_000_000  # logits held for the detection of concepts
TOGETHER = 32  # pictures in one question


@dataclass(frozen=True)
class Options:
    """How much is looked at.

    Args:
        failing: Most failing pictures under controls and other strengths.
        right: Most right pictures there.
        encoded: Most pictures of each kind that are read again.
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


@dataclass(frozen=True, eq=False)
class Ground:
    """What every step stands on; equal wherever it is laid for the same recipe and options."""

    runner: Runner
    model: ModelInfo
    recipe: Recipe
    lenses: Lenses
    options: Options

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the recipe's classes, in the order of their indices."""
        return self.lenses.classes.names


@dataclass(frozen=True)
class Samples:
    """Keys of the pictures that ``challenge`` and ``reread`` want, in the set's order."""

    challenged: tuple[str, ...]
    reread: tuple[str, ...]


@dataclass(frozen=True)
class Piece:
    """A part of the second half of a run, which stands alone: whoever is free may ask it."""

    stage: Literal["challenged", "reread"]
    keys: tuple[str, ...]


def pieces(sample: Samples, size: int = TOGETHER) -> tuple[Piece, ...]:
    """The whole second half in pieces of at most ``size`` pictures, in any order."""
    stages: tuple[Literal["challenged", "reread"], ...] = ("challenged", "reread")
    return tuple(
        Piece(stage, keys[start : start + size])
        for stage in stages
        for keys in [getattr(sample, stage)]
        for start in range(0, len(keys), size)
    )


def asked(ground: Ground, piece: Piece, pictures: Sequence[Picture]) -> Gathered:
    """What a piece gives on its pictures; raises as ``look``."""
    if piece.stage == "reread":
        return reread(ground, pictures)
    return joined(challenge(ground, pictures))


def lay(runner: Runner, recipe: Recipe, options: Options | None = None) -> Ground:
    """What the steps stand on.

    Raises:
        InvalidRequest: A model or dictionary other than the one that the recipe was made on.
        SteerboardError: The Runner is away.
    """
    options = options or Options()
    model = fitting_model(runner, recipe)
    return Ground(runner, model, recipe, lenses_of(runner, model, recipe, options), options)


def look(ground: Ground, pictures: Iterable[Picture], total: int = 0) -> Iterator[Gathered]:
    """Every picture before and after, in parts as they are answered.

    Args:
        ground: See ``lay``.
        pictures: Some of the set.
        total: Pictures of the whole set: where their logits are too many none are kept.

    Raises:
        InvalidRequest: A label that the recipe does not know.
        SteerboardError: The steer set does not fit the model, or the Runner is away.
    """
    size = max(1, min(TOGETHER, MOVES // len(ground.recipe.steer.edits)))
    keep = 2 * total * len(ground.classes) <= NUMBERS_KEPT
    tasks = (Task(part, (ground.recipe.steer,)) for part in chunks(pictures, size))
    for answered in ask(ground.runner, ground.model, tasks):
        yield Gathered(
            rows={row.key: row for row in rows_of(answered, ground.lenses)},
            logits=logits_of(answered, ground.lenses.classes) if keep else {},
            failed={key: error.message for key, error in answered.failed},
        )


def logits_of(answered: Answered, head: Readout) -> dict[str, Tensor]:
    """Logits before and after ``[2, c]`` of each picture."""
    if not answered.pictures:
        return {}
    both = head.logits(answered.embeddings[:, :2])
    return {p.key: Tensor.of(x) for p, x in zip(answered.pictures, both, strict=True)}


def samples(found: Gathered, images: PictureSet, options: Options) -> Samples:
    """The pictures of the later steps, spread over the whole set; wants all of its rows."""
    rows = rows_in_order(found, images)
    kinds = failing(rows), right(rows)
    challenged = (evenly(kinds[0], options.failing), evenly(kinds[1], options.right))
    reread_ = (evenly(kind, options.encoded) for kind in kinds)
    wanted = [{r.key for part in kind for r in part} for kind in (challenged, reread_)]
    return Samples(*(tuple(r.key for r in rows if r.key in keys) for keys in wanted))


def challenge(ground: Ground, pictures: Iterable[Picture]) -> Iterator[Gathered]:
    """Controls and other strengths, a part a picture; raises as ``look``."""
    g = ground
    asked = Challenge(
        g.runner, g.model, g.lenses.classes, g.recipe.steer, g.recipe.failures, g.options.seed
    )
    for key, probe in asked.answers(pictures):
        yield Gathered(probes={key: probe})


def reread(ground: Ground, pictures: Sequence[Picture]) -> Gathered:
    """What the dictionaries read before and after; raises as ``look``."""
    g = ground
    found, skipped = readings(Ask(g.runner, g.model, g.recipe.classifier, g.recipe.steer), pictures)
    return Gathered(readings=found, skipped=skipped)


def evidence_of(
    ground: Ground, images: PictureSet, found: Gathered, chosen: int = 0
) -> tuple[Evidence, tuple[Row, ...]]:
    """All that is known, and one row a picture in the set's order.

    Args:
        ground: See ``lay``.
        images: The whole set, for its name and its order.
        found: The parts so far.
        chosen: Pictures that the recipe was chosen on, as ``check_split`` counts them.

    Raises:
        InvalidRequest: No picture could be read.
    """
    rows = rows_in_order(found, images)
    if not rows:
        raise InvalidRequest(f"no picture of {images.name} can be read", field="images")
    kept = [found.logits[r.key].numpy() for r in rows if r.key in found.logits]
    whole = len(kept) == len(rows)
    steer, decoders = ground.recipe.steer, ground.options.decoders
    seen = Found(
        rows,
        len(found.failed),
        chosen,
        probed_of(rows, found.probes) if found.probes else None,
        downstream(ground.model, steer, found.readings, [r.key for r in rows], decoders),
        [f"features of {name}: {why}" for name, why in sorted(found.skipped.items())],
        [np.stack([k[0] for k in kept])] if whole else [],
        [np.stack([k[1] for k in kept])] if whole else [],
    )
    words = len(ground.options.vocabulary)
    evidence = assemble(
        ground.recipe, ground.model, images, seen, ground.classes, words, ground.options.seed
    )
    return evidence, rows


def rows_in_order(found: Gathered, images: PictureSet) -> tuple[Row, ...]:
    """The rows there are, in the order of the set."""
    return tuple(found.rows[p.key] for p in images if p.key in found.rows)


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


def lenses_of(runner: Runner, model: ModelInfo, recipe: Recipe, options: Options) -> Lenses:
    """The recipe's own decision and the wide one."""
    wide = None
    if options.vocabulary:
        template = getattr(recipe.classifier, "template", "{}")
        sentences = [template.replace("{}", word) for word in options.vocabulary]
        weight = model.logit_scale * texts(runner, model.id, sentences)
        wide = Readout(options.vocabulary, weight, np.zeros(len(weight)))
    return Lenses(readout(runner, model, recipe.classifier), wide, recipe.failures)
