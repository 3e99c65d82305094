"""Steer sets from experts (methods, section 7; arXiv 2502.15090 and AurA, arXiv 2407.12824)."""

from collections.abc import Iterable, Sequence

from steerboard.analysis.ablation import site_of
from steerboard.analysis.concepts import Concept
from steerboard.analysis.expertise import Expertise
from steerboard.analysis.responses import Place, active_medians
from steerboard.spec.edits import (
    Condition,
    Direction,
    Edit,
    Feature,
    Head,
    Neuron,
    Scale,
    Set,
    SteerSet,
    Unit,
)
from steerboard.spec.errors import InvalidRequest
from steerboard.spec.runner import Runner
from steerboard.spec.tensor import Tensor


def towards(
    runner: Runner, model: str, where: str | Place, concept: Concept, units: Sequence[int]
) -> SteerSet:
    """Set experts, where active, to their median active value on positives.

    A word is a dictionary, whose features are meant. A neuron or a direction is never quite 0, so
    that it is set only where it is positive.

    Raises:
        InvalidRequest: Heads cannot be set.
    """
    if isinstance(where, str):
        where = Place(dictionary=where)
    values = active_medians(runner, model, where, concept.positives, units)
    features = where.units == "feature"
    site = site_of(runner, model, where.dictionary) if features else str(where.site)
    return SteerSet(
        edits=tuple(
            Edit(
                site=site,
                unit=(unit := unit_of(where, int(u))),
                op=Set(value=value),
                mask=where.tokens,
                condition=None if features else Condition(unit=unit, tau=0.0),
            )
            for u, value in values.items()
        )
    )


def away(
    runner: Runner, model: str, where: str | Place, found: Expertise, units: Iterable[int]
) -> SteerSet:
    """Dampen experts by AurA: each by its own skill, without a parameter.

    A word is a dictionary, whose features are meant. A masked place is dampened at its tokens only.
    """
    if isinstance(where, str):
        where = Place(dictionary=where)
    features = where.units == "feature"
    site = site_of(runner, model, where.dictionary) if features else str(where.site)
    return SteerSet(
        edits=tuple(
            Edit(
                site=site,
                unit=unit_of(where, int(u)),
                op=Scale(m=aura(float(found.auroc[u]))),
                mask=where.tokens,
            )
            for u in units
            if found.auroc[u] > 0.5
        )
    )


def unit_of(where: Place, index: int) -> Unit:
    """A unit by its number."""
    match where.units:
        case "feature":
            return Feature(dictionary=where.dictionary, index=index)
        case "neuron":
            return Neuron(index=index)
        case "head":
            return Head(index=index)
    if where.directions is None:
        raise InvalidRequest("directions are given where units are 'direction'", field="directions")
    return Direction(values=Tensor.of(where.directions.numpy()[index]))


def aura(auroc: float) -> float:
    """``m = alpha - 1`` with ``alpha = 1 - 2 (AUROC - 0.5)`` above chance, else no change."""
    return -2 * (auroc - 0.5) if auroc > 0.5 else 0.0
