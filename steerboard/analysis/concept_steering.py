"""Steer sets from experts (methods, section 7; arXiv 2502.15090 and AurA, arXiv 2407.12824)."""

from collections.abc import Iterable, Sequence

from steerboard.analysis.ablation import site_of
from steerboard.analysis.concepts import Concept
from steerboard.analysis.expertise import Expertise
from steerboard.analysis.responses import active_medians
from steerboard.spec.edits import Edit, Feature, Scale, Set, SteerSet
from steerboard.spec.runner import Runner


def towards(
    runner: Runner, model: str, dictionary: str, concept: Concept, features: Sequence[int]
) -> SteerSet:
    """Set experts, where active, to their median active value on positives."""
    values = active_medians(runner, model, dictionary, concept.positives, features)
    site = site_of(runner, model, dictionary)
    return SteerSet(
        edits=tuple(
            Edit(site=site, unit=Feature(dictionary=dictionary, index=f), op=Set(value=value))
            for f, value in values.items()
        )
    )


def away(
    runner: Runner, model: str, dictionary: str, found: Expertise, features: Iterable[int]
) -> SteerSet:
    """Dampen experts by AurA: each by its own skill, without a parameter."""
    site = site_of(runner, model, dictionary)
    return SteerSet(
        edits=tuple(
            Edit(
                site=site,
                unit=Feature(dictionary=dictionary, index=int(f)),
                op=Scale(m=aura(float(found.auroc[f]))),
            )
            for f in features
            if found.auroc[f] > 0.5
        )
    )


def aura(auroc: float) -> float:
    """``m = alpha - 1`` with ``alpha = 1 - 2 (AUROC - 0.5)`` above chance, else no change."""
    return -2 * (auroc - 0.5) if auroc > 0.5 else 0.0
