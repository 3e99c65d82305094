"""``python -m bench.jobs``: how the worker pool scales, and what a question that was asked costs.

``scaling``: an inference stub (a real gRPC server) answers a chunk of 16 pictures after 20 ms; the
chunks a second of 1, 2, 4, 8 and 16 hands beside the same multiple of one hand's in the same round:
of the whole set, with accepting and closing it, and of its middle, while all hands have work. Where
the rest went is told beside it: how late the stub was, and a chunk's time on a core and waiting for
one, in the worker's processes (Linux). ``flight``: 100
callers ask the same picture at once; calls of inference are counted. ``cached``: from call to
answer in the client of the worker pool, where the answer is known. Rounds go in turn, medians are
told. JSON on the last line.
"""

import argparse
import json
import os
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, fields
from pathlib import Path
from statistics import median, quantiles
from typing import Any

import psutil

from bench.jobs_stub import DICTIONARY, MODEL, UNITS, Waiting, waiting
from steerboard.api.jobs_client import JobClient
from steerboard.spec.digest import image_digest
from steerboard.spec.jobs import AttributeJob, AttributeSetJob
from steerboard.spec.requests import Digest, Prompts
from tests.attribution_service.crew import Crew, ended, family

CHUNK_S, CHUNK = 0.020, 16
HANDS = (1, 2, 4, 8, 16)
PROMPTS = Prompts(prompts=("a", "b"))
PICTURES = [b"picture %d" % i for i in range(CHUNK)]  # the stub looks at none


def a_set(chunks: int, mark: int) -> AttributeSetJob:
    """So many chunks; ``mark`` makes it a question of its own."""
    digests = tuple(Digest(sha256=image_digest(data)) for data in PICTURES)
    return AttributeSetJob(
        model=MODEL, images=digests * chunks, classifier=PROMPTS, dictionary=DICTIONARY, steps=mark
    )


def one(number: int) -> AttributeJob:
    """A question about one picture."""
    image = Digest(sha256=image_digest(PICTURES[number % CHUNK]))
    return AttributeJob(
        model=MODEL, image=image, classifier=PROMPTS, dictionary=DICTIONARY, verify=4,
        steps=1 + number // CHUNK,
    )  # fmt: skip


@contextmanager
def staged(seconds: float) -> Iterator[tuple[Crew, Waiting]]:
    """Everything but workers, with the stub in the place of inference."""
    os.environ.setdefault("STEERBOARD_MEASURED", tempfile.gettempdir())
    with tempfile.TemporaryDirectory() as folder, waiting(seconds) as (address, stub):
        house = Path(folder) / "house"
        house.mkdir()
        (house / "steerboard.yaml").write_text("models: {}\n")
        crew = Crew(
            Path(folder), house, STEERBOARD_INFERENCE=address, STEERBOARD_JOB_PATIENCE="300"
        )
        try:
            crew.start("queue", "cache", "door")
            yield crew, stub
        finally:
            crew.end()


@dataclass(frozen=True)
class Pass:
    """One set through a worker.

    Attributes:
        whole: Chunks a second from the call to the set's end.
        steady: Chunks a second without the first tenth of the chunks and the last.
        late_ms: How long after its 20 ms the stub sent an answer, median.
        on_core_ms: Of a chunk, in all processes of the worker.
        wait_ms: For a core, likewise.
    """

    whole: float
    steady: float
    late_ms: float
    on_core_ms: float
    wait_ms: float


def passed(crew: Crew, stub: Waiting, hands: int, seconds: float, mark: int) -> Pass:
    """A set through a worker with so many hands, each with work for ``seconds``."""
    crew.environment["STEERBOARD_WORKERS"] = str(hands)
    crew.start("worker")
    client, worker = crew.client(), crew.process("worker")
    ended(client, client.submit(a_set(4 * hands, 2 * mark), PICTURES).id)
    chunks = int(hands * seconds / CHUNK_S)
    spec = a_set(chunks, 2 * mark + 1)
    stub.late_s.clear()
    before, began = on_cores(worker), time.perf_counter()
    status = ended(client, client.submit(spec).id)
    took = time.perf_counter() - began
    spent = [(b - a) / chunks for a, b in zip(before, on_cores(worker), strict=True)]
    assert status.state == "done", status
    found = Pass(chunks / took, middle(crew, status.id, chunks), 1000 * median(stub.late_s), *spent)
    crew.stop("worker")
    crew.wait_until_forgotten()
    client.close()
    return found


def middle(crew: Crew, job: str, chunks: int) -> float:
    """Chunks a second by when their results were written, without the first and last tenth."""
    (rows,) = (crew.folder / "blobs").glob(f"*.jobs/{job}/rows")
    times = sorted((rows / f"{n}.json.z").stat().st_mtime_ns for n in range(chunks))
    inner = times[chunks // 10 : chunks - chunks // 10]
    return 1e9 * (len(inner) - 1) / (inner[-1] - inner[0])


def on_cores(top: psutil.Process) -> tuple[float, float]:
    """Milliseconds that a process and all below it were on a core, and waited for one."""
    on, waited = 0, 0
    for process in family(top.pid):
        for task in Path(f"/proc/{process.pid}/task").glob("*/schedstat"):
            with suppress(OSError):  # a thread that has just ended
                spent = task.read_text().split()
                on, waited = on + int(spent[0]), waited + int(spent[1])
    return on / 1e6, waited / 1e6


def scaling(rounds: int, seconds: float, hands: tuple[int, ...]) -> dict[str, Any]:
    """Medians by hands, and the share of linear, taken within a round."""
    found: dict[int, list[Pass]] = {n: [] for n in hands}
    with staged(CHUNK_S) as (crew, stub):
        for turn in range(rounds):
            for n in hands:
                mark = 1 + turn * len(hands) + hands.index(n)
                found[n].append(passed(crew, stub, n, seconds, mark))
                print(f"{n} hands: {found[n][-1]}", file=sys.stderr, flush=True)
    names = [f.name for f in fields(Pass)]
    told = {name: {n: typical(p, name) for n, p in found.items()} for name in names}
    return told | {f"{name}_of_linear": linear(found, name) for name in ("whole", "steady")}


def typical(passes: list[Pass], name: str) -> float:
    """The median of one figure."""
    return round(median(getattr(p, name) for p in passes), 2)


def linear(found: dict[int, list[Pass]], name: str) -> dict[int, list[float]]:
    """By hands the least, the median and the greatest share of linear over the rounds."""
    fewest = min(found)
    shares = {
        n: [
            getattr(p, name) * fewest / n / getattr(o, name)
            for p, o in zip(ps, found[fewest], strict=True)
        ]
        for n, ps in found.items()
    }
    return {n: [round(f(s), 3) for f in (min, median, max)] for n, s in shares.items()}


def flight(crew: Crew, stub: Waiting, callers: int) -> dict[str, Any]:
    """So many callers with the same new question at once; what inference was asked."""
    clients = [crew.client(f"person-{i}") for i in range(callers)]
    before = dict(stub.calls)

    def ask(client: JobClient) -> str:
        opened = client.submit(one(0), PICTURES)
        status = ended(client, opened.id)
        assert status.state == "done", status
        return json.dumps([r.model_dump(mode="json") for r in client.result(opened.id)])  # type: ignore[union-attr]

    with ThreadPoolExecutor(callers) as pool:
        answers = set(pool.map(ask, clients))
    for client in clients:
        client.close()
    calls = {name: stub.calls[name] - before[name] for name in before}
    return {"callers": callers, "different_answers": len(answers), "calls_of_inference": calls}


def cached(crew: Crew, questions: int) -> dict[str, Any]:
    """Milliseconds from call to answer of questions that were answered before."""
    client, took = crew.client(), []
    for number in range(16):
        ended(client, client.submit(one(number), PICTURES).id)
    for number in range(questions):
        began = time.perf_counter()
        found = client.ask(one(number % 16))
        took.append(1000 * (time.perf_counter() - began))
        assert len(found.features) == UNITS
    client.close()
    parts = quantiles(took, n=20)
    return {"questions": questions, "p50_ms": round(median(took), 2), "p95_ms": round(parts[18], 2)}


def main(arguments: list[str]) -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m bench.jobs", description=__doc__)
    parser.add_argument("--only", choices=("scaling", "flight"), default="")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--hands", type=int, nargs="+", default=list(HANDS))
    asked = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # what was started is ended too
    told: dict[str, Any] = {}
    if asked.only in ("", "flight"):
        with staged(CHUNK_S) as (crew, stub):
            crew.start("worker")
            told["flight"] = flight(crew, stub, 100)
            told["cached"] = cached(crew, 500)
    if asked.only in ("", "scaling"):
        told["scaling"] = scaling(asked.rounds, asked.seconds, tuple(asked.hands))
    print(json.dumps(told))


if __name__ == "__main__":
    main(sys.argv[1:])
