"""The steps of an ``evidence`` job: chunks that look at pictures, and a closing one.

The closing chunk puts controls, other strengths and re-encoding to samples of the pictures, a few
a step, and then says what it all comes to. Its state holds the samples' answers only; what the
other chunks have seen is read from their results, once a process.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from services.attribution.picture_set import CHUNK, fetched
from services.attribution.results import Rows
from services.attribution.tools import State, Tools
from steerboard.analysis.evidence.assemble import note
from steerboard.analysis.evidence.gathered import Gathered, joined
from steerboard.analysis.evidence.steps import (
    Ground,
    Options,
    Samples,
    challenge,
    evidence_of,
    lay,
    look,
    reread,
    samples,
)
from steerboard.spec.errors import NotFound, SteerboardError
from steerboard.spec.evidence_job import EvidenceJob, EvidencePicture

CHALLENGED, REREAD = 16, 16  # pictures of a step, at most: each is asked many times
FIRST = 4  # pictures of the first step of the closing chunk, whose time is not known yet


@dataclass(frozen=True)
class Held:
    """A picture with its bytes, which are empty where nobody asks for them."""

    key: str
    label: str
    attributes: Mapping[str, str | float | None]
    data: bytes = b""


@dataclass(frozen=True)
class JobSet:
    """The pictures of a job as a set, for its name and its order; without bytes."""

    spec: EvidenceJob

    @property
    def name(self) -> str:
        """Of the image set."""
        return self.spec.image_set

    @property
    def split(self) -> str:
        """Its split, empty for all."""
        return self.spec.split

    def __len__(self) -> int:
        return len(self.spec.images)

    def __iter__(self) -> Iterator[Held]:
        return (held(picture) for picture in self.spec.images)


def held(picture: EvidencePicture, data: bytes = b"") -> Held:
    """A picture as the steps know it."""
    facts = dict(fact.partition("=")[::2] for fact in picture.facts)
    return Held(picture.key, picture.label, facts, data)


def chunks(spec: EvidenceJob) -> int:
    """Chunks of pictures before the closing one."""
    return -(-len(spec.images) // CHUNK)


def images_of(spec: EvidenceJob, chunk: int) -> tuple[EvidencePicture, ...]:
    """A chunk's pictures."""
    return spec.images[chunk * CHUNK : (chunk + 1) * CHUNK]


def closed(spec: EvidenceJob, chunk: int, state: State) -> bool:
    """Whether a chunk is done."""
    if chunk == chunks(spec):
        return "evidence" in state
    return len(state.get("rows", ())) == len(images_of(spec, chunk))


def looked(spec: EvidenceJob, chunk: int, state: State, tools: Tools, batch: int) -> State:
    """The next pictures of a chunk, before and after; a bad one carries its own error."""
    before = state.get("rows", [])
    wanted = images_of(spec, chunk)[len(before) : len(before) + batch]
    items = {p.key: fetched(tools, p.sha256) for p in wanted}
    good = [held(p, data) for p in wanted if isinstance(data := items[p.key], bytes)]
    ground = ground_of(spec, tools)
    seen = joined(look(ground, good, len(spec.images)))
    wrong = {k: e.message for k, e in items.items() if isinstance(e, SteerboardError)}
    seen.failed.update(wrong)
    return {"rows": [*before, *(row_of(p, seen) for p in wanted)]}


def row_of(picture: EvidencePicture, seen: Gathered) -> State:
    """What was seen of one picture, as JSON."""
    known = {"image": picture.sha256, "key": picture.key}
    if picture.key in seen.failed:
        return {**known, "error": seen.failed[picture.key]}
    part = Gathered(
        rows={picture.key: seen.rows[picture.key]},
        logits={k: v for k, v in seen.logits.items() if k == picture.key},
    )
    found = part.model_dump(mode="json", include={"rows", "logits"})
    return {**known, **{name: of.get(picture.key) for name, of in found.items()}}


def seen_in(rows: Iterable[State]) -> Gathered:
    """The inverse, over many pictures."""
    parts: dict[str, dict[str, object]] = {"rows": {}, "logits": {}, "failed": {}}
    for row in rows:
        for name, field in (("rows", "rows"), ("logits", "logits"), ("failed", "error")):
            if row.get(field) is not None:
                parts[name][row["key"]] = row[field]
    return Gathered.model_validate(parts)


def gathered(spec: EvidenceJob, state: State, tools: Tools, batch: int = FIRST) -> State:
    """The closing chunk, a step of at most ``batch`` pictures further.

    What a step finds is laid beside what is there, and read once, at the end.
    """
    base, found = base_of(spec, tools), state.get("found", [])
    for stage, most in (("challenged", CHALLENGED), ("reread", REREAD)):
        keys, start = getattr(base.sample, stage), state.get(stage, 0)
        wanted = keys[start : start + min(most, batch if state else FIRST)]
        if wanted:
            part = base.asked(stage, wanted, tools).model_dump(mode="json")
            sizes = [len(base.sample.challenged), len(base.sample.reread)]
            return {**state, "found": [*found, part], "of": sizes, stage: start + len(wanted)}
    parts = joined([base.seen, *map(Gathered.model_validate, found)])
    evidence, _ = evidence_of(base.ground, JobSet(spec), parts)
    heads = {"evidence": evidence, "note": note(evidence)}
    return {**state, **{name: one.model_dump(mode="json") for name, one in heads.items()}}


def summary(state: State) -> State:
    """The result of a job: the evidence as a whole, and its head."""
    return {name: state[name] for name in ("evidence", "note")}


def units(state: State) -> int:
    """How far the closing chunk is, in pictures."""
    return int(state.get("challenged", 0)) + int(state.get("reread", 0))


def told(state: State) -> str:
    """How far the closing chunk is, in words; empty before its first step."""
    if "of" not in state:
        return ""
    challenged, reread_ = state["of"]
    if (done := int(state.get("challenged", 0))) < challenged:
        return f"controls and other strengths on {done} of {challenged} pictures"
    return f"features read again on {int(state.get('reread', 0))} of {reread_} pictures"


@dataclass(frozen=True)
class Base:
    """What every step of the closing chunk stands on."""

    spec: EvidenceJob
    ground: Ground
    seen: Gathered
    sample: Samples

    def asked(self, stage: str, keys: Iterable[str], tools: Tools) -> Gathered:
        """Some pictures of a sample under what its stage asks."""
        wanted = frozenset(keys)
        pictures = [held(p, tools.read(p.sha256)) for p in self.spec.images if p.key in wanted]
        ground = replace(self.ground, runner=tools.runner)
        if stage == "reread":
            return reread(ground, pictures)
        return joined(challenge(ground, pictures))


@dataclass
class Latest:
    """What this process made last: a worker that goes on with a job has it at hand."""

    folder: str = ""
    ground: Ground | None = None
    base: Base | None = None


_LATEST = Latest()


def ground_of(spec: EvidenceJob, tools: Tools) -> Ground:
    """What all steps stand on; a job's folder names recipe, model and pictures."""
    if _LATEST.folder != tools.folder or _LATEST.ground is None:
        options = Options(vocabulary=spec.vocabulary, seed=spec.seed)
        _LATEST.ground = lay(tools.runner, spec.recipe, options)
        _LATEST.folder, _LATEST.base = tools.folder, None
    return replace(_LATEST.ground, runner=tools.runner)


def base_of(spec: EvidenceJob, tools: Tools) -> Base:
    """All that the other chunks have seen, and the samples that follow from it.

    Raises:
        NotFound: A result is no longer held.
    """
    ground = ground_of(spec, tools)
    if _LATEST.base is None:
        seen = seen_in(rows_of(tools.finished(range(chunks(spec)))))
        _LATEST.base = Base(spec, ground, seen, samples(seen, JobSet(spec), ground.options))
    return _LATEST.base


def rows_of(parts: Iterable[Rows | None]) -> Iterator[State]:
    """The rows of all chunks; raises NotFound."""
    for part in parts:
        if part is None:
            raise NotFound(
                "the result cache (Redis) no longer holds all parts of this set: it is too small,"
                " or it was started anew; ask again"
            )
        yield from part
