"""An evidence run: a recipe over an image set, chosen on other pictures than these.

The steps of ``steps.py`` over the whole set, one after the other, by one caller. The same steps in
chunks give the same Evidence.
"""

from collections.abc import Callable, Iterable, Iterator

from steerboard.analysis.evidence.answers import chunks
from steerboard.analysis.evidence.gathered import Gathered, joined
from steerboard.analysis.evidence.pictures import Picture, PictureSet, digest_of
from steerboard.analysis.evidence.rows import Row
from steerboard.analysis.evidence.steps import (
    Ground,
    Options,
    challenge,
    evidence_of,
    lay,
    look,
    reread,
    samples,
)
from steerboard.spec.errors import InvalidRequest
from steerboard.spec.evidence import Evidence
from steerboard.spec.evidence_job import chosen_split
from steerboard.spec.recipe import SHORT, Recipe
from steerboard.spec.runner import Runner

__all__ = ["Options", "Progress", "check_split", "run_evidence", "silent"]
READ = 16  # pictures that are read again at once
Progress = Callable[[str, int, int], None]


def silent(_what: str, _done: int, _total: int) -> None:
    """Say nothing."""


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
    ground = lay(runner, recipe, options)
    chosen = check_split(recipe, images, options)
    total = len(images)
    seen = joined(told(look(ground, images, total), "pictures", total, progress))
    sample = samples(seen, images, options)
    asked = challenge(ground, kept(images, sample.challenged))
    tried = joined(told(asked, "controls", len(sample.challenged), progress))
    read = joined(again(ground, images, sample.reread, progress))
    return evidence_of(ground, images, joined([seen, tried, read]), chosen)


def again(
    ground: Ground, images: Iterable[Picture], keys: tuple[str, ...], progress: Progress
) -> Iterator[Gathered]:
    """The last step over its sample, telling how far it is."""
    done = 0
    for part in chunks(kept(images, keys), READ):
        yield reread(ground, part)
        done += len(part)
        progress("features", done, len(keys))


def kept(images: Iterable[Picture], keys: tuple[str, ...]) -> Iterator[Picture]:
    """The pictures of these keys, in the set's order."""
    wanted = frozenset(keys)
    return (picture for picture in images if picture.key in wanted)


def told(
    parts: Iterable[Gathered], what: str, total: int, progress: Progress
) -> Iterator[Gathered]:
    """The parts, telling how far it is."""
    done = 0
    for part in parts:
        done += part.pictures + len(part.probes)
        progress(what, done, total)
        yield part


def check_split(recipe: Recipe, images: PictureSet, options: Options) -> int:
    """How many pictures the recipe was chosen on; any are refused unless asked for."""
    chosen = recipe.chosen_pictures
    named = chosen_split(recipe, images.name, images.split)
    met = sum(digest_of(p)[:SHORT] in chosen for p in images) if chosen else 0
    if (met or named) and not options.chosen_too:
        raise InvalidRequest(
            f"recipe {recipe.title} was chosen on split {images.split or 'all'!r} of {images.name}"
            f" or on {met} of its pictures: report on another split, or ask for a run that is"
            " marked as its own choice",
            field="images",
        )
    return met or (len(images) if named else 0)
