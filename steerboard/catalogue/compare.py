"""Match the features of two dictionaries, or of two models, by how they fire on the same pictures.

Two features are alike as far as their responses correlate (Pearson) over the pictures that both
catalogues hold. A feature's partner is the one that it correlates with most, on the other side, of
those that fire with it on a few pictures at least: of thousands of features that fire once, some do
so on one picture by chance, and correlate perfectly. Partners are mutual where each is the other's.
Nothing of the models is needed, and their widths,
sites and sizes may differ.
"""

from dataclasses import dataclass

import fsspec
import numpy as np
from scipy import sparse

from steerboard.catalogue.build import RESPONSES
from steerboard.catalogue.file import Catalogue
from steerboard.catalogue.measures import blocks
from steerboard.catalogue.panel import Panel
from steerboard.catalogue.records import Array, unpack
from steerboard.catalogue.shards import SUFFIX, exists
from steerboard.spec.catalogue import TOGETHER
from steerboard.spec.errors import InvalidRequest, NotFound

FEWEST = 20  # pictures that two catalogues must share


@dataclass(frozen=True)
class Responses:
    """Of one catalogue: its pictures by hex digest, rising, and ``[picture, feature]``."""

    pictures: list[str]
    values: sparse.csr_array


@dataclass(frozen=True)
class Match:
    """Of each feature that fires on the shared pictures.

    Attributes:
        features: ``[n]`` numbers.
        partners: ``[n]`` the feature of the other side that it correlates with most.
        correlations: ``[n]`` how much, at most 1; nan where its response never changes, or no
            feature fires with it on ``TOGETHER`` pictures.
        mutual: ``[n]`` whether the partner's partner is this one.
        fires: ``[n]`` shared pictures on which it fires; of features matched by meaning pictures
            of its own set.
        together: ``[n]`` shared pictures on which both fire; None of features matched by meaning.
    """

    features: Array
    partners: Array
    correlations: Array
    mutual: Array
    fires: Array | None = None
    together: Array | None = None

    @property
    def seldom(self) -> int:
        """How many features fire on too few shared pictures to be matched."""
        return 0 if self.fires is None else int((self.fires < TOGETHER).sum())

    def alone(self, floor: float) -> Array:
        """Features without a partner of at least this correlation."""
        found: Array = self.features[~(self.correlations >= floor)]
        return found


@dataclass(frozen=True)
class Comparison:
    """Both sides, and over how many pictures."""

    pictures: int
    first: Match
    second: Match


def read_responses(place: str) -> Responses:
    """The responses beside a catalogue; raises NotFound."""
    size = int(Catalogue(place).about["size"])
    beside = f"{place.removesuffix('.parquet')}{RESPONSES}{SUFFIX}"
    if not exists(beside):
        raise NotFound(f"the responses beside {place} are missing: build it again")
    with fsspec.open(beside, "rb") as file:
        panel = Panel(2**62)
        panel.add(unpack(file.read()))
    return Responses(panel.pictures(), panel.responses(size))


def compare(first: Responses, second: Responses) -> Comparison:
    """Match both ways; raises InvalidRequest where they share too few pictures."""
    shared = sorted(set(first.pictures) & set(second.pictures))
    if len(shared) < FEWEST:
        raise InvalidRequest(
            f"the two catalogues share {len(shared)} pictures, and {FEWEST} are needed: build both"
            " over the same set"
        )
    a, b = (rows(side, shared) for side in (first, second))
    x, y = standard(a), standard(b)
    forth, back = best(x, y), best(y, x)
    return Comparison(len(shared), match(x, y, forth, back), match(y, x, back, forth))


def rows(side: Responses, shared: list[str]) -> sparse.csr_array:
    """The responses to some pictures, in their order."""
    place = {name: i for i, name in enumerate(side.pictures)}
    return sparse.csr_array(side.values[[place[name] for name in shared]])


@dataclass(frozen=True)
class Standard:
    """Features that fire, with what makes a correlation of a product: ``[n]`` each.

    ``fires`` is 1 where ``values [picture, n]`` are not 0.
    """

    values: sparse.csc_array
    fires: sparse.csc_array
    features: Array
    means: Array
    spreads: Array


def standard(values: sparse.csr_array) -> Standard:
    """Means and standard deviations over pictures, without filling in the zeros."""
    fired = np.unique(values.indices[values.data != 0])
    own = sparse.csc_array(values[:, fired].astype(np.float64))
    means = np.asarray(own.mean(0)).ravel()
    squares = np.asarray((own * own).mean(0)).ravel()
    fires = (own != 0).astype(np.float32)
    return Standard(own, fires, fired, means, np.sqrt(np.maximum(squares - means**2, 0)))


@dataclass(frozen=True)
class Best:
    """For each of x the row of y that it correlates with most, how much, and fires with how often.

    ``[n]`` each; a value of minus infinity stands for none.
    """

    rows: Array
    values: Array
    together: Array


def best(x: Standard, y: Standard) -> Best:
    """Of the features of y that fire with one of x on ``TOGETHER`` pictures, the most alike."""
    count = x.values.shape[0]
    found = []
    for part in blocks(len(x.features), 256):
        both = (x.values[:, part].T @ y.values).toarray() / count
        both -= x.means[part, None] * y.means[None]
        with np.errstate(divide="ignore", invalid="ignore"):
            both /= x.spreads[part, None] * y.spreads[None]
        together = (x.fires[:, part].T @ y.fires).toarray()
        both = np.where(np.isfinite(both) & (together >= TOGETHER), both, -np.inf)
        top = both.argmax(1)
        at = np.arange(len(top)), top
        found.append((top, both[at], together[at].astype(np.int64)))
    return Best(*(np.concatenate(parts) for parts in zip(*found, strict=True)))


def match(x: Standard, y: Standard, forth: Best, back: Best) -> Match:
    """One side of a comparison."""
    there = np.isfinite(forth.values)
    return Match(
        features=x.features,
        partners=y.features[forth.rows],
        correlations=np.where(there, np.minimum(forth.values, 1.0), np.nan),
        mutual=(back.rows[forth.rows] == np.arange(len(forth.rows))) & there,
        fires=np.asarray(x.fires.sum(0)).ravel().astype(np.int64),
        together=forth.together,
    )
