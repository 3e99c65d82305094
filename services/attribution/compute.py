"""What a chunk computes, over any Runner, in steps that are short enough to be cut off.

A chunk's half-done work is a JSON object. ``step`` takes it further by at most ``batch`` pictures
or ablations, and ``rows`` reads the result from it once it is complete. A job over a set has chunks
of pictures and a closing one, which puts them together.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, assert_never

from services.attribution.records import Size
from services.attribution.results import Rows
from steerboard.analysis.ablation import ablate
from steerboard.spec.answers import Attribution, ResolvedTarget
from steerboard.spec.catalogue import FeatureCard
from steerboard.spec.errors import BadImage, ImageNotCached, NotFound, SteerboardError
from steerboard.spec.jobs import (
    AttributeJob,
    AttributeResult,
    AttributeSetJob,
    JobSpec,
    RankedFeature,
)
from steerboard.spec.requests import Attribute, Encoded, Target
from steerboard.spec.runner import Runner

CHUNK = 16  # pictures
BATCH = 16  # pictures or ablations of a step
CLOSED_AT_ONCE = 256  # chunks that a closing step reads
BATCH_BYTES = 16 * 2**20
MAX_PICTURE_BYTES = 32 * 2**20
LISTED = 64  # features of an aggregate
State = dict[str, Any]


@dataclass(frozen=True)
class Tools:
    """What a step works with.

    Attributes:
        runner: Who answers.
        read: Bytes of a picture by digest; raises ImageNotCached.
        cards: What the catalogue knows of features.
        finished: Results of chunks of the same job, None where they are not there.
    """

    runner: Runner
    read: Callable[[str], bytes]
    cards: Callable[[str, list[int]], Sequence[FeatureCard]]
    finished: Callable[[Sequence[int]], list[Rows | None]]


def size(spec: JobSpec) -> Size:
    """Chunks, pictures, and the price of a chunk."""
    match spec:
        case AttributeJob():
            return Size(1, 1, 1)
        case AttributeSetJob():
            return Size(picture_chunks(spec) + 1, len(spec.images), min(CHUNK, len(spec.images)))
    assert_never(spec)


def picture_chunks(spec: AttributeSetJob) -> int:
    """Chunks of a set before the closing one."""
    return -(-len(spec.images) // CHUNK)


def complete(spec: JobSpec, chunk: int, state: State) -> bool:
    """Whether nothing is left to do."""
    match spec:
        case AttributeJob():
            return bool(state) and len(state["measured"]) >= checks(spec, state)
        case AttributeSetJob():
            if chunk == picture_chunks(spec):
                return bool(state) and state["chunks"] == chunk
            return len(state.get("rows", ())) == len(images_of(spec, chunk))
    assert_never(spec)


def units(state: State) -> int:
    """How far a chunk is: pictures, ablations, or chunks put together."""
    return len(state.get("rows", ())) + len(state.get("measured", ())) + int(state.get("chunks", 0))


def step(spec: JobSpec, chunk: int, state: State, tools: Tools, batch: int) -> State:
    """The state after a little more work; raises SteerboardError."""
    match spec:
        case AttributeJob():
            return verified(spec, state, tools, batch) if state else scored(spec, tools)
        case AttributeSetJob():
            if chunk == picture_chunks(spec):
                return gathered(chunk, state, tools)
            return attributed(spec, chunk, state, tools, batch)
    assert_never(spec)


def rows(spec: JobSpec, chunk: int, state: State) -> Rows:
    """The result of a chunk that is complete."""
    match spec:
        case AttributeJob():
            measured = state["measured"]
            found: State = state["found"]
            for row, value in zip(found["features"], measured, strict=False):
                row["measured"] = value
            return [found]
        case AttributeSetJob():
            return [aggregate(state)] if chunk == picture_chunks(spec) else list(state["rows"])
    assert_never(spec)


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


def images_of(spec: AttributeSetJob, chunk: int) -> list[str]:
    """Digests of a chunk's pictures."""
    return [i.sha256 for i in spec.images[chunk * CHUNK : (chunk + 1) * CHUNK]]


def targets_of(spec: AttributeSetJob, chunk: int) -> list[Target]:
    """A target for each picture of a chunk."""
    if len(spec.targets) == 1:
        return [*spec.targets] * len(images_of(spec, chunk))
    return list(spec.targets[chunk * CHUNK : (chunk + 1) * CHUNK])


def attributed(spec: AttributeSetJob, chunk: int, state: State, tools: Tools, batch: int) -> State:
    """The next pictures of a chunk; a bad one carries its own error."""
    before = state.get("rows", [])
    names, targets = images_of(spec, chunk), targets_of(spec, chunk)
    items: list[bytes | SteerboardError] = []
    weight = 0
    for name in names[len(before) : len(before) + batch]:
        item = fetched(tools, name)
        weight += len(item) if isinstance(item, bytes) else 0
        if items and weight > BATCH_BYTES:
            break
        items.append(item)
    start = len(before)
    answers = ask(spec, items, targets[start : start + len(items)], tools.runner)
    fresh = [{"image": names[start + i], **brief(a)} for i, a in enumerate(answers)]
    return {"rows": [*before, *fresh]}


def fetched(tools: Tools, sha256: str) -> bytes | SteerboardError:
    """The bytes of a picture, or why there are none to be had."""
    try:
        data = tools.read(sha256)
    except ImageNotCached as error:
        return error
    if len(data) > MAX_PICTURE_BYTES:
        return BadImage(
            f"the picture has {len(data) / 2**20:.0f} MiB: at most"
            f" {MAX_PICTURE_BYTES // 2**20} can be sent"
        )
    return data


Item = tuple[Attribution, ...] | SteerboardError


def ask(
    spec: AttributeSetJob,
    items: list[bytes | SteerboardError],
    targets: Sequence[Target],
    runner: Runner,
) -> list[Item]:
    """An attribution for each picture, in one call for each target."""
    found: dict[int, Item] = {}
    groups: dict[Target, list[int]] = {}
    for i, item in enumerate(items):
        if isinstance(item, SteerboardError):
            found[i] = item
        else:
            groups.setdefault(targets[i], []).append(i)
    for target, members in groups.items():
        request = Attribute(
            model=spec.model,
            images=tuple(Encoded(data=items[i]) for i in members),
            classifier=spec.classifier,
            dictionary=spec.dictionary,
            targets=(target,),
            method=spec.method,
            top_k=spec.top_k,
        )
        found.update(zip(members, runner.attribute(request).items, strict=True))
    return [found[i] for i in range(len(items))]


def brief(item: Item) -> State:
    """An attribution as a JSON object, or the picture's error."""
    if isinstance(item, SteerboardError):
        return {"error": item.message, "reason": item.reason}
    (one,) = item
    return {
        "index": one.target.index,
        "against": one.target.against,
        "value": one.value,
        "features": one.features.tolist(),
        "scores": one.scores.tolist(),
        "rest": one.rest,
        "error_term": one.error,
        "bias": one.bias,
        "total": one.total,
    }


def gathered(chunks: int, state: State, tools: Tools) -> State:
    """The closing chunk: the sums over some more of the others, in their order.

    Raises:
        NotFound: A result is no longer held.
    """
    start = state.get("chunks", 0)
    stop = min(chunks, start + CLOSED_AT_ONCE)
    sums = Sums.of(state)
    for part in tools.finished(range(start, stop)):
        if part is None:
            raise NotFound(
                "the result cache (Redis) no longer holds all parts of this set: it is too small,"
                " or it was started anew; ask again"
            )
        sums.add(part)
    return sums.state(stop)


@dataclass
class Sums:
    """Over pictures: how many were good; of each feature, how often it was listed, and its sum."""

    good: int
    failed: int
    features: dict[int, tuple[int, float]]

    @classmethod
    def of(cls, state: State) -> "Sums":
        """As they were kept."""
        listed = {f: (n, total) for f, n, total in state.get("features", [])}
        return cls(state.get("good", 0), state.get("failed", 0), listed)

    def add(self, part: Rows) -> None:
        """The pictures of one chunk."""
        for row in part:
            if "error" in row:
                self.failed += 1
                continue
            self.good += 1
            for feature, score in zip(row["features"], row["scores"], strict=True):
                count, total = self.features.get(feature, (0, 0.0))
                self.features[feature] = (count + 1, total + score)

    def state(self, chunks: int) -> State:
        """To be kept, with the number of chunks that are in it."""
        listed = [[f, n, total] for f, (n, total) in self.features.items()]
        return {"chunks": chunks, "good": self.good, "failed": self.failed, "features": listed}


def aggregate(state: State) -> dict[str, Any]:
    """Over a set: how often each feature is among the top, and its mean score over all pictures."""
    sums = Sums.of(state)
    listed = [
        {"feature": f, "pictures": n, "mean": total / sums.good}
        for f, (n, total) in sums.features.items()
    ]
    listed.sort(key=lambda r: (-abs(r["mean"]), r["feature"]))
    return {"pictures": sums.good, "failed": sums.failed, "features": listed[:LISTED]}
