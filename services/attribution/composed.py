"""Methods that are composed of steered answers, in steps: ablation and Shapley values.

A picture's half-done work beside its gradient is ``measured`` (effects of switching units off, in
the gradient's order) and ``pairs`` (what each unit adds in a sampled order and its reverse).
"""

from typing import Any

import numpy as np

from services.attribution.tools import State
from steerboard.analysis.ablation import site_of
from steerboard.analysis.measuring import Measure, freeze, replace_targets
from steerboard.analysis.shapley import PAIRS, gains, remembered, worth
from steerboard.spec.answers import ResolvedTarget
from steerboard.spec.jobs import AttributeJob, AttributeSetJob
from steerboard.spec.requests import Encoded, Target, UnitActivation
from steerboard.spec.runner import Runner

SEED = 0


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


def complete(
    spec: AttributeJob | AttributeSetJob, units: int, target: Target, state: State
) -> bool:
    """Whether a picture needs no more steered answers."""
    pairs = PAIRS if spec.method == "shapley" and units else 0
    enough = len(state["measured"]) >= checks(spec, units, target)
    return enough and len(state.get("pairs", ())) >= pairs


def further(
    spec: AttributeJob | AttributeSetJob, asked: Measure, units: list[int], state: State, batch: int
) -> State:
    """At most ``batch`` more effects, or pairs of orders."""
    done, wanted = state["measured"], checks(spec, len(units), asked.request.targets[0])
    if len(done) < wanted:
        part = units[:wanted][len(done) : len(done) + batch]
        effects = -asked.changes([asked.scaled(-1.0, u) for u in part])
        return {**state, "measured": [*done, *effects.tolist()]}
    before = state.get("pairs", [])
    return {**state, "pairs": before + pairs(asked, units, len(before), batch)}


def pairs(asked: Measure, units: list[int], start: int, count: int) -> list[list[float]]:
    """What each unit adds, over the orders from ``start`` on and their reverses ``[count, n]``."""
    rng, ask = np.random.default_rng(SEED), remembered(worth(asked, np.array(units)))
    orders = [rng.permutation(len(units)) for _ in range(min(PAIRS, start + count))][start:]
    return [((gains(ask, o) + gains(ask, o[::-1])) / 2).tolist() for o in orders]


def scored(spec: AttributeJob | AttributeSetJob, state: State) -> dict[str, list[float]]:
    """The composed method's own ``scores`` and ``errors``, in the gradient's order, if any."""
    if spec.method == "ablation":
        return {"scores": list(state["measured"])}
    if spec.method == "shapley":
        found = np.array(state.get("pairs", []), np.float64)
        spread = found.std(0, ddof=1) / np.sqrt(len(found))
        return {"scores": found.mean(0).tolist(), "errors": spread.tolist()}
    return {}


def by_size(scores: list[float]) -> list[int]:
    """Places by falling absolute score."""
    return np.argsort(-np.abs(scores), kind="stable").tolist() if scores else []


def remainder(spec: AttributeJob | AttributeSetJob, value: float, scores: list[float]) -> Any:
    """What belongs to no unit: methods that measure know neither rest, nor error, nor bias."""
    total = sum(scores)
    rows = {"rest": 0.0, "bias": 0.0, "total": total}
    return rows | ({"baseline": value - total} if spec.method == "shapley" else {})
