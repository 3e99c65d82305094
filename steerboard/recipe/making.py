"""A new recipe from a steer set, with everything that it will need elsewhere."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from steerboard.analysis.evidence.pictures import Picture, PictureSet, digest_of
from steerboard.spec.capabilities import ModelInfo
from steerboard.spec.edits import Feature, Part, SteerSet
from steerboard.spec.errors import InvalidRequest, NotFound
from steerboard.spec.recipe import (
    SHORT,
    ChosenOn,
    DictionaryPin,
    Recipe,
    RecipeProvenance,
    Witness,
)
from steerboard.spec.requests import Classifier, Embed, Pixels
from steerboard.spec.runner import Runner
from steerboard.spec.tensor import Tensor

SEED = 0


def make(
    runner: Runner,
    name: str,
    model: str,
    steer: SteerSet,
    classifier: Classifier,
    *,
    version: int = 1,
    summary: str = "",
    failures: Mapping[str, str] | None = None,
    chosen_on: Sequence[ChosenOn] = (),
    method: str = "",
    parents: Sequence[str] = (),
) -> Recipe:
    """A recipe for the model as the Runner has it now.

    Raises:
        InvalidRequest: No edit, or one that does not fit.
        NotFound: The Runner has no such model or dictionary.
    """
    if not steer.edits:
        raise InvalidRequest("a recipe needs at least one edit", field="steer")
    info = runner.model(model)
    provenance = RecipeProvenance(
        model=info.id,
        model_fingerprint=info.fingerprint,
        dictionaries=pins(info, steer),
        n_bar={s: n_bar(info, s) for s in sorted({e.site for e in steer.edits})},
        witness=witness(runner, info),
        chosen_on=tuple(chosen_on),
        method=method,
        parents=tuple(parents),
        version=info.server_version,
    )
    return Recipe(
        name=name,
        version=version,
        summary=summary,
        steer=steer,
        classifier=classifier,
        failures=dict(failures or {}),
        provenance=provenance,
    )


def pins(info: ModelInfo, steer: SteerSet) -> tuple[DictionaryPin, ...]:
    """The dictionaries that the edits and their conditions read."""
    units = [u for e in steer.edits for u in (e.unit, e.condition and e.condition.unit)]
    names = sorted({u.dictionary for u in units if isinstance(u, Feature | Part)} - {""})
    found = []
    for name in names:
        here = info.dictionary(name)
        if here is None:
            raise NotFound(f"model {info.id} has no dictionary {name!r}", field="steer")
        pin = DictionaryPin(
            id=name, fingerprint=here.fingerprint, site=here.site, tokens=here.tokens
        )
        found.append(pin)
    return tuple(found)


def n_bar(info: ModelInfo, site: str) -> float:
    """Median token norm of a site; raises NotFound."""
    found = info.site(site)
    if found is None:
        raise NotFound(f"model {info.id} has no site {site!r}", field="steer")
    return found.n_bar


def noise(seed: int, size: tuple[int, int]) -> Tensor:
    """The witness picture: preprocessed pixels ``[3, h, w]``, standard normal."""
    return Tensor.of(np.random.default_rng(seed).standard_normal((3, *size)))


def witness(runner: Runner, info: ModelInfo) -> Witness:
    """What the model answers to the noise of ``SEED``."""
    image = Pixels(tensor=noise(SEED, info.image_size))
    found = runner.embed(Embed(model=info.id, images=(image,))).one()
    return Witness(seed=SEED, size=info.image_size, embedding=Tensor.of(found.values))


@dataclass(frozen=True)
class Rest:
    """The pictures of a set that a recipe was not made on: those that may be its evidence."""

    whole: PictureSet
    recipe: Recipe

    @property
    def name(self) -> str:
        """Of the set."""
        return self.whole.name

    @property
    def split(self) -> str:
        """The split, empty for all."""
        return self.whole.split

    @cached_property
    def pictures(self) -> tuple[Picture, ...]:
        """In the set's order."""
        own = self.recipe.chosen_pictures
        return tuple(p for p in self.whole if not own or digest_of(p)[:SHORT] not in own)

    def __len__(self) -> int:
        return len(self.pictures)

    def __iter__(self) -> Iterator[Picture]:
        return iter(self.pictures)


def named(images: PictureSet, keys: Iterable[str]) -> list[Picture]:
    """The pictures of these names; raises NotFound, with the first that the set lacks."""
    held = {picture.key: picture for picture in images}
    wanted = list(dict.fromkeys(keys))
    lost = next((key for key in wanted if key not in held), None)
    if lost is not None:
        where = f"{images.name}, split {images.split or 'all'!r}"
        raise NotFound(f"{where}, has no picture {lost!r}: its first is {next(iter(held))!r}")
    return [held[key] for key in wanted]


def chosen(name: str, split: str, pictures: Sequence[Picture]) -> ChosenOn:
    """The record of the pictures that a recipe was made on."""
    digests = sorted({digest_of(p)[:SHORT] for p in pictures})
    return ChosenOn(image_set=name, split=split, pictures=tuple(digests))
