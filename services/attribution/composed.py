"""Methods that are composed of steered answers: ablation and Shapley values in steps, others whole.

A picture's half-done work beside its gradient is ``measured`` (effects of switching units off, in
the gradient's order), ``pairs`` (what each unit adds in a sampled order and its reverse), and
``whole`` (what any other composed method said, in one step: it has a chunk's seconds for it).
"""

from typing import Any

import numpy as np

from services.attribution.tools import State
from steerboard.analysis.ablation import site_of
from steerboard.analysis.measuring import Measure, freeze, replace_targets
from steerboard.analysis.methods import locate
from steerboard.analysis.shapley import PAIRS, gains, remembered, worth
from steerboard.spec.answers import ResolvedTarget
from steerboard.spec.jobs import AttributeJob, AttributeSetJob, RankedFeature
from steerboard.spec.methods import is_composed
from steerboard.spec.requests import MAX_TOP_K, Encoded, Target, UnitActivation
from steerboard.spec.runner import Runner

SEED = 0
STEPPED = ("ablation", "shapley")  # taken apart here, because they ask for so much


def measured_by(
    runner: Runner,
    spec: AttributeJob | AttributeSetJob,
    data: bytes,
    target: Target,
    found: ResolvedTarget,
) -> Measure:
    """The picture with its target as it was frozen when its units were ranked."""
    request = replace_targets(spec.question((Encoded(data=data),), target), freeze(target, found))
    site = site_of(runner, spec.model, spec.dictionary) if spec.dictionary else str(spec.site)
    return Measure(runner, request, site)


def checks(spec: AttributeJob | AttributeSetJob, units: int, target: Target) -> int:
    """How many of the ranked units are switched off one at a time."""
    if isinstance(target, UnitActivation):
        return 0  # a steered answer does not tell activations
    if spec.method == "ablation":
        return units
    return min(spec.verify, units) if isinstance(spec, AttributeJob) else 0


def at_once(spec: AttributeJob | AttributeSetJob) -> bool:
    """Whether a composed method answers in one step."""
    return is_composed(spec.method) and spec.method not in STEPPED


def complete(
    spec: AttributeJob | AttributeSetJob, units: int, target: Target, state: State
) -> bool:
    """Whether a picture needs no more steered answers."""
    pairs = PAIRS if spec.method == "shapley" and units else 0
    enough = len(state["measured"]) >= checks(spec, units, target)
    whole = "whole" in state or not at_once(spec)
    return enough and whole and len(state.get("pairs", ())) >= pairs


def further(
    spec: AttributeJob | AttributeSetJob, asked: Measure, units: list[int], state: State, batch: int
) -> State:
    """At most ``batch`` more effects, or pairs of orders."""
    done, wanted = state["measured"], checks(spec, len(units), asked.request.targets[0])
    if len(done) < wanted:
        part = units[:wanted][len(done) : len(done) + batch]
        return {**state, "measured": [*done, *asked.effects(part).tolist()]}
    if at_once(spec):
        return {**state, "whole": whole(spec, asked, units)}
    before = state.get("pairs", [])
    return {**state, "pairs": before + pairs(asked, units, len(before), batch)}


def pairs(asked: Measure, units: list[int], start: int, count: int) -> list[list[float]]:
    """What each unit adds, over the orders from ``start`` on and their reverses ``[count, n]``."""
    rng, ask = np.random.default_rng(SEED), remembered(worth(asked, np.array(units)))
    orders = [rng.permutation(len(units)) for _ in range(min(PAIRS, start + count))][start:]
    return [((gains(ask, o) + gains(ask, o[::-1])) / 2).tolist() for o in orders]


def whole(spec: AttributeJob | AttributeSetJob, asked: Measure, units: list[int]) -> dict[str, Any]:
    """What a method says as JSON, and the activations of units that gradient did not list."""
    found = locate(asked.runner, asked.request.model_copy(update={"method": spec.method}))
    said: dict[str, Any] = {
        "features": found.units.tolist(),
        "scores": found.scores.tolist(),
        "rows": found.rows,
    }
    if found.errors is not None:
        said["errors"] = found.errors.tolist()
    if set(said["features"]) - set(units):
        more = asked.attribution(method="gradient", top_k=MAX_TOP_K, maps=False)
        columns = more.features.tolist(), more.activations.tolist(), more.peaks.tolist()
        wanted = set(said["features"])
        said["others"] = [row for row in zip(*columns, strict=True) if row[0] in wanted]
    return said


def row_of(unit: int, state: State) -> dict[str, Any]:
    """A row of a unit that gradient did not list; one that is silent has no activation."""
    known = {u: (total, peak) for u, total, peak in state["whole"].get("others", [])}
    total, peak = known.get(unit, (0.0, 0.0))
    row = RankedFeature(feature=unit, score=0.0, activation=total, peak=peak)
    return row.model_dump(mode="json")


def scored(spec: AttributeJob | AttributeSetJob, state: State) -> dict[str, Any]:
    """The composed method's own ``scores`` and ``errors``, in the gradient's order, if any.

    One that answered in one step has an order of its own, in ``features``.
    """
    if spec.method == "ablation":
        return {"scores": list(state["measured"])}
    if spec.method == "shapley":
        found = np.array(state.get("pairs", []), np.float64)
        spread = found.std(0, ddof=1) / np.sqrt(len(found))
        return {"scores": found.mean(0).tolist(), "errors": spread.tolist()}
    said = state.get("whole", {})
    return {name: list(said[name]) for name in ("features", "scores", "errors") if name in said}


def by_size(scores: list[float]) -> list[int]:
    """Places by falling absolute score."""
    return np.argsort(-np.abs(scores), kind="stable").tolist() if scores else []


def remainder(spec: AttributeJob | AttributeSetJob, value: float, state: State) -> dict[str, float]:
    """What belongs to no unit: methods that measure know neither rest, nor error, nor bias."""
    total = sum(scored(spec, state)["scores"])
    found = {"rest": 0.0, "error": 0.0, "bias": 0.0, "total": total}
    rows = state.get("whole", {}).get("rows", {})
    found |= {name: rows[name] for name in (*found, "baseline") if name in rows}
    return found | ({"baseline": value - total} if spec.method == "shapley" else {})
