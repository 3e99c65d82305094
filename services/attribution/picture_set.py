"""The steps of an ``attribute_set`` job: chunks of pictures, and the closing one over them all."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from services.attribution.results import Rows
from services.attribution.tools import State, Tools
from steerboard.spec.answers import Attribution
from steerboard.spec.errors import BadImage, ImageNotCached, NotFound, SteerboardError
from steerboard.spec.jobs import AttributeSetJob
from steerboard.spec.requests import Attribute, ClassTarget, Encoded
from steerboard.spec.runner import Runner

CHUNK = 16  # pictures
CLOSED_AT_ONCE = 256  # chunks that a closing step reads
BATCH_BYTES = 16 * 2**20
MAX_PICTURE_BYTES = 32 * 2**20
LISTED = 64  # features of an aggregate
Item = tuple[Attribution, ...] | SteerboardError


def chunks(spec: AttributeSetJob) -> int:
    """Chunks of a set before the closing one."""
    return -(-len(spec.images) // CHUNK)


def images_of(spec: AttributeSetJob, chunk: int) -> list[str]:
    """Digests of a chunk's pictures."""
    return [i.sha256 for i in spec.images[chunk * CHUNK : (chunk + 1) * CHUNK]]


def targets_of(spec: AttributeSetJob, chunk: int) -> list[ClassTarget]:
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


def ask(
    spec: AttributeSetJob,
    items: list[bytes | SteerboardError],
    targets: Sequence[ClassTarget],
    runner: Runner,
) -> list[Item]:
    """An attribution for each picture, in one call for each target."""
    found: dict[int, Item] = {}
    groups: dict[ClassTarget, list[int]] = {}
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


def gathered(count: int, state: State, tools: Tools) -> State:
    """The closing chunk: the sums over some more of the others, in their order.

    Raises:
        NotFound: A result is no longer held.
    """
    start = state.get("chunks", 0)
    stop = min(count, start + CLOSED_AT_ONCE)
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
