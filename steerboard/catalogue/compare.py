"""Match the features of two dictionaries, or of two models, by how they fire on the same pictures.

Two features are alike as far as their responses correlate (Pearson) over the pictures that both
catalogues hold. A feature's partner is the one that it correlates with most, on the other side;
partners are mutual where each is the other's. Nothing of the models is needed, and their widths,
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
        correlations: ``[n]`` how much, at most 1; nan where its response never changes.
        mutual: ``[n]`` whether the partner's partner is this one.
    """

    features: Array
    partners: Array
    correlations: Array
    mutual: Array

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
    """Features that fire, with what makes a correlation of a product: ``[n]`` each."""

    values: sparse.csc_array
    features: Array
    means: Array
    spreads: Array


def standard(values: sparse.csr_array) -> Standard:
    """Means and standard deviations over pictures, without filling in the zeros."""
    fired = np.unique(values.indices[values.data != 0])
    own = sparse.csc_array(values[:, fired].astype(np.float64))
    means = np.asarray(own.mean(0)).ravel()
    squares = np.asarray((own * own).mean(0)).ravel()
    return Standard(own, fired, means, np.sqrt(np.maximum(squares - means**2, 0)))


def best(x: Standard, y: Standard) -> tuple[Array, Array]:
    """For each of x the row of y that it correlates with most, and how much."""
    count = x.values.shape[0]
    partners, found = [], []
    for part in blocks(len(x.features), 256):
        both = (x.values[:, part].T @ y.values).toarray() / count
        both -= x.means[part, None] * y.means[None]
        with np.errstate(divide="ignore", invalid="ignore"):
            both /= x.spreads[part, None] * y.spreads[None]
        both = np.where(np.isfinite(both), both, -np.inf)
        top = both.argmax(1)
        partners.append(top)
        found.append(both[np.arange(len(top)), top])
    return np.concatenate(partners), np.concatenate(found)


def match(x: Standard, y: Standard, forth: tuple[Array, Array], back: tuple[Array, Array]) -> Match:
    """One side of a comparison."""
    partners, values = forth
    mutual = back[0][partners] == np.arange(len(partners))
    there = np.isfinite(values)
    correlations = np.where(there, np.minimum(values, 1.0), np.nan)
    return Match(x.features, y.features[partners], correlations, mutual & there)
