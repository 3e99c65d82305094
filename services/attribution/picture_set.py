"""The steps of an ``attribute_set`` job: chunks of pictures, and the closing one over them all."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from services.attribution import composed, labelled
from services.attribution.results import Rows
from services.attribution.tally import NOTHING, Tally
from services.attribution.tools import Sent, State, Tools, held
from steerboard.spec.answers import Attribution, ResolvedTarget
from steerboard.spec.errors import BadImage, ImageNotCached, SteerboardError
from steerboard.spec.jobs import AttributeSetJob
from steerboard.spec.methods import is_composed, is_labelled
from steerboard.spec.requests import Digest, Encoded, Target
from steerboard.spec.runner import Runner

CHUNK = 16  # pictures
CLOSED_AT_ONCE = 1024  # chunks that a closing step reads
BATCH_BYTES = 16 * 2**20
MAX_PICTURE_BYTES = 32 * 2**20
Item = tuple[Attribution, ...] | SteerboardError


@dataclass(frozen=True)
class Unwritten:
    """The row of a picture that was answered; who stores it writes it, and nobody waits for that.

    Attributes:
        picture: Its SHA-256.
        found: What was answered.
        told: Writes that as JSON.
    """

    picture: str
    found: Any
    told: Callable[[Any], State]

    def written(self) -> State:
        """As JSON."""
        return {"image": self.picture, **self.told(self.found)}


def rows(state: State) -> Rows:
    """Those of a chunk, written."""
    return [row.written() if isinstance(row, Unwritten) else row for row in state["rows"]]


def chunks(spec: AttributeSetJob) -> int:
    """Chunks of a set before the closing one."""
    return -(-len(spec.images) // CHUNK)


def pictures_of(spec: AttributeSetJob, chunk: int) -> range:
    """The places of a chunk's pictures in the set."""
    return range(chunk * CHUNK, min((chunk + 1) * CHUNK, len(spec.images)))


def target_of(spec: AttributeSetJob, place: int) -> Target:
    """That of a picture."""
    return spec.targets[place if len(spec.targets) > 1 else 0]


def further(spec: AttributeSetJob, chunk: int, state: State, tools: Tools, batch: int) -> State:
    """The next pictures of a chunk; a bad one carries its own error.

    They are asked for by digest first: what the service still has is not even read.
    """
    if is_composed(spec.method):
        return measured(spec, chunk, state, tools, batch)
    before = state.get("rows", [])
    places = pictures_of(spec, chunk)[len(before) :][:batch]
    pictures = spec.images[places.start : places.stop]
    found = known(spec, places, pictures, tools.runner)
    if found is None:
        found = answered(spec, places, sendable(tools, pictures), tools.runner)
    told = labelled.plain if is_labelled(spec.method) else brief
    rows = (Unwritten(p.sha256, a, told) for p, a in zip(pictures, found, strict=False))
    return {"rows": [*before, *rows]}


def known(
    spec: AttributeSetJob, places: range, pictures: Sequence[Digest], runner: Runner
) -> list[Any] | None:
    """What is said of pictures whose bytes the service holds; None where it lacks some."""
    try:
        found = answered(spec, places, pictures, runner)
    except ImageNotCached:
        return None
    return None if any(isinstance(item, ImageNotCached) for item in found) else found


def sendable(tools: Tools, pictures: Sequence[Digest]) -> list[Sent]:
    """As many of the pictures as one call may carry, or why one cannot be had."""
    items, weight = list[Sent](), 0
    for picture in pictures:
        item = fetched(tools, picture.sha256)
        weight += len(item) if isinstance(item, bytes) else 0
        if items and weight > BATCH_BYTES:
            break
        items.append(Encoded(data=item) if isinstance(item, bytes) else item)
    return items


def answered(
    spec: AttributeSetJob, places: range, items: Sequence[Sent], runner: Runner
) -> list[Any]:
    """By a method's own way, an answer for each picture or its error."""
    if is_labelled(spec.method):
        return labelled.answered(spec, items, runner)
    return ask(spec, items, [target_of(spec, i) for i in places], runner)


def measured(spec: AttributeSetJob, chunk: int, state: State, tools: Tools, batch: int) -> State:
    """The next picture of a chunk, or some more steered answers about the one that was begun."""
    before, now = state.get("rows", []), state.get("now")
    place = pictures_of(spec, chunk)[len(before)]
    name, target = spec.images[place].sha256, target_of(spec, place)
    item = fetched(tools, name)
    if now is None or isinstance(item, SteerboardError):
        sent = item if isinstance(item, SteerboardError) else Encoded(data=item)
        (answer,) = ask(spec, [sent], [target], tools.runner)
        row = {"image": name, **brief(answer)}
        if "error" in row:
            return {"rows": [*before, row]}
        return {"rows": before, "now": {"row": row, "measured": []}}
    row = now["row"]
    frozen = ResolvedTarget(row["index"], row["against"], row["kind"])
    asked = composed.measured_by(tools.runner, spec, item, target, frozen)
    now = composed.further(spec, asked, row["features"], now, batch)
    if not composed.complete(spec, len(row["features"]), target, now):
        return {"rows": before, "now": now}
    return {"rows": [*before, ranked(spec, now)]}


def ranked(spec: AttributeSetJob, now: State) -> State:
    """The row of a picture whose steered answers are all there."""
    row, own = now["row"], composed.scored(spec, now)
    order = composed.by_size(own["scores"])
    lists = {"features": row["features"], **own}
    rest = composed.remainder(spec, row["value"], now)
    plain = {**row, "error_term": rest.pop("error"), **rest}
    return plain | {name: [values[i] for i in order] for name, values in lists.items()}


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
    spec: AttributeSetJob, items: Sequence[Sent], targets: Sequence[Target], runner: Runner
) -> list[Item]:
    """An attribution for each picture, in one call for each target."""
    found: dict[int, Item] = {i: e for i, e in enumerate(items) if isinstance(e, SteerboardError)}
    sent = {i: p for i, p in enumerate(items) if not isinstance(p, SteerboardError)}
    groups: dict[Target, list[int]] = {}
    for i in sent:
        groups.setdefault(targets[i], []).append(i)
    for target, members in groups.items():
        request = spec.question(tuple(sent[i] for i in members), target)
        found.update(zip(members, runner.attribute(request).items, strict=True))
    return [found[i] for i in range(len(items))]


def brief(item: Item) -> State:
    """An attribution as a JSON object, or the picture's error."""
    if isinstance(item, SteerboardError):
        return {"error": item.message, "reason": item.reason}
    (one,) = item
    more = {} if one.baseline is None else {"baseline": one.baseline}
    return more | {
        "index": one.target.index,
        "against": one.target.against,
        "kind": one.target.kind,
        "value": one.value,
        "features": one.features.tolist(),
        "scores": one.scores.tolist(),
        "rest": one.rest,
        "error_term": one.error,
        "bias": one.bias,
        "total": one.total,
    }


def gist(spec: AttributeSetJob, rows: Rows) -> bytes:
    """What the closing chunk needs of a chunk; nothing where it reads the rows themselves."""
    return b"" if is_labelled(spec.method) else Tally.of(rows).packed()


def closing(spec: AttributeSetJob, state: State, tools: Tools) -> State:
    """The closing chunk, a step further; raises NotFound where a result is no longer held."""
    if is_labelled(spec.method):
        return labelled.gathered(spec, chunks(spec), state, tools)
    return gathered(chunks(spec), state, tools)


def total(spec: AttributeSetJob, state: State) -> State:
    """What the closing chunk found."""
    return labelled.summary(state) if is_labelled(spec.method) else tally_of(state).aggregate()


def gathered(count: int, state: State, tools: Tools) -> State:
    """The tallies of some more of the other chunks, in their order."""
    start = state.get("chunks", 0)
    stop = min(count, start + CLOSED_AT_ONCE)
    further = [Tally.read(data) for data in held(tools.gists(range(start, stop)))]
    whole = Tally.joined([tally_of(state), *further])
    return {"chunks": stop, "tally": whole.packed().hex()}


def tally_of(state: State) -> Tally:
    """What the closing chunk has added up."""
    return Tally.read(bytes.fromhex(state["tally"])) if "tally" in state else NOTHING
