"""Two catalogues side by side: matched by responses where both hold them, else by meaning.

Responses to the same pictures tell best which features are alike (``compare``). A catalogue that
was built without them (``--slim``), or over other pictures, still knows the mean embedding of each
feature's strongest pictures; of one model, the cosine of those tells which features answer to the
same things. What all features have in common is taken off first, for embeddings of pictures all
point somewhat the same way; and features that fire on fewer than ``TOGETHER`` pictures are left
out, for the meaning of one picture is that of every feature that fires on it.
"""

from dataclasses import dataclass

import numpy as np

from steerboard.catalogue.compare import Comparison, Match, compare, read_responses
from steerboard.catalogue.index import Index
from steerboard.catalogue.measures import blocks, unit
from steerboard.catalogue.records import Array
from steerboard.spec.catalogue import TOGETHER, ComparedSide, MatchedBy, PairSide
from steerboard.spec.errors import InvalidRequest, NotFound

STEPS = 41  # alikenesses at which shares are told
BLOCK = 1024


@dataclass(frozen=True)
class Pairing:
    """Two catalogues matched.

    Attributes:
        by: By what.
        comparison: Both sides; by meanings over 0 pictures.
        cosines: ``[n]`` of each side's features with their partners, by meaning; None where the
            two are of different models.
    """

    by: MatchedBy
    comparison: Comparison
    cosines: tuple[Array, Array] | None

    def side(self, second: bool) -> tuple[Match, Array | None]:
        """A side's matches and their cosines."""
        own = self.comparison.second if second else self.comparison.first
        return own, None if self.cosines is None else self.cosines[int(second)]


def pair(first: Index, second: Index) -> Pairing:
    """Match the features of two catalogues.

    Raises:
        InvalidRequest: They share too few pictures, and are of different models.
        NotFound: Responses are missing, and they are of different models.
    """
    meanings = centred(first, second)
    try:
        places = first.catalogue.place, second.catalogue.place
        found = compare(*map(read_responses, places))
    except (InvalidRequest, NotFound):
        if meanings is None:
            raise
        found = matched(first, second, *meanings)
        return Pairing("meanings", found, (found.first.correlations, found.second.correlations))
    if meanings is None:
        return Pairing("responses", found, None)
    x, y = meanings
    forth = cosines(found.first, first, second, x, y)
    return Pairing("responses", found, (forth, cosines(found.second, second, first, y, x)))


def centred(first: Index, second: Index) -> tuple[Array, Array] | None:
    """Meanings ``[n, d]`` and ``[m, d]`` of length one around their common mean.

    None where the two are of different models, or were built without embeddings.
    """
    names = [index.catalogue.about["model_fingerprint"] for index in (first, second)]
    x, y = first.units, second.units
    if names[0] != names[1] or x.shape[1] != y.shape[1] or x.shape[1] == 1:
        return None
    middle = (x.sum(0) + y.sum(0)) / (len(x) + len(y))
    return unit(x - middle), unit(y - middle)


def matched(first: Index, second: Index, x: Array, y: Array) -> Comparison:
    """Each side's features with those of the other whose meaning is nearest."""
    forth, back = np.zeros((2, len(x))), np.full((2, len(y)), -np.inf)
    back[0] = 0
    fires = fired(first), fired(second)
    for part in blocks(len(x), BLOCK):
        near = x[part] @ y.T
        near[fires[0][part] < TOGETHER] = -np.inf
        near[:, fires[1] < TOGETHER] = -np.inf
        forth[:, part] = near.argmax(1), near.max(1)
        top = near.max(0)
        better = top > back[1]
        back[:, better] = near.argmax(0)[better] + part.start, top[better]
    a, b = first.features, second.features
    return Comparison(
        0, one_side(a, b, forth, back, fires[0]), one_side(b, a, back, forth, fires[1])
    )


def fired(index: Index) -> Array:
    """``[n]`` pictures of its own set on which each feature fires."""
    rates = index.statistics["firing_rate"] * float(index.catalogue.about["pictures"])
    return np.rint(rates).astype(np.int64)


def one_side(own: Array, others: Array, forth: Array, back: Array, fires: Array) -> Match:
    """A side's match: of ``own [n]`` places among ``others [m]`` and values, ``forth [2, n]``."""
    partners = forth[0].astype(np.int64)
    there = np.isfinite(forth[1])
    mutual = back[0][partners].astype(np.int64) == np.arange(len(own))
    values = np.where(there, np.minimum(forth[1], 1.0), np.nan)
    return Match(own, others[partners], values, mutual & there, fires)


def cosines(match: Match, own: Index, other: Index, x: Array, y: Array) -> Array:
    """``[n]`` of the meanings of matched features."""
    at, to = own.place(match.features)[0], other.place(match.partners)[0]
    found: Array = np.einsum("nd,nd->n", x[at], y[to])
    return found


def chosen(pairing: Pairing, side: PairSide, floor: float) -> Array:
    """``[k]`` entries of a side's match that are listed, in order: ties go by feature.

    Of those alone the least like the other side come first, and last those of which nothing can be
    said.
    """
    match = pairing.side(side == "second_alone")[0]
    value = np.nan_to_num(match.correlations, nan=-2.0)
    has = value >= floor
    if side == "matched":
        order = np.lexsort((match.features, -value))
        best: Array = order[has[order]]
        return best
    order = np.lexsort((match.features, value, np.isnan(match.correlations)))
    worst: Array = order[~has[order]]
    return worst


def summary(match: Match, floor: float) -> ComparedSide:
    """What one side comes to."""
    value = np.nan_to_num(match.correlations, nan=-2.0)
    has = value >= floor
    levels = np.linspace(0, 1, STEPS)
    # A correlation that is one but for rounding counts as one.
    shares = [float((value >= level - 1e-6).mean()) if len(value) else 0.0 for level in levels]
    return ComparedSide(
        features=len(value),
        matched=int(has.sum()),
        mutual=int((has & match.mutual).sum()),
        shares=tuple(shares),
        seldom=match.seldom,
    )
