"""The steps of an ``attribute`` job: score, rank, join references; then verify by ablation."""

from services.attribution.tools import State, Tools
from steerboard.analysis.ablation import ablate
from steerboard.analysis.review import question, reviewed
from steerboard.spec.answers import ResolvedTarget
from steerboard.spec.jobs import AttributeJob
from steerboard.spec.requests import Encoded


def scored(spec: AttributeJob, tools: Tools) -> State:
    """First step of a picture: score, rank, join reference images."""
    answer = tools.runner.attribute(question(spec, tools.read(spec.image.sha256)))
    (found,) = answer.one()
    cards = tools.cards(spec.dictionary, found.features.tolist())
    result = reviewed(found, cards, spec.references, answer.provenance)
    return {"found": result.model_dump(mode="json"), "measured": []}


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
