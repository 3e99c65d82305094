"""A job over many pictures while its parts are killed, beside the same job left alone.

``make chaos`` asks for 10,000 pictures of Emojiland (its own ones again and again, each time with
bytes of its own). Workers and single processes of their pools are killed with -9 at random moments,
the queue's Redis and the inference service once each. At the end every picture must stand in the
result exactly once, in its place, with the answer that the undisturbed job has. How far it is, and
what is killed, is told on the way. JSON on the last line; the exit status is 1 where that does not
hold, or the whole took longer than ``--limit-s``.
"""

import argparse
import json
import os
import random
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import psutil

from steerboard.api.jobs_client import JobClient
from steerboard.spec.digest import image_digest
from steerboard.spec.errors import SteerboardError
from steerboard.spec.jobs import AttributeSetJob, JobStatus
from steerboard.spec.requests import Digest
from tests.attribution_service.crew import Crew

RELATIVE = 1e-4  # batches of another size round otherwise
PAUSE_S, SAY_S = 0.3, 5.0


@dataclass
class Told:
    """What was seen of a disturbed job beside an undisturbed one."""

    pictures: int
    kills: dict[str, int] = field(default_factory=dict)
    missing: int = 0
    out_of_place: int = 0
    failed: int = 0
    different: int = 0
    byte_identical: int = 0
    seconds_undisturbed: float = 0.0
    seconds_disturbed: float = 0.0

    @property
    def holds(self) -> bool:
        """Every picture once, in its place, with the answer of the undisturbed job."""
        return not (self.missing or self.out_of_place or self.failed or self.different)


def distinct(pictures: Sequence[bytes], count: int) -> list[bytes]:
    """So many pictures, no two with the same bytes."""
    return [pictures[i % len(pictures)] + b" " * (1 + i // len(pictures)) for i in range(count)]


def question(model: str, dictionary: str, classifier: Any, images: list[bytes]) -> AttributeSetJob:
    """A cheap one: what fires."""
    return AttributeSetJob(
        model=model,
        images=tuple(Digest(sha256=image_digest(data)) for data in images),
        classifier=classifier,
        dictionary=dictionary,
        method="activation",
        top_k=5,
    )


def say(what: str) -> None:
    """To who waits before the terminal."""
    print(f"{time.strftime('%H:%M:%S')} {what}", file=sys.stderr, flush=True)


def persevering(client: JobClient, job: str, until: float) -> JobStatus:
    """The last state of a job, for a watcher who comes back where a part is away.

    Raises:
        SystemExit: It has not ended by ``until``, of the monotonic clock.
    """
    said = 0.0
    while (left := until - time.monotonic()) > 0:
        with suppress(SteerboardError):
            for status in client.watch(job, left):
                if time.monotonic() - said > SAY_S:
                    said = time.monotonic()
                    say(f"{status.done} of {status.total} chunks")
            return status
        time.sleep(PAUSE_S)
    raise SystemExit("the job has not ended in time: it hangs, or the machine is too slow for it")


def answered(
    crew: Crew, tenant: str, spec: AttributeSetJob, images: list[bytes], until: float,
    during: "Killer | None" = None,
) -> tuple[list[Any], float]:  # fmt: skip
    """All rows of a job, and the seconds from its acceptance to its end."""
    client = crew.client(tenant=tenant)
    say(f"{tenant}: {len(images)} pictures are handed in")
    job = client.submit(spec, images).id
    began = time.monotonic()
    if during is not None:
        during.begin(client, job)
    try:
        status = persevering(client, job, until)
    finally:
        if during is not None:
            during.end()
    seconds = time.monotonic() - began
    if status.state != "done":
        raise SystemExit(f"the job ended as {status.state}: {status.message}")
    rows = list(client.result(job, page_size=1000))
    client.close()
    return rows, seconds


class Killer:
    """Kills parts of a crew while a job is at work, and starts them again.

    Args:
        crew: Whose.
        seed: Of what is killed when.
        pause_s: Between two kills of workers: the least and the most.
    """

    def __init__(self, crew: Crew, seed: int, pause_s: tuple[float, float]) -> None:
        self._crew, self._dice, self._pause_s = crew, random.Random(seed), pause_s
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.kills: dict[str, int] = {}
        self._done = 0
        # Where the job is when the parts that die once do so.
        self._once = {"queue": self._dice.uniform(0.15, 0.45), "inference": 0.6}

    def begin(self, client: JobClient, job: str) -> None:
        """Start with a job."""
        self._client, self._job = client, job
        self._thread.start()

    def end(self) -> None:
        """No further kill."""
        self._over.set()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        while not self._over.wait(self._dice.uniform(*self._pause_s)):
            if not self._moved():
                continue
            part = self._due() or self._dice.choice(["worker", "pool"])
            self.kills[part] = self.kills.get(part, 0) + 1
            say(f"kill -9: {'a process of the pool' if part == 'pool' else part}")
            if part == "pool":
                self._kill_one()
                continue
            self._crew.kill(part)
            if not self._over.wait(self._dice.uniform(0.0, 1.5)):
                self._crew.start(part, wait=part != "worker")
            else:
                self._crew.start(part)

    def _moved(self) -> bool:
        """Whether a chunk was done since the last kill: who starts slower than that never works."""
        with suppress(SteerboardError):
            done = next(self._client.watch(self._job, 10.0)).done
            before, self._done = self._done, done
            return done > before
        return False

    def _due(self) -> str | None:
        """The part whose time has come, if any."""
        with suppress(SteerboardError):
            status = next(self._client.watch(self._job, 10.0))
            share = status.done / max(status.total, 1)
            due = [part for part, at in self._once.items() if share >= at]
            for part in due[:1]:
                del self._once[part]
                return part
        return None

    def _kill_one(self) -> None:
        """One process of the pool, or the consumer above it."""
        with suppress(psutil.NoSuchProcess):
            below = self._crew.process("worker").children(recursive=True)
            if below:
                self._dice.choice(below).kill()


def compared(spec: AttributeSetJob, calm: list[Any], stormy: list[Any]) -> Told:
    """Row by row."""
    told = Told(len(spec.images))
    names = [image.sha256 for image in spec.images]
    rows = stormy[1:]
    seen = [row["image"] for row in rows]
    told.missing = len(set(names) - set(seen))
    told.out_of_place = sum(a != b for a, b in zip(names, seen, strict=False))
    told.out_of_place += abs(len(names) - len(seen))
    told.failed = sum("error" in row for row in rows)
    for one, other in zip(calm[1:], rows, strict=False):
        told.byte_identical += one == other
        told.different += not alike(one, other)
    return told


def alike(one: dict[str, Any], other: dict[str, Any]) -> bool:
    """The same scores of the same units; units whose scores are equal may change places."""
    a, b = (dict(zip(r["features"], r["scores"], strict=True)) for r in (one, other))
    if a.keys() != b.keys():  # at the edge of the list a tie may fall either way
        return sorted(map(round4, a.values())) == sorted(map(round4, b.values()))
    return all(abs(a[f] - b[f]) <= RELATIVE * max(abs(a[f]), 1e-3) for f in a)


def round4(value: float) -> str:
    """Four significant digits."""
    return f"{value:.4g}"


def run(
    crew: Crew, spec: AttributeSetJob, images: list[bytes], seed: int,
    pause_s: tuple[float, float], limit_s: float,
) -> Told:  # fmt: skip
    """The job left alone, and the job disturbed, in two tenants that share nothing.

    Raises:
        SystemExit: Both together took longer than ``limit_s``.
    """
    until = time.monotonic() + limit_s
    calm, calm_s = answered(crew, "calm", spec, images, until)
    killer = Killer(crew, seed, pause_s)
    stormy, stormy_s = answered(crew, "stormy", spec, images, until, killer)
    told = compared(spec, calm, stormy)
    told.kills = dict(sorted(killer.kills.items()))
    told.seconds_undisturbed, told.seconds_disturbed = round(calm_s, 1), round(stormy_s, 1)
    return told


def pictures_of(house: Path) -> Iterator[bytes]:
    """All JPEG files of a house's images."""
    for path in sorted((house / "images").rglob("*.jpg")):
        yield path.read_bytes()


def main(arguments: list[str]) -> int:
    """The command; its exit status."""
    parser = argparse.ArgumentParser(prog="python -m bench.jobs_chaos", description=__doc__)
    parser.add_argument("--house", type=Path, default=Path("demo"))
    parser.add_argument("--pictures", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--pause-s", type=float, nargs=2, default=[8.0, 24.0], help="between kills")
    parser.add_argument("--limit-s", type=float, default=450.0, help="of both jobs together")
    asked = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # what was started is ended too
    os.environ.setdefault("STEERBOARD_MEASURED", str(Path.home() / ".cache/steerboard"))
    with tempfile.TemporaryDirectory() as folder:
        crew = Crew(Path(folder), asked.house.resolve(), STEERBOARD_JOB_PATIENCE="600")
        try:
            crew.start()
            model = crew.runner().models()[0]
            images = distinct(list(pictures_of(asked.house)), asked.pictures)
            spec = question(model.id, model.dictionaries[0].id, model.classifier, images)
            told = run(crew, spec, images, asked.seed, tuple(asked.pause_s), asked.limit_s)
        finally:
            crew.end()
    print(json.dumps({**asdict(told), "holds": told.holds}))
    return 0 if told.holds else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
