"""The steps of an ``attribute`` job: score, rank, join references; then what is measured."""

from services.attribution import composed
from services.attribution.tools import State, Tools
from steerboard.analysis.review import question, reviewed
from steerboard.spec.answers import ResolvedTarget
from steerboard.spec.catalogue import name_of
from steerboard.spec.jobs import AttributeJob


def scored(spec: AttributeJob, tools: Tools) -> State:
    """First step of a picture: score, rank, join reference images."""
    answer = tools.runner.attribute(question(spec, tools.read(spec.image.sha256)))
    (found,) = answer.one()
    book = answer.provenance.dictionary_fingerprint
    name, features = name_of(spec.dictionary, spec.model), found.features.tolist()
    known = tools.cards(name, features, fingerprint=book) if spec.dictionary else ()
    result = reviewed(found, known, spec.references, answer.provenance)
    plain = result.model_dump(mode="json")
    plain["provenance"]["spec"] = spec.model_dump(mode="json")
    return {"found": plain, "measured": []}


def complete(spec: AttributeJob, state: State) -> bool:
    """Whether nothing is left to measure."""
    return bool(state) and composed.complete(spec, len(units(state)), spec.target, state)


def units(state: State) -> list[int]:
    """The ranked units."""
    return [row["feature"] for row in state["found"]["features"]]


def verified(spec: AttributeJob, state: State, tools: Tools, batch: int) -> State:
    """Further steps of a picture: switch the next units off, or sample further orders."""
    found = state["found"]
    target = ResolvedTarget(found["index"], found["against"], found["kind"])
    data = tools.read(spec.image.sha256)
    asked = composed.measured_by(tools.runner, spec, data, spec.target, target)
    return composed.further(spec, asked, units(state), state, batch)


def result(spec: AttributeJob, state: State) -> State:
    """What was found, with what was measured; by the scores of a composed method."""
    found: State = state["found"]
    for row, value in zip(found["features"], state["measured"], strict=False):
        row["measured"] = value
    own = composed.scored(spec, state)
    if not own:
        return found
    known = {row["feature"]: row for row in found["features"]}
    units = own.pop("features", list(known))
    rows = [known.get(u) or composed.row_of(u, state) for u in units]
    for i, row in enumerate(rows):
        row["score"], row["heat"] = own["scores"][i], ()
        row["standard_error"] = own["errors"][i] if "errors" in own else None
    ranked = [rows[i] for i in composed.by_size(own["scores"])]
    return {**found, **composed.remainder(spec, found["value"], state), "features": ranked}
