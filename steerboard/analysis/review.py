"""Join an attribution with what the catalogue knows of its features: the rows of a review."""

from collections.abc import Iterable
from dataclasses import asdict

from steerboard.spec.answers import Attribution, Provenance
from steerboard.spec.catalogue import FeatureCard
from steerboard.spec.jobs import AttributeJob, AttributeResult, RankedFeature
from steerboard.spec.requests import Attribute, Encoded


def question(spec: AttributeJob, data: bytes) -> Attribute:
    """What a Runner is asked for an ``attribute`` job, ``data`` being its picture's bytes."""
    return spec.question((Encoded(data=data),), spec.target, maps=True)


def reviewed(
    found: Attribution, cards: Iterable[FeatureCard], references: int, provenance: Provenance
) -> AttributeResult:
    """The units by falling absolute score, none verified by ablation yet.

    Args:
        found: Scores of one picture and target.
        cards: What is known of features; those without a card have no references.
        references: Reference images a feature at most.
        provenance: Of the answer that held ``found``.
    """
    known = {card.feature: card for card in cards}
    rows = range(len(found.features))
    return AttributeResult(
        index=found.target.index,
        against=found.target.against,
        kind=found.target.kind,
        baseline=found.baseline,
        value=found.value,
        features=tuple(
            row_of(found, i, known.get(int(found.features[i])), references) for i in rows
        ),
        rest=found.rest,
        error=found.error,
        bias=found.bias,
        total=found.total,
        provenance=asdict(provenance),
    )


def row_of(
    found: Attribution, row: int, card: FeatureCard | None, references: int
) -> RankedFeature:
    """One row of the review."""
    return RankedFeature(
        feature=int(found.features[row]),
        score=float(found.scores[row]),
        activation=float(found.activations[row]),
        peak=float(found.peaks[row]),
        heat=tuple(map(tuple, found.maps[row].tolist())),
        firing_rate=card.firing_rate if card else None,
        maximum=card.maximum if card else None,
        references=card.references[:references] if card else (),
        label=card.label if card else "",
    )
