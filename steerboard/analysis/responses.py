"""How strongly each unit answers to each picture: sparse, asked for in chunks.

r_nf = max over the tokens that count of a_tf    (0 where a feature is silent)

Units are the features of a dictionary, or the neurons, the heads or directions of a site. What a
neuron or a direction answers has a sign; a head's answer is the norm of its output.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice

import numpy as np
import numpy.typing as npt
from pydantic import ValidationError
from scipy import sparse

from steerboard.spec.answers import Attribution, Code
from steerboard.spec.capabilities import ModelInfo
from steerboard.spec.edits import Mask
from steerboard.spec.errors import InvalidRequest, NotFound
from steerboard.spec.requests import (
    MAX_TOP_K,
    Attribute,
    Classifier,
    Encode,
    ImageRef,
    Prompts,
    UnitKind,
)
from steerboard.spec.runner import Runner
from steerboard.spec.tensor import Tensor

CHUNK, WIDE_CHUNK = 64, 16  # pictures of a question: about features that fire, about all units
ANY = Prompts(prompts=("one", "other"))  # responses do not depend on what the model says
EVERY = Mask()
Row = tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]


@dataclass(frozen=True)
class Place:
    """Whose responses: features of ``dictionary``, or other ``units`` of ``site``.

    Only ``tokens`` count: CLS, patches, a region, or all. ``directions [f, d]`` are given where
    units are directions.
    """

    dictionary: str = ""
    units: UnitKind = "feature"
    site: str | None = None
    directions: Tensor | None = None
    tokens: Mask = EVERY

    @property
    def coded(self) -> bool:
        """Whether the sparse code tells it all, in one pass to the site."""
        return self.units == "feature" and self.tokens.kind == "all"


def codes(
    runner: Runner, model: str, dictionary: str, images: Iterable[ImageRef]
) -> Iterator[Code]:
    """The code of each picture, asked for in chunks; raises the first picture's error."""
    waiting = iter(images)
    while chunk := tuple(islice(waiting, CHUNK)):
        yield from runner.encode(Encode(model=model, images=chunk, dictionary=dictionary)).results()


def responses(
    runner: Runner, model: str, where: str | Place, images: Iterable[ImageRef]
) -> sparse.csc_array:
    """``r [n, f]``: memory grows with what answers, not with the width of a dictionary.

    Args:
        runner: Who is asked.
        model: Of the runner's.
        where: The units; a word is a dictionary, whose features are meant.
        images: Of any number.

    Raises:
        InvalidRequest: The model has no such units, or more than can be asked about.
        NotFound: No such model, dictionary or site.
    """
    if isinstance(where, str):
        where = Place(dictionary=where)
    rows, width = list[Row](), 0
    if where.coded:
        for code in codes(runner, model, where.dictionary, images):
            rows.append(strongest(code))
            width = code.shape[1]
        return stacked(rows, width)
    info, waiting = runner.model(model), iter(images)
    width = count(info, where)
    while chunk := tuple(islice(waiting, WIDE_CHUNK)):
        asked = question(model, where, chunk, info.classifier or ANY)
        rows += [answers(where, one) for (one,) in runner.attribute(asked).results()]
    return stacked(rows, width)


def stacked(rows: Sequence[Row], width: int) -> sparse.csc_array:
    """Rows of units and values as one matrix ``[n, width]``."""
    starts = np.cumsum([0, *(len(units) for units, _ in rows)])
    columns = np.concatenate([np.zeros(0, np.int64), *(units for units, _ in rows)])
    values = np.concatenate([np.zeros(0, np.float32), *(values for _, values in rows)])
    return sparse.csr_array((values, columns, starts), shape=(len(rows), width)).tocsc()


def question(
    model: str, where: Place, images: tuple[ImageRef, ...], classifier: Classifier
) -> Attribute:
    """What a Runner is asked for all responses of some pictures; raises InvalidRequest."""
    try:
        return Attribute(
            model=model,
            images=images,
            classifier=classifier,
            dictionary=where.dictionary,
            method="peak",
            top_k=MAX_TOP_K,
            units=where.units,
            site=where.site,
            directions=where.directions,
            tokens=where.tokens,
        )
    except ValidationError as error:
        words = str(error.errors()[0]["msg"]).removeprefix("Value error, ")
        raise InvalidRequest(words) from None


def count(info: ModelInfo, where: Place) -> int:
    """How many units there are, f.

    Raises:
        NotFound: No such dictionary or site.
        InvalidRequest: No site is named, or it has more neurons than one question can tell of.
    """
    if where.units == "feature":
        book = info.dictionary(where.dictionary)
        if book is None:
            raise NotFound(f"model {info.id} has no dictionary {where.dictionary!r}")
        return book.size
    if where.site is None:
        raise InvalidRequest(f"name the site whose {where.units}s are meant", field="site")
    site = info.site(where.site)
    if site is None:
        raise NotFound(
            f"model {info.id} has no site {where.site!r}; its sites are"
            f" {', '.join(s.name for s in info.sites)}",
            field="site",
        )
    if where.units == "head":
        return site.heads
    if where.directions is not None:
        return where.directions.shape[0]
    if site.width > MAX_TOP_K:
        raise InvalidRequest(
            f"{site.name} has {site.width} neurons, and at most {MAX_TOP_K} are asked about at"
            " once: give those you mean as directions, each with a single 1",
            field="units",
        )
    return site.width


def answers(where: Place, found: Attribution) -> Row:
    """Units of one picture with their largest activations; of features those that fire.

    Raises:
        InvalidRequest: More features fire than one answer lists.
    """
    if len(found.features) == MAX_TOP_K and found.rest:
        raise InvalidRequest(
            f"more than {MAX_TOP_K} units answer to one picture: let fewer tokens count",
            field="tokens",
        )
    order = np.argsort(found.features, kind="stable")
    units, values = found.features[order], found.scores[order]
    if where.units == "feature":
        return units[values > 0], values[values > 0]
    return units, values


def strongest(code: Code) -> Row:
    """Features that fire, and the largest activation of each over tokens."""
    features, where = np.unique(code.features, return_inverse=True)
    best = np.zeros(len(features), np.float32)
    np.maximum.at(best, where, code.values)
    return features[best > 0], best[best > 0]


def active_medians(
    runner: Runner, model: str, where: Place, images: Iterable[ImageRef], units: Sequence[int]
) -> dict[int, float]:
    """Median activation of each unit over the tokens where it is active; none where it never is.

    Over tokens and not over pictures, because ``set`` acts at each token. A feature is active where
    it fires, a neuron or a direction where it is positive.

    Raises:
        InvalidRequest: Heads, or units at a site whose tokens an answer does not tell apart.
    """
    if where.coded:
        return medians(fired(runner, model, where.dictionary, images, units), units)
    return medians(told(runner, model, where, images, units), units)


Values = npt.NDArray[np.float32]


def medians(found: Iterable[Sequence[Values]], units: Sequence[int]) -> dict[int, float]:
    """Of activations of each unit, picture after picture; without those that have none."""
    seen = zip(*found, strict=True)
    joined = {u: np.concatenate(v) for u, v in zip(units, seen, strict=False)}
    return {u: float(np.median(v)) for u, v in joined.items() if len(v)}


def fired(
    runner: Runner, model: str, dictionary: str, images: Iterable[ImageRef], features: Sequence[int]
) -> Iterator[list[Values]]:
    """Of each picture, each feature's activations where it fires."""
    for code in codes(runner, model, dictionary, images):
        yield [code.values[code.features == feature] for feature in features]


def told(
    runner: Runner, model: str, where: Place, images: Iterable[ImageRef], units: Sequence[int]
) -> Iterator[list[Values]]:
    """Of each picture, each unit's positive activations, from its map and its prefix token."""
    info, waiting = runner.model(model), iter(images)
    check_told(info, where)
    place, names = as_directions(info, where, units)
    while chunk := tuple(islice(waiting, WIDE_CHUNK)):
        asked = question(model, place, chunk, info.classifier or ANY)
        asked = asked.model_copy(update={"method": "activation", "maps": True})
        for (one,) in runner.attribute(asked).results():
            at = {int(f): i for i, f in enumerate(one.features)}
            rows = [
                np.append(one.maps[at[n]], one.prefix_scores[at[n]]) if n in at else np.zeros(0)
                for n in names
            ]
            yield [row[row > 0].astype(np.float32) for row in rows]


def as_directions(
    info: ModelInfo, where: Place, units: Sequence[int]
) -> tuple[Place, Sequence[int]]:
    """A few neurons or directions asked about as directions; features as they are; their names."""
    if where.units == "feature":
        return where, units
    if where.directions is not None:
        rows = where.directions.numpy()[list(units)]
    else:
        rows = np.zeros((len(units), count(info, where)), np.float32)
        rows[np.arange(len(units)), list(units)] = 1
    given = {"units": "direction", "directions": Tensor.of(rows)}
    return replace(where, **given), range(len(units))  # type: ignore[arg-type]


def check_told(info: ModelInfo, where: Place) -> None:
    """An answer holds the activation at each single token."""
    if where.units == "head":
        raise InvalidRequest(
            "a head is a vector, which can be scaled and not set: steer away from the concept, or"
            " scale its experts up",
            field="units",
        )
    book = info.dictionary(where.dictionary)
    site = info.site(book.site if book else where.site or "")
    if site is None:
        return
    cells = info.grid[0] * info.grid[1]
    if site.tokens > 1 and (info.prefix_tokens > 1 or site.tokens - info.prefix_tokens != cells):
        raise InvalidRequest(
            f"an answer about {site.name} does not tell its tokens apart: steer away from the"
            " concept, or set its experts to a value of your own",
            field="site",
        )
