"""The steps of a ``catalogue`` job: chunks that observe pictures, and a closing one.

What is observed lies in files of the job's own folder, named by content, so that a chunk which is
done again writes the same file. The closing chunk merges them, then lays rows group by group, in
steps that leave their state in files, for a step must be short and any worker may take the next.
Who goes on with what it began has that at hand, and does not read the files.
"""

import time
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq

from services.attribution.picture_set import CHUNK, fetched
from services.attribution.tools import State, Tools
from steerboard.catalogue import observe
from steerboard.catalogue import partial as parts
from steerboard.catalogue.build import Plan, about, described, empty, named, told, write_responses
from steerboard.catalogue.file import Catalogue, headed
from steerboard.catalogue.partial import Partial
from steerboard.catalogue.records import pack, unpack
from steerboard.catalogue.shards import Shards, exists
from steerboard.catalogue.shelf import Shelf
from steerboard.catalogue.table import GROUP, SCHEMA, Compared, Known, rows_of, table
from steerboard.catalogue.thumbnails import put, write_thumbnails
from steerboard.images.picture import Picture
from steerboard.spec.answers import Provenance
from steerboard.spec.capabilities import DictionaryInfo, ModelInfo
from steerboard.spec.errors import NotFound, SteerboardError
from steerboard.spec.jobs import CatalogueJob

AT_ONCE = 16  # chunks that a closing step looks up at a time
STEP_S = 0.5  # after which it reads no further ones
KNOWN = 8  # jobs whose model is at hand
RESULT, WORK = "result", "work"


@dataclass
class AtHand:
    """What a closing step of this process came to, named by the file that it stands in."""

    place: str = ""
    made: Any = None

    def leave(self, place: str, made: object) -> None:
        """Hold this, and nothing else."""
        self.place, self.made = place, made

    def take(self, place: str) -> Any:
        """It, or None; it is held no more, for a step that fails may have changed half of it."""
        if place != self.place:
            return None
        found = self.made
        self.leave("", None)
        return found


@dataclass
class Described:
    """Model and dictionary of the jobs at hand; an answer says by which ones it was given."""

    held: OrderedDict[str, tuple[ModelInfo, DictionaryInfo]] = field(default_factory=OrderedDict)

    def of(self, spec: CatalogueJob, tools: Tools) -> tuple[ModelInfo, DictionaryInfo]:
        """Those of a job, as they were when they were asked for."""
        return self.held.get(tools.folder) or self.anew(spec, tools)

    def anew(self, spec: CatalogueJob, tools: Tools) -> tuple[ModelInfo, DictionaryInfo]:
        """Those of a job as they are now."""
        found = self.held[tools.folder] = described(tools.runner, plan_of(spec))
        while len(self.held) > KNOWN:
            self.held.popitem(last=False)
        return found


@dataclass
class Late:
    """What a closing step came to, to be written at its end, where it is not the last one.

    Attributes:
        work: The folder.
        merged: What is merged by now, and its name.
        shelf: What is on the shelf by now, and its name.
        rows: Groups of rows by number.
    """

    work: Shards
    merged: tuple[str, Partial] | None = None
    shelf: tuple[str, Shelf] | None = None
    rows: dict[int, pa.Table] = field(default_factory=dict)

    def write(self) -> None:
        """Write it."""
        if self.merged is not None:
            self.work.put(self.merged[0], parts.save(self.merged[1]))
        if self.shelf is not None:
            self.work.put(self.shelf[0], pack(self.shelf[1].records()))
        for i, rows in self.rows.items():
            put(self._place(i), SCHEMA, [rows], level=1)

    def group(self, i: int) -> pa.Table:
        """A group of rows, of this step or of one before."""
        if i in self.rows:
            return self.rows[i]
        with fsspec.open(self._place(i), "rb") as file:
            return pq.ParquetFile(file).read(use_threads=False)  # read_table would import pandas

    def _place(self, i: int) -> str:
        return f"{self.work.place}/rows-{i}.parquet"


_AT_HAND, _DESCRIBED = AtHand(), Described()


def chunks(spec: CatalogueJob) -> int:
    """Chunks of a set before the closing one."""
    return -(-len(spec.images) // CHUNK)


def images_of(spec: CatalogueJob, chunk: int) -> range:
    """Places of a chunk's pictures."""
    return range(chunk * CHUNK, min(len(spec.images), (chunk + 1) * CHUNK))


def closed(spec: CatalogueJob, chunk: int, state: State) -> bool:
    """Whether a chunk is done."""
    if chunk == chunks(spec):
        return "place" in state
    return len(state.get("rows", ())) == len(images_of(spec, chunk))


def observed(spec: CatalogueJob, chunk: int, state: State, tools: Tools, batch: int) -> State:
    """The next pictures of a chunk; a bad one carries its own error."""
    before = state.get("rows", [])
    places = images_of(spec, chunk)[len(before) :]
    wanted = places[: evenly(len(places), batch)]
    names = [spec.images[i].sha256 for i in wanted]
    items = [fetched(tools, name) for name in names]
    good = [
        Picture(name, data, name, attributes=facts(spec, i))
        for i, name, data in zip(wanted, names, items, strict=True)
        if isinstance(data, bytes)
    ]
    wrong = {
        n: e.message for n, e in zip(names, items, strict=True) if isinstance(e, SteerboardError)
    }
    shard = ""
    if good:
        shard, broken = record(spec, good, tools)
        wrong |= broken
    fresh = [
        {"image": n, "error": wrong[n]} if n in wrong else {"image": n, "shard": shard}
        for n in names
    ]
    return {"rows": [*before, *fresh]}


def evenly(left: int, batch: int) -> int:
    """How many of the pictures ``left`` come next, so that no few of them are left to go alone.

    At most half as many again as a ``batch``: one picture costs nearly what some together do.
    """
    turns = -(-left // (batch + batch // 2))
    return -(-left // turns)


def record(spec: CatalogueJob, good: list[Picture], tools: Tools) -> tuple[str, dict[str, str]]:
    """Observe pictures into a shard; its name, and those that were refused with the reason."""
    info, book = _DESCRIBED.of(spec, tools)
    answer = tools.runner.encode(observe.question(info, book.id, good))
    if not is_by(answer.provenance, info, book):  # replaced meanwhile, or it does not say
        info, book = _DESCRIBED.anew(spec, tools)
    found = observe.observed(good, answer.items, info.prefix_tokens)
    shards = Shards(f"{tools.folder}/{WORK}", about(info, book))
    shard = shards.name(p.sha256 for p in good)
    shards.write(shard, found.records)
    return shard, {b.key: b.why for b in found.broken}


def is_by(who: Provenance, info: ModelInfo, book: DictionaryInfo) -> bool:
    """Whether an answer is of this model and dictionary."""
    own = info.fingerprint, book.fingerprint, info.precision
    return own == (who.model_fingerprint, who.dictionary_fingerprint, who.precision)


def facts(spec: CatalogueJob, place: int) -> dict[str, str]:
    """The classes of a picture by name."""
    listed = spec.facts[place] if spec.facts else ()
    return {name.partition("=")[0]: name.partition("=")[2] for name in listed}


def gathered(spec: CatalogueJob, state: State, tools: Tools) -> State:
    """The closing chunk, a step further: one stage after another, while there is time.

    What a later step goes on from is written at the end of this one.
    """
    until, late = time.monotonic() + STEP_S, Late(work_of(tools))
    while True:
        stage = STAGES[state.get("stage", "merge")]
        state = stage(spec, state, tools, late, until)
        if closed(spec, chunks(spec), state):
            return state
        if time.monotonic() >= until:
            late.write()
            return state


def merged(spec: CatalogueJob, state: State, tools: Tools, late: Late, until: float) -> State:
    """Some more chunks merged."""
    work, start = late.work, state.get("chunks", 0)
    partial = _AT_HAND.take(f"{work.place}/merged-{start}") or merged_before(spec, start, tools)
    stop, failed = start, state.get("failed", 0)
    for numbers in in_time(start, chunks(spec), until):
        names, broken = found_in(tools, numbers)
        for name in names:
            partial.add(name, work.read(name))
        stop, failed = numbers.stop, failed + broken
    if stop == chunks(spec) and not partial.pictures:
        raise NotFound("no picture of the set could be read: there is nothing to tell of")
    late.merged = f"merged-{stop}", partial
    _AT_HAND.leave(f"{work.place}/merged-{stop}", partial)
    stage = "shelve" if stop == chunks(spec) else "merge"
    return {"stage": stage, "chunks": stop, "failed": failed}


def merged_before(spec: CatalogueJob, start: int, tools: Tools) -> Partial:
    """What earlier steps merged."""
    if start:
        return parts.load(work_of(tools).get(f"merged-{start}"))
    return empty(plan_of(spec), *described(tools.runner, plan_of(spec)))


def shelved(spec: CatalogueJob, state: State, tools: Tools, late: Late, until: float) -> State:
    """Embeddings and thumbnails of what is referred to, from some more chunks."""
    work, start = late.work, state.get("shelved", 0)
    partial, shelf = shelved_before(spec, start, tools)
    stop = start
    for numbers in in_time(start, chunks(spec), until):
        for name in found_in(tools, numbers)[0]:
            shelf.add(work.read(name))
        stop = numbers.stop
    late.shelf = f"shelf-{stop}", shelf
    _AT_HAND.leave(f"{work.place}/shelf-{stop}", (partial, shelf))
    stage = "lay" if stop == chunks(spec) else "shelve"
    return {**state, "stage": stage, "shelved": stop}


def shelved_before(spec: CatalogueJob, start: int, tools: Tools) -> tuple[Partial, Shelf]:
    """The merged state, and what earlier steps took from the chunks for it."""
    work, last = work_of(tools), f"merged-{chunks(spec)}"
    held: tuple[Partial, Shelf] | None = _AT_HAND.take(f"{work.place}/shelf-{start}")
    if held is not None:
        return held
    partial = _AT_HAND.take(f"{work.place}/{last}") or parts.load(work.get(last))
    shelf = Shelf(partial)
    if start:
        shelf.add(unpack(work.get(f"shelf-{start}")))
    return partial, shelf


def in_time(start: int, end: int, until: float) -> Iterator[range]:
    """Numbers of chunks from ``start`` on, some at a time, until a step has taken long enough."""
    while start < end:
        yield range(start, min(end, start + AT_ONCE))
        start += AT_ONCE
        if time.monotonic() >= until:
            return


def laid(spec: CatalogueJob, state: State, tools: Tools, late: Late, until: float) -> State:
    """Some further groups of rows; after the last of them the file."""
    place = f"{tools.folder}/{RESULT}/{spec.dictionary}.parquet"
    if exists(place):  # written by a try that was cut off before it could say so
        return ended(state, place)
    work, start = late.work.place, state.get("groups", 0)
    known, compared, facts = _AT_HAND.take(f"{work}/rows-{start}") or made(spec, tools)
    fired = rows_of(known.partial)
    for i in range(start, -(-len(fired) // GROUP)):
        late.rows[i] = table(known, fired[i * GROUP : (i + 1) * GROUP], compared)
        if time.monotonic() >= until:
            _AT_HAND.leave(f"{work}/rows-{i + 1}", (known, compared, facts))
            return {**state, "groups": i + 1}
    write_thumbnails(place, known.shelf.thumbnails)
    write_responses(place, known.partial)
    count = -(-len(fired) // GROUP)
    put(place, headed(known, facts), (late.group(i) for i in range(count)))
    late.work.clear()
    return ended(state, place)


STAGES = {"merge": merged, "shelve": shelved, "lay": laid}


def ended(state: State, place: str) -> State:
    """The state with a file that is written."""
    found = Catalogue(place)
    return {**state, "pictures": found.about["pictures"], "features": len(found), "place": place}


def made(spec: CatalogueJob, tools: Tools) -> tuple[Known, Compared, dict[str, object]]:
    """What rows are made from: the merged state, the shelf, and the words from the text tower.

    And what the file says of model and dictionary.
    """
    plan = plan_of(spec)
    info, book = described(tools.runner, plan)
    partial, shelf = shelved_before(spec, chunks(spec), tools)
    labels = {f.removeprefix("label=") for one in spec.facts for f in one if f.startswith("label=")}
    words = (*info.prompts, *sorted(labels), *spec.words)
    known = named(tools.runner, info, plan, partial, shelf, words)
    return known, Compared.of(partial), told(info, book)


def found_in(tools: Tools, numbers: Iterable[int]) -> tuple[list[str], int]:
    """Names of the shards of chunks, and how many of their pictures are broken."""
    rows = []
    for part in tools.finished(list(numbers)):
        if part is None:
            raise NotFound(
                "the result cache (Redis) no longer holds all parts of this set: it is too small,"
                " or it was started anew; ask again"
            )
        rows += part
    return sorted({r["shard"] for r in rows if "shard" in r}), sum("error" in r for r in rows)


def work_of(tools: Tools) -> Shards:
    """Files of a job that are gone when it has ended."""
    return Shards(f"{tools.folder}/{WORK}", "")


def plan_of(spec: CatalogueJob) -> Plan:
    """What is to be built."""
    return Plan(spec.model, spec.dictionary, spec.references, words=spec.words)


def summary(state: State) -> State:
    """The result of a job: where its files are, and what is in them."""
    return {name: state[name] for name in ("place", "pictures", "features", "failed")}
