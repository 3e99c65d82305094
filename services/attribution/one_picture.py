"""The steps of an ``attribute`` job: score, rank, join references; then verify by ablation."""

from dataclasses import asdict

from services.attribution.tools import State, Tools
from steerboard.analysis.ablation import ablate
from steerboard.spec.answers import Attribution, ResolvedTarget
from steerboard.spec.catalogue import FeatureCard
from steerboard.spec.jobs import AttributeJob, AttributeResult, RankedFeature
from steerboard.spec.requests import Attribute, Encoded


def scored(spec: AttributeJob, tools: Tools) -> State:
    """First step of a picture: score, rank, join reference images."""
    request = Attribute(
        model=spec.model,
        images=(Encoded(data=tools.read(spec.image.sha256)),),
        classifier=spec.classifier,
        dictionary=spec.dictionary,
        targets=(spec.target,),
        method=spec.method,
        top_k=spec.top_k,
        maps=True,
    )
    answer = tools.runner.attribute(request)
    (found,) = answer.one()
    known = {c.feature: c for c in tools.cards(spec.dictionary, found.features.tolist())}
    listed = [
        ranked(found, i, known.get(int(f)), spec.references) for i, f in enumerate(found.features)
    ]
    result = AttributeResult(
        index=found.target.index,
        against=found.target.against,
        value=found.value,
        features=tuple(listed),
        rest=found.rest,
        error=found.error,
        bias=found.bias,
        total=found.total,
        provenance=asdict(answer.provenance),
    )
    return {"found": result.model_dump(mode="json"), "measured": []}


def ranked(
    found: Attribution, row: int, card: FeatureCard | None, references: int
) -> RankedFeature:
    """One row of the review, not yet verified."""
    return RankedFeature(
        feature=int(found.features[row]),
        score=float(found.scores[row]),
        activation=float(found.activations[row]),
        peak=float(found.peaks[row]),
        heat=tuple(map(tuple, found.maps[row].tolist())),
        firing_rate=card.firing_rate if card else None,
        maximum=card.maximum if card else None,
        references=card.references[:references] if card else (),
    )


def checks(spec: AttributeJob, state: State) -> int:
    """How many of the ranked units are ablated."""
    return min(spec.verify, len(state["found"]["features"]))


def verified(spec: AttributeJob, state: State, tools: Tools, batch: int) -> State:
    """Further steps of a picture: verify the next units by exact ablation."""
    found, done = state["found"], state["measured"]
    part = found["features"][: checks(spec, state)][len(done) : len(done) + batch]
    more = ablate(
        tools.runner,
        spec.model,
        Encoded(data=tools.read(spec.image.sha256)),
        spec.classifier,
        spec.dictionary,
        [row["feature"] for row in part],
        ResolvedTarget(found["index"], found["against"]),
    )
    return {"found": found, "measured": [*done, *more.tolist()]}
