"""The steps of a ``catalogue`` job: chunks that observe pictures, and a closing one.

What is observed lies in files of the job's own folder, named by content, so that a chunk which is
done again writes the same file. The closing chunk merges them, then lays rows group by group, each
stage in steps with its state in a file, for a step must be short and any worker may take the next.
Who goes on with what it began has that at hand, and does not read the file.
"""

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq

from services.attribution.picture_set import CHUNK, fetched
from services.attribution.tools import State, Tools
from steerboard.catalogue import partial as parts
from steerboard.catalogue.build import Plan, about, described, empty, named, told, write_responses
from steerboard.catalogue.file import Catalogue, headed
from steerboard.catalogue.observe import observe
from steerboard.catalogue.partial import Partial
from steerboard.catalogue.records import pack, unpack
from steerboard.catalogue.shards import Shards, exists
from steerboard.catalogue.shelf import Shelf
from steerboard.catalogue.table import GROUP, SCHEMA, Compared, Known, rows_of, table
from steerboard.catalogue.thumbnails import put, write_thumbnails
from steerboard.images.picture import Picture
from steerboard.spec.errors import NotFound, SteerboardError
from steerboard.spec.jobs import CatalogueJob

AT_ONCE = 16  # chunks that a closing step looks up at a time
STEP_S = 0.5  # after which it reads no further ones
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


_AT_HAND = AtHand()


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
    info, book = described(tools.runner, plan_of(spec))
    shards = Shards(f"{tools.folder}/{WORK}", about(info, book))
    (found,) = observe(tools.runner, info, book.id, [good])
    shard = shards.name(p.sha256 for p in good)
    shards.write(shard, found.records)
    return shard, {b.key: b.why for b in found.broken}


def facts(spec: CatalogueJob, place: int) -> dict[str, str]:
    """The classes of a picture by name."""
    listed = spec.facts[place] if spec.facts else ()
    return {name.partition("=")[0]: name.partition("=")[2] for name in listed}


def gathered(spec: CatalogueJob, state: State, tools: Tools) -> State:
    """The closing chunk, a step further."""
    stage = state.get("stage", "merge")
    if stage == "merge":
        return merged(spec, state, tools)
    if stage == "shelve":
        return shelved(spec, state, tools)
    return laid(spec, state, tools)


def merged(spec: CatalogueJob, state: State, tools: Tools) -> State:
    """Some more chunks merged."""
    work, start = work_of(tools), state.get("chunks", 0)
    partial = _AT_HAND.take(f"{work.place}/merged-{start}") or merged_before(spec, start, tools)
    stop, failed = start, state.get("failed", 0)
    for numbers in in_time(start, chunks(spec)):
        names, broken = found_in(tools, numbers)
        for name in names:
            partial.add(name, work.read(name))
        stop, failed = numbers.stop, failed + broken
    if stop == chunks(spec) and not partial.pictures:
        raise NotFound("no picture of the set could be read: there is nothing to tell of")
    work.put(f"merged-{stop}", parts.save(partial))
    _AT_HAND.leave(f"{work.place}/merged-{stop}", partial)
    stage = "shelve" if stop == chunks(spec) else "merge"
    return {"stage": stage, "chunks": stop, "failed": failed}


def merged_before(spec: CatalogueJob, start: int, tools: Tools) -> Partial:
    """What earlier steps merged."""
    if start:
        return parts.load(work_of(tools).get(f"merged-{start}"))
    return empty(plan_of(spec), *described(tools.runner, plan_of(spec)))


def shelved(spec: CatalogueJob, state: State, tools: Tools) -> State:
    """Embeddings and thumbnails of what is referred to, from some more chunks."""
    work, start = work_of(tools), state.get("shelved", 0)
    partial, shelf = shelved_before(spec, start, tools)
    stop = start
    for numbers in in_time(start, chunks(spec)):
        for name in found_in(tools, numbers)[0]:
            shelf.add(work.read(name))
        stop = numbers.stop
    work.put(f"shelf-{stop}", pack(shelf.records()))
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


def in_time(start: int, end: int) -> Iterator[range]:
    """Numbers of chunks from ``start`` on, some at a time, until a step has taken long enough."""
    until = time.monotonic() + STEP_S
    while start < end:
        yield range(start, min(end, start + AT_ONCE))
        start += AT_ONCE
        if time.monotonic() > until:
            return


def laid(spec: CatalogueJob, state: State, tools: Tools) -> State:
    """A further group of rows; after the last of them the file."""
    place = f"{tools.folder}/{RESULT}/{spec.dictionary}.parquet"
    if exists(place):  # written by a try that was cut off before it could say so
        return ended(state, place)
    work, start = f"{tools.folder}/{WORK}", state.get("groups", 0)
    known, compared = _AT_HAND.take(f"{work}/rows-{start}") or made(spec, tools)
    fired = rows_of(known.partial)
    if start * GROUP < len(fired):
        own = fired[start * GROUP : (start + 1) * GROUP]
        put(f"{work}/rows-{start}.parquet", SCHEMA, [table(known, own, compared)], level=1)
        _AT_HAND.leave(f"{work}/rows-{start + 1}", (known, compared))
        return {**state, "groups": start + 1}
    write_thumbnails(place, known.shelf.thumbnails)
    write_responses(place, known.partial)
    head = headed(known, told(*described(tools.runner, plan_of(spec))))
    put(place, head, (read(f"{work}/rows-{i}.parquet") for i in range(start)))
    Shards(work, "").clear()
    return ended(state, place)


def ended(state: State, place: str) -> State:
    """The state with a file that is written."""
    found = Catalogue(place)
    return {**state, "pictures": found.about["pictures"], "features": len(found), "place": place}


def made(spec: CatalogueJob, tools: Tools) -> tuple[Known, Compared]:
    """What rows are made from: the merged state, the shelf, and the words from the text tower."""
    plan = plan_of(spec)
    info, _ = described(tools.runner, plan)
    partial, shelf = shelved_before(spec, chunks(spec), tools)
    labels = {f.removeprefix("label=") for one in spec.facts for f in one if f.startswith("label=")}
    words = (*info.prompts, *sorted(labels), *spec.words)
    known = named(tools.runner, info, plan, partial, shelf, words)
    return known, Compared.of(partial)


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


def read(place: str) -> pa.Table:
    """A group of rows."""
    with fsspec.open(place, "rb") as file:
        return pq.ParquetFile(file).read(use_threads=False)  # read_table would import pandas


def work_of(tools: Tools) -> Shards:
    """Files of a job that are gone when it has ended."""
    return Shards(f"{tools.folder}/{WORK}", "")


def plan_of(spec: CatalogueJob) -> Plan:
    """What is to be built."""
    return Plan(spec.model, spec.dictionary, spec.references, words=spec.words)


def summary(state: State) -> State:
    """The result of a job: where its files are, and what is in them."""
    return {name: state[name] for name in ("place", "pictures", "features", "failed")}
