"""The steps of a ``catalogue`` job: chunks that observe pictures, and a closing one.

What is observed lies in files of the job's own folder, named by content, so that a chunk which is
done again writes the same file. The closing chunk merges them, then lays rows group by group, each
stage in steps with its state in a file, for a step must be short and any worker may take the next.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq

from services.attribution.picture_set import CHUNK, fetched
from services.attribution.tools import State, Tools
from steerboard.catalogue import partial as parts
from steerboard.catalogue.build import Plan, about, described, empty, named, told, write_responses
from steerboard.catalogue.file import Catalogue, headed
from steerboard.catalogue.observe import observe
from steerboard.catalogue.records import pack, unpack
from steerboard.catalogue.shards import Shards, exists
from steerboard.catalogue.shelf import Shelf
from steerboard.catalogue.table import GROUP, SCHEMA, Compared, Known, rows_of, table
from steerboard.catalogue.thumbnails import put, write_thumbnails
from steerboard.images.picture import Picture
from steerboard.spec.errors import NotFound, SteerboardError
from steerboard.spec.jobs import CatalogueJob

AT_ONCE = 16  # chunks that a closing step reads
RESULT, WORK = "result", "work"


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
    wanted = images_of(spec, chunk)[len(before) : len(before) + batch]
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
    work, start = Shards(f"{tools.folder}/{WORK}", ""), state.get("chunks", 0)
    if start:
        partial = parts.load(work.get(f"merged-{start}"))
    else:
        partial = empty(plan_of(spec), *described(tools.runner, plan_of(spec)))
    stop = min(chunks(spec), start + AT_ONCE)
    names, failed = found_in(tools, range(start, stop))
    for name in names:
        partial.add(name, work.read(name))
    work.put(f"merged-{stop}", parts.save(partial))
    if stop < chunks(spec):
        return {"stage": "merge", "chunks": stop, "failed": state.get("failed", 0) + failed}
    if not partial.pictures:
        raise NotFound("no picture of the set could be read: there is nothing to tell of")
    return {"stage": "shelve", "chunks": stop, "failed": state.get("failed", 0) + failed}


def shelved(spec: CatalogueJob, state: State, tools: Tools) -> State:
    """Embeddings and thumbnails of what is referred to, from some more chunks."""
    work, start = Shards(f"{tools.folder}/{WORK}", ""), state.get("shelved", 0)
    shelf = Shelf(parts.load(work.get(f"merged-{chunks(spec)}")))
    if start:
        shelf.add(unpack(work.get(f"shelf-{start}")))
    stop = min(chunks(spec), start + AT_ONCE)
    for name in found_in(tools, range(start, stop))[0]:
        shelf.add(work.read(name))
    work.put(f"shelf-{stop}", pack(shelf.records()))
    stage = "lay" if stop == chunks(spec) else "shelve"
    return {**state, "stage": stage, "shelved": stop}


def laid(spec: CatalogueJob, state: State, tools: Tools) -> State:
    """A further group of rows; after the last of them the file."""
    place = f"{tools.folder}/{RESULT}/{spec.dictionary}.parquet"
    if exists(place):  # written by a try that was cut off before it could say so
        return ended(state, place)
    known, compared = held(spec, tools)
    fired = rows_of(known.partial)
    work, start = f"{tools.folder}/{WORK}", state.get("groups", 0)
    if start * GROUP < len(fired):
        own = fired[start * GROUP : (start + 1) * GROUP]
        rows = table(known, own, compared)
        put(f"{work}/rows-{start}.parquet", SCHEMA, [rows])
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


@dataclass
class Held:
    """What this process made last: a worker that goes on with a job has it at hand."""

    folder: str = ""
    made: tuple[Known, Compared] | None = None


_HELD = Held()


def held(spec: CatalogueJob, tools: Tools) -> tuple[Known, Compared]:
    """What rows are made from; a job's folder names model, dictionary and pictures too."""
    if _HELD.folder != tools.folder or _HELD.made is None:
        known = make(spec, tools)
        _HELD.made, _HELD.folder = (known, Compared.of(known.partial)), tools.folder
    return _HELD.made


def make(spec: CatalogueJob, tools: Tools) -> Known:
    """The merged state and the shelf from their files, and the words from the text tower."""
    work, plan = Shards(f"{tools.folder}/{WORK}", ""), plan_of(spec)
    info, _ = described(tools.runner, plan)
    partial = parts.load(work.get(f"merged-{chunks(spec)}"))
    shelf = Shelf(partial)
    shelf.add(unpack(work.get(f"shelf-{chunks(spec)}")))
    labels = {f.removeprefix("label=") for one in spec.facts for f in one if f.startswith("label=")}
    return named(
        tools.runner, info, plan, partial, shelf, (*info.prompts, *sorted(labels), *spec.words)
    )


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
        return pq.read_table(file)


def plan_of(spec: CatalogueJob) -> Plan:
    """What is to be built."""
    return Plan(spec.model, spec.dictionary, spec.references, words=spec.words)


def summary(state: State) -> State:
    """The result of a job: where its files are, and what is in them."""
    return {name: state[name] for name in ("place", "pictures", "features", "failed")}
