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
from steerboard.spec.errors import BadImage, ImageNotCached, InvalidRequest, SteerboardError
from steerboard.spec.requests import MAX_TOP_K, Attribute
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
    """One ranked unit: the score, ``y - y(unit off)``, and what to say of it.

    y is the target under the question's own edits, where it has any.
    """

    unit: int
    score: float
    measured: float
    verdict: str


@dataclass(frozen=True)
class Trust:
    """A trust report on one picture.

    ``spearman``, ``slope`` and ``sign`` compare scores with exact ablations of the ``TOP`` units;
    ``slope`` is the calibration: measured effect for each unit of predicted effect.
    ``relative_error`` is that of what gradient predicts of these units, whatever the method on
    trial: what stands beside measured changes elsewhere. ``overlap`` is the share of the ten most
    effective units among the ten first. ``curves`` holds the method's own and those of the
    baselines.
    """

    method: str
    claims: tuple[Claim, ...]
    spearman: float
    slope: float
    relative_error: float
    sign: float
    overlap: float
    curves: dict[str, Curves]


@dataclass(frozen=True)
class TrustOfSet:
    """Medians over ``images`` pictures, and the mean area of each ranking's four curves.

    ``failed`` are the pictures that cannot be answered, which count in no figure: the place of
    each in the set, and what is wrong with it.
    """

    method: str
    images: int
    spearman: float
    slope: float
    relative_error: float
    sign: float
    overlap: float
    areas: dict[str, dict[str, float]]
    failed: tuple[tuple[int, SteerboardError], ...] = ()


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
    baselines: Sequence[str] | None = None,
    found: Located | None = None,
) -> Trust:
    """The report on one picture and target.

    Args:
        runner: Who answers.
        request: Picture, target, units, and the method that is on trial.
        baselines: Other methods whose curves stand beside; a random order always does. By default
            those of ``BASELINES`` that can be asked of these units at their site.
        found: What the method said, where it is at hand.
    """
    asked = measure(runner, request)
    wide = request.model_copy(update={"top_k": max(request.top_k, TOP)})
    found = locate(runner, wide) if found is None else found
    units, scores = found.units[:TOP], found.scores[:TOP]
    measured = asked.effects(units.tolist())
    words = verdicts(scores, measured)
    claims = tuple(
        Claim(int(u), float(s), float(m), word)
        for u, s, m, word in zip(units, scores, measured, words, strict=True)
    )
    spearman, slope, sign = agreement(scores, measured)
    rankings = beside(runner, wide, baselines)
    rankings[request.method] = by_worth(found)
    rankings["random"] = random_ranking(active(asked), seed=0)
    return Trust(
        method=request.method,
        claims=claims,
        spearman=spearman,
        slope=slope,
        relative_error=relative_error(predictions(asked, units), measured),
        sign=sign,
        overlap=overlap(scores, measured),
        curves={name: curves(asked, ranking) for name, ranking in rankings.items()},
    )


def predictions(asked: Measure, units: npt.NDArray[np.int64]) -> Floats:
    """What ``Measure.effects`` should be by the gradient: ``-dy_hat = R`` of each unit ``[n]``.

    Of a unit that is off, the change at token t is ``-z_t v``: ``dy_hat = -R`` (methods, section
    3). One that is not among the ``MAX_TOP_K`` that gradient lists counts as 0.
    """
    found = asked.attribution(method="gradient", top_k=MAX_TOP_K, maps=False)
    known = dict(zip(found.features.tolist(), found.scores.tolist(), strict=True))
    return np.array([known.get(int(u), 0.0) for u in units])


def relative_error(predicted: Floats, measured: Floats) -> float:
    """``norm(dy_hat - dy) / norm(dy)`` of effects ``[n]`` (methods, section 4).

    The normwise relative error (Higham, Accuracy and Stability of Numerical Algorithms, 1.2).
    0: every prediction is exact. 1: as far off as predicting that nothing ever happens. Infinite
    where nothing happens and something was predicted.
    """
    off, size = np.linalg.norm(predicted - measured), np.linalg.norm(measured)
    if size == 0:
        return 0.0 if off == 0 else float("inf")
    return float(off / size)


def beside(
    runner: Runner, request: Attribute, baselines: Sequence[str] | None
) -> dict[str, list[int]]:
    """What each baseline goes through; by default without those that are refused.

    The same question has been answered by another method, so that a refusal is about the method:
    the logit lens has nothing to read in a head, and a path does not lead through edits.
    """
    found = {}
    for name in BASELINES if baselines is None else baselines:
        try:
            found[name] = by_worth(locate(runner, named(request, name)))
        except InvalidRequest:
            if baselines is not None:
                raise
    return found


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
    baselines: Sequence[str] | None = None,
) -> TrustOfSet:
    """The report on many pictures, one request each; all by the same method.

    Raises:
        SteerboardError: A question that cannot be answered whatever the picture, or not a single
            picture that can be read; one bad picture among others stands in ``failed``.
    """
    reports: list[Trust] = []
    failed: list[tuple[int, SteerboardError]] = []
    for place, request in enumerate(requests):
        try:
            reports.append(trust(runner, request, baselines))
        except SteerboardError as error:
            if not of_picture(error):
                raise
            failed.append((place, error))
    if failed and not reports:
        raise failed[0][1]
    return of_set(reports, failed)


def of_set(
    reports: Sequence[Trust], failed: Sequence[tuple[int, SteerboardError]] = ()
) -> TrustOfSet:
    """Reports on single pictures, put together; ``failed`` are those that have none.

    Raises:
        InvalidRequest: There is no report.
    """
    if not reports:
        raise InvalidRequest("a report on a set needs one picture at least: name some")
    figures = ("spearman", "slope", "relative_error", "sign", "overlap")
    medians = {name: float(np.median([getattr(r, name) for r in reports])) for name in figures}
    areas = {
        ranking: {
            name: float(np.mean([r.curves[ranking].area(name) for r in reports]))
            for name in ("deletion", "insertion", "deletion_dropped", "insertion_dropped")
        }
        for ranking in reports[0].curves
    }
    return TrustOfSet(reports[0].method, len(reports), **medians, areas=areas, failed=tuple(failed))


def of_picture(error: SteerboardError) -> bool:
    """Whether a picture is at fault, and not the question."""
    return isinstance(error, BadImage | ImageNotCached) or error.field.startswith("images[")
