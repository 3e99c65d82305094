"""One row a picture: what was said of it before and after, and how far everything else moved."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import log_softmax

from steerboard.analysis.evidence.answers import Answered, Readout
from steerboard.analysis.evidence.pictures import Picture, digest_of, matches, scene_of
from steerboard.spec.errors import InvalidRequest

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Row:
    """Classes are indices; ``kl`` and ``tv`` are over all classes but the true one."""

    key: str
    digest: str
    group: str
    scene: str
    twin: str
    wanted: bool  # in the failure group
    truth: int
    before: int
    after: int
    chance_before: float  # probability of the true class
    chance_after: float
    kl: float
    tv: float
    wide_kl: float
    wide_tv: float
    drift: float

    @property
    def fixed(self) -> bool:
        """Wrong before, right after."""
        return self.before != self.truth == self.after

    @property
    def broken(self) -> bool:
        """Right before, wrong after."""
        return self.before == self.truth != self.after


@dataclass(frozen=True, eq=False)
class Lenses:
    """What a pair of embeddings is read through."""

    classes: Readout
    wide: Readout | None
    failures: Mapping[str, str]

    def index(self, picture: Picture) -> int:
        """The true class of a picture; raises InvalidRequest where the classifier lacks it."""
        if picture.label not in self.classes.names:
            raise InvalidRequest(
                f"picture {picture.key} is labelled {picture.label!r}, which is not among the"
                f" {len(self.classes.names)} classes of the recipe: choose another image set, or"
                " a recipe with this class",
                field="images",
            )
        return self.classes.names.index(picture.label)


def rows_of(answered: Answered, lenses: Lenses) -> list[Row]:
    """Rows of one chunk, from its clean and its first steered embedding."""
    if not answered.pictures:
        return []
    before, after = answered.embeddings[:, 0], answered.embeddings[:, 1]
    truth = np.array([lenses.index(p) for p in answered.pictures])
    log_p, log_q = (log_softmax(lenses.classes.logits(x), axis=-1) for x in (before, after))
    others = divergence(without(log_p, truth), without(log_q, truth))
    wide = (np.zeros(len(truth)), np.zeros(len(truth)))
    if lenses.wide is not None:
        wide = divergence(*(log_softmax(lenses.wide.logits(x), axis=-1) for x in (before, after)))
    drift = drifts(before, after)
    return [
        Row(
            key=picture.key,
            digest=digest_of(picture),
            group=str(picture.attributes.get("group") or ""),
            scene=scene_of(picture),
            twin=str(picture.attributes.get("twin") or ""),
            wanted=matches(picture, lenses.failures),
            truth=int(truth[i]),
            before=int(log_p[i].argmax()),
            after=int(log_q[i].argmax()),
            chance_before=float(np.exp(log_p[i, truth[i]])),
            chance_after=float(np.exp(log_q[i, truth[i]])),
            kl=float(others[0][i]),
            tv=float(others[1][i]),
            wide_kl=float(wide[0][i]),
            wide_tv=float(wide[1][i]),
            drift=float(drift[i]),
        )
        for i, picture in enumerate(answered.pictures)
    ]


def drifts(before: Floats, after: Floats) -> Floats:
    """1 - cosine of embeddings ``[n, e]``, ``[n]``."""
    dots = (before * after).sum(-1)
    lengths = np.linalg.norm(before, axis=-1) * np.linalg.norm(after, axis=-1)
    found: Floats = 1 - dots / lengths
    return found


def without(log_p: Floats, truth: npt.NDArray[np.int64]) -> Floats:
    """Log probabilities ``[n, c]`` of the other classes ``[n, c - 1]``, made to sum to 1."""
    kept = np.ones(log_p.shape, bool)
    kept[np.arange(len(truth)), truth] = False
    found: Floats = log_softmax(log_p[kept].reshape(len(truth), -1), axis=-1)
    return found


def divergence(log_p: Floats, log_q: Floats) -> tuple[Floats, Floats]:
    """KL(p, q) in nats and total variation, each ``[n]``, of log probabilities ``[n, c]``."""
    p, q = np.exp(log_p), np.exp(log_q)
    kl = np.maximum(0.0, (p * (log_p - log_q)).sum(-1))
    return kl, np.abs(p - q).sum(-1) / 2


def failing(rows: Sequence[Row]) -> list[Row]:
    """Of the failure group, wrong before; where a clean twin is named and known, it is right."""
    known = {row.key: row.before == row.truth for row in rows}
    return [r for r in rows if r.wanted and r.before != r.truth and known.get(r.twin, True)]


def right(rows: Sequence[Row]) -> list[Row]:
    """Right before, outside the failure group."""
    return [r for r in rows if not r.wanted and r.before == r.truth]
