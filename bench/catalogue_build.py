"""A catalogue's build beside the raw model: pictures a second, and CPU seconds a picture by part.

    python -m bench.catalogue_build --model emojiland --pictures 240 960 1900
    python -m bench.catalogue_build --model ViT-B-32 --pictures 96 480 --rounds 1
    python -m bench.catalogue_build --model ViT-B-32 --pictures 96 480 --workers
    python -m bench.catalogue_build --model emojiland --pictures 480 1900 --workers --apart

Raw is the bare tower in batches over pixels that are ready, and the dictionary's encoder over the
site's activations: nothing is decoded, gathered, kept or sent. The build does all that a catalogue
takes: decodes, runs the tower through to the embedding, encodes, makes records and thumbnails,
merges, and writes the file. In this process; with ``--workers`` by real services and workers over
Redis and gRPC, whose CPU seconds stand by part. Who shares cores with whom is said in the output:

* *shared*: each process may use as many cores as raw, which has all of them to itself in its turn.
  So raw is compared with the model and everything around it, on the same machine.
* *apart* (``--apart``): raw in its turn, and inference in its own, have one half of the cores;
  workers, job door, Redis and the client have the other, as where the model has a machine of its
  own. So raw is compared with what the same cores give behind the services.

Raw and build go in turn, and no picture is known from an earlier turn. Larger sets in
the same round show whether a picture costs more where there are more of them. What a file costs by
its features, however many pictures there are, is a small set's burden: *further* is what each
picture costs that the largest set of a round has more than the smallest. The first build of a
process, which imports and looks up what later ones find, stands apart.
"""

import argparse
import json
import os
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import torch

from bench.clock import figure, machine
from bench.house import DEMO, EMOJILAND, Plan, build
from steerboard.catalogue.build import Plan as Wanted
from steerboard.catalogue.build import build as build_catalogue
from steerboard.catalogue.by_job import build_by_job
from steerboard.images.image_set import ImageSet, open_images
from steerboard.inprocess.runner import LocalRunner, open_local
from steerboard.inprocess.served import ServedModel
from tests.attribution_service.crew import Crew, family

BATCH, FEATURES, BIAS = 32, 6144, -3.5
RAW = 960  # pictures of a raw turn at most
Parts = dict[str, float]


@dataclass(frozen=True)
class Rate:
    """Pictures a second, and CPU seconds a thousand pictures by part."""

    speed: float
    cpu: Parts

    def beyond(self, other: "Rate", count: int, fewer: int) -> "Rate":
        """Of the pictures that this build of ``count`` has more than the other."""
        more = count - fewer
        cpu = {n: (count * c - fewer * other.cpu[n]) / more for n, c in self.cpu.items()}
        return Rate(more / (count / self.speed - fewer / other.speed), cpu)


@dataclass(frozen=True)
class Cores:
    """Which cores the model may use, raw's and the service's, and which everything else."""

    model: frozenset[int]
    rest: frozenset[int]

    @classmethod
    def of_this_machine(cls, apart: bool) -> "Cores":
        """All for everything, or each a half."""
        there = sorted(os.sched_getaffinity(0))
        half = len(there) // 2
        if apart and not half:
            raise SystemExit("one core cannot be shared out: leave --apart")
        first, last = (there[:half], there[half:]) if apart else (there, there)
        return cls(frozenset(first), frozenset(last))

    def told(self) -> str:
        """In words, as each figure is to be read."""
        if self.model == self.rest:
            return "shared: raw has all cores in its turn, and so has the build with all around it"
        return (
            f"apart: raw, and in its own turn inference, have cores {sorted(self.model)}; workers,"
            f" door, Redis and client have {sorted(self.rest)}"
        )


@contextmanager
def on(cores: frozenset[int]) -> Iterator[None]:
    """Within: this thread, and what it starts, uses these cores alone."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def own_cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def images(count: int) -> ImageSet:
    """The first pictures of the demo's."""
    source = open_images(str(DEMO / "images" / "manifest.jsonl"))
    held = list(islice(ImageSet(source, decode=False), count))
    return ImageSet(Held(held), decode=False)


@dataclass(frozen=True)
class Held:
    """Pictures that are in memory."""

    held: list

    def entries(self) -> Iterator:
        from steerboard.images.picture import Entry

        for p in self.held:
            yield Entry(p.key, lambda p=p: p.data, p.label, p.split, p.attributes)


def served(name: str) -> tuple[LocalRunner, ServedModel, str]:
    """A runner, its model, and the dictionary to build of."""
    if name == EMOJILAND:
        runner = open_local(DEMO, "")
        return runner, runner._served[EMOJILAND], "middle"
    model = build(Plan(name, FEATURES, bias=BIAS))
    return LocalRunner({name: model}), model, "book"


def raw(model: ServedModel, book: str, count: int, threads: int) -> Rate:
    """The tower and the encoder, over pixels that are ready."""
    torch.set_num_threads(threads)
    sae = model.books[book]
    site = model.info.dictionary(book).site
    block = int(site.rpartition(".")[2])
    size = model.info.image_size
    pixels = torch.from_numpy(
        np.random.default_rng(0).standard_normal((BATCH, 3, *size), dtype=np.float32)
    )
    kept: list[torch.Tensor] = []
    visual = model.loaded.clip.visual
    handle = visual.transformer.resblocks[block].register_forward_hook(
        lambda module, inputs, out: kept.append(out)
    )
    try:
        with torch.inference_mode():
            began, cpu = time.perf_counter(), own_cpu()
            for _ in range(count // BATCH):
                visual(pixels)
                x = kept.pop()
                sae.encode(x.flatten(0, 1))
            seconds, used = time.perf_counter() - began, own_cpu() - cpu
    finally:
        handle.remove()
    done = count // BATCH * BATCH
    return Rate(done / seconds, {"raw": 1000 * used / done})


def here(runner: LocalRunner, name: str, book: str, some: ImageSet, count: int) -> Rate:
    """The build in this process."""
    runner._kernel.cache.clear()
    runner._pictures.forget()
    with tempfile.TemporaryDirectory() as folder:
        began, cpu = time.perf_counter(), own_cpu()
        build_catalogue(runner, some, Wanted(name, book), f"{folder}/c.parquet", f"{folder}/work")
        seconds, used = time.perf_counter() - began, own_cpu() - cpu
    return Rate(count / seconds, {"build": 1000 * used / count})


@contextmanager
def staged(model: str, threads: int, cores: Cores) -> Iterator[Crew]:
    """Real services over the demo's pictures, each with as many threads as raw."""
    os.environ.setdefault("STEERBOARD_MEASURED", "")
    with tempfile.TemporaryDirectory() as folder:
        crew = Crew(Path(folder), DEMO, OMP_NUM_THREADS=str(threads))
        if model != EMOJILAND:
            crew.replace("inference", *serving(model, crew.inference, threads))
        try:
            with on(cores.model):
                crew.start("inference")
            with on(cores.rest):
                crew.complete()
            yield crew
        finally:
            crew.end()


def serving(model: str, address: str, threads: int) -> tuple[str, ...]:
    """The service with random weights, behind its own engine: no gate would let them in."""
    port = address.rpartition(":")[2]
    own = (f"--features={FEATURES}", f"--bias={BIAS}")
    return (sys.executable, "-m", "bench.serve", model, port, str(threads), *own)


def spent(crew: Crew) -> Parts:
    """CPU seconds of each part so far, those of its processes that have ended too."""
    out = {}
    for name in ("inference", "worker", "door", "queue", "cache"):
        times = [p.cpu_times() for p in family(crew.process(name).pid)]
        out[name] = sum(t.user + t.system + t.children_user + t.children_system for t in times)
    return out


def by_workers(crew: Crew, some: ImageSet, wanted: Wanted, turn: int, count: int) -> Rate:
    """The build by the worker pool, for another tenant each time: nothing is known to two."""
    client = crew.client(tenant=f"turn {turn} of {count}")
    with tempfile.TemporaryDirectory() as folder:
        before, began, cpu = spent(crew), time.perf_counter(), own_cpu()
        build_by_job(client, some, wanted, f"{folder}/c.parquet", lambda pictures: None)
        seconds = time.perf_counter() - began
        after = spent(crew)
    client.close()
    parts = {name: 1000 * (after[name] - before[name]) / count for name in after}
    return Rate(count / seconds, {**parts, "client": 1000 * (own_cpu() - cpu) / count})


def told(rates: list[Rate]) -> dict[str, object]:
    parts = {n: round(figure([r.cpu[n] for r in rates]).median, 2) for n in rates[0].cpu}
    speed = figure([r.speed for r in rates])
    return {"pictures_a_second": speed.told(), "cpu_ms_a_picture": parts}


def compared(
    raws: Callable[[], Rate], build: Callable[[int, int], Rate], sizes: list[int], rounds: int
) -> dict[str, object]:
    """Raw and the builds in turn, and how they compare within each round."""
    first: list[Rate] = []
    rest: dict[str, list[Rate]] = {f"build of {n}": [] for n in sizes}
    for turn in range(rounds):
        first.append(raws())
        made = {n: build(n, turn) for n in sizes}
        for n, rate in made.items():
            rest[f"build of {n}"].append(rate)
        if len(made) > 1:
            few, many = min(made), max(made)
            rest.setdefault("further", []).append(made[many].beyond(made[few], many, few))
    out: dict[str, object] = {"raw": told(first)}
    for name, rates in rest.items():
        pairs = list(zip(rates, first, strict=True))
        by_cpu = [r.cpu["raw"] / sum(b.cpu.values()) for b, r in pairs]
        out[name] = {
            **told(rates),
            "of_raw": figure([b.speed / r.speed for b, r in pairs]).told(),
            "of_raw_by_cpu": figure(by_cpu).told(),
        }
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default=EMOJILAND)
    parser.add_argument("--pictures", type=int, nargs="+", default=[240, 960])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, help="of raw and of each process; as many as cores")
    parser.add_argument("--workers", action="store_true", help="by real services")
    parser.add_argument("--apart", action="store_true", help="the model has cores of its own")
    asked = parser.parse_args()
    if asked.apart and not asked.workers:
        parser.error("--apart says where services run: give --workers too")
    cores = Cores.of_this_machine(asked.apart)
    threads = asked.threads or len(cores.model)
    runner, model, book = served(asked.model)
    torch.set_num_threads(threads)
    sizes = asked.pictures
    sets = {n: images(n) for n in sizes}

    def raws() -> Rate:
        with on(cores.model):
            return raw(model, book, min(RAW, max(sizes)), threads)

    with staged(asked.model, threads, cores) if asked.workers else nullcontext() as crew:

        def one(n: int, turn: int) -> Rate:
            if crew is not None:
                with on(cores.rest):
                    return by_workers(crew, sets[n], Wanted(asked.model, book), turn, n)
            return here(runner, asked.model, book, sets[n], n)

        # What a process does once, such as imports, is in no round: further pictures would owe it.
        first = told([one(min(sizes), -1)])
        found = {f"first build, of {min(sizes)}": first, **compared(raws, one, sizes, asked.rounds)}
    runner.close()
    about = {"model": asked.model, "machine": machine(), "threads": threads}
    if asked.workers:
        about["cores"] = cores.told()
    print(json.dumps({**about, **found}, indent=1))


if __name__ == "__main__":
    main()
