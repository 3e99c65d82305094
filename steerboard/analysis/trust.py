"""How far to trust an attribution: each claim beside what was measured (methods, section 4)."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from steerboard.analysis.curves import Curves, curves, random_ranking
from steerboard.analysis.faithfulness import agreement
from steerboard.analysis.located import Located
from steerboard.analysis.measuring import Measure, measure
from steerboard.analysis.methods import locate
from steerboard.spec.requests import Attribute
from steerboard.spec.runner import Runner

Floats = npt.NDArray[np.float64]
TOP = 20
BASELINES = ("activation", "energy", "logit_lens", "integrated_gradients")
# A unit whose effect is below this share of the largest one has none worth naming.
NEGLIGIBLE = 0.02
AGREES, OPPOSITE, NOTHING = (
    "measured: agrees",
    "measured: opposite sign",
    "measured: no effect",
)


@dataclass(frozen=True)
class Claim:
    """One ranked unit: the score, ``y - y(unit off)``, and what to say of it."""

    unit: int
    score: float
    measured: float
    verdict: str


@dataclass(frozen=True)
class Trust:
    """A trust report on one picture.

    ``spearman``, ``slope`` and ``sign`` compare scores with exact ablations of the ``TOP`` units;
    ``slope`` is the calibration: measured effect for each unit of predicted effect. ``overlap`` is
    the share of the ten most effective units among the ten first. ``curves`` holds the method's
    own and those of the baselines.
    """

    method: str
    claims: tuple[Claim, ...]
    spearman: float
    slope: float
    sign: float
    overlap: float
    curves: dict[str, Curves]


@dataclass(frozen=True)
class TrustOfSet:
    """Medians over ``images`` pictures, and the mean area of each ranking's four curves."""

    method: str
    images: int
    spearman: float
    slope: float
    sign: float
    overlap: float
    areas: dict[str, dict[str, float]]


def verdicts(scores: Floats, measured: Floats) -> list[str]:
    """A plain word for each unit ``[n]``."""
    floor = NEGLIGIBLE * float(np.abs(measured).max(initial=0.0))
    return [
        NOTHING if abs(m) <= floor else AGREES if (m > 0) == (s > 0) else OPPOSITE
        for s, m in zip(scores, measured, strict=True)
    ]


def trust(
    runner: Runner,
    request: Attribute,
    baselines: Sequence[str] = BASELINES,
    found: Located | None = None,
) -> Trust:
    """The report on one picture and target.

    Args:
        runner: Who answers.
        request: Picture, target, units, and the method that is on trial.
        baselines: Other methods whose curves stand beside; a random order always does.
        found: What the method said, where it is at hand.
    """
    asked = measure(runner, request)
    wide = request.model_copy(update={"top_k": max(request.top_k, TOP)})
    found = locate(runner, wide) if found is None else found
    units, scores = found.units[:TOP], found.scores[:TOP]
    measured = -asked.changes([asked.scaled(-1.0, int(u)) for u in units])
    words = verdicts(scores, measured)
    claims = tuple(
        Claim(int(u), float(s), float(m), word)
        for u, s, m, word in zip(units, scores, measured, words, strict=True)
    )
    spearman, slope, sign = agreement(scores, measured)
    beside = {m: curves(asked, by_worth(locate(runner, named(wide, m)))) for m in baselines}
    own = {request.method: curves(asked, by_worth(found))}
    chance = {"random": curves(asked, random_ranking(active(asked), seed=0))}
    shared = overlap(scores, measured)
    return Trust(request.method, claims, spearman, slope, sign, shared, {**beside, **own, **chance})


def by_worth(found: Located) -> list[int]:
    """Units that speak for the target, most first: what deletion and insertion go through."""
    order = np.argsort(-found.scores, kind="stable")
    return [int(u) for u in found.units[order]][:TOP]


def named(request: Attribute, method: str) -> Attribute:
    """The same question by another method."""
    return request.model_copy(update={"method": method})


def active(asked: Measure) -> list[int]:
    """Some active units, whatever they do: those that activation finds."""
    found = asked.attribution(method="activation", top_k=256)
    chosen = random_ranking(found.features.tolist(), seed=1)
    return chosen[:TOP]


def overlap(scores: Floats, measured: Floats, top: int = 10) -> float:
    """Share of the ``top`` units by measured effect among the ``top`` by score."""
    first = [set(np.argsort(-np.abs(v), kind="stable")[:top].tolist()) for v in (scores, measured)]
    return len(first[0] & first[1]) / max(1, min(top, len(scores)))


def trust_of_set(
    runner: Runner,
    requests: Sequence[Attribute],
    baselines: Sequence[str] = BASELINES,
) -> TrustOfSet:
    """The report on many pictures, one request each; all by the same method."""
    return of_set([trust(runner, request, baselines) for request in requests])


def of_set(reports: Sequence[Trust]) -> TrustOfSet:
    """Reports on single pictures, put together."""
    rows = np.array([(r.spearman, r.slope, r.sign, r.overlap) for r in reports])
    spearman, slope, sign, shared = (float(v) for v in np.median(rows, axis=0))
    areas = {
        ranking: {
            name: float(np.mean([r.curves[ranking].area(name) for r in reports]))
            for name in ("deletion", "insertion", "deletion_dropped", "insertion_dropped")
        }
        for ranking in reports[0].curves
    }
    return TrustOfSet(reports[0].method, len(reports), spearman, slope, sign, shared, areas)
