"""The services as real processes, which a test may kill and start again one by one."""

import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from services.attribution.records import Records
from steerboard.api.client import connect
from steerboard.api.jobs_client import JobClient, LibraryClient
from steerboard.api.tokens import Identity, sign
from steerboard.cli.demo import healthy, worker_is_up
from steerboard.cli.processes import free_port
from steerboard.cli.redis_servers import Server
from steerboard.spec.jobs import JobStatus
from steerboard.spec.runner import Runner

SECRET = secrets.token_urlsafe(32)
SLOW = ("inference", "door", "worker")  # in starting
PATIENCE_S = 240.0  # for what must happen on a machine that is busy with other things


def wait_for(
    what: Callable[[], bool], told: Callable[[], object] = lambda: "", pause_s: float = 0.05
) -> None:
    limit = time.monotonic() + PATIENCE_S
    while not what():
        assert time.monotonic() < limit, told()
        time.sleep(pause_s)


class Crew:
    """Two Redis servers, inference, job door and worker, each in a process of its own.

    Args:
        folder: For logs, data and uploads.
        house: The folder with the steerboard.yaml.
        more: Further environment of all services.
    """

    def __init__(self, folder: Path, house: Path, **more: str) -> None:
        self.folder = folder
        self.queue = Server("queue", free_port(), "a-password", folder / "queue")
        self.cache = Server("cache", free_port(), "a-password", folder / "cache")
        self.inference, self.door = (f"127.0.0.1:{free_port()}" for _ in range(2))
        self.environment = {
            **{k: v for k, v in os.environ.items() if not k.startswith("STEERBOARD_")},
            "OMP_NUM_THREADS": "1",
            "STEERBOARD_MEASURED": os.environ["STEERBOARD_MEASURED"],
            "STEERBOARD_CONFIG": str(house),
            "STEERBOARD_BROKER": self.queue.url,
            "STEERBOARD_CACHE": self.cache.url,
            "STEERBOARD_INFERENCE": self.inference,
            "STEERBOARD_INFERENCE_LISTEN": self.inference,
            "STEERBOARD_JOBS_LISTEN": self.door,
            "STEERBOARD_BLOBS": str(folder / "blobs"),
            "STEERBOARD_WORKERS": "2",
            "STEERBOARD_TOKEN_SECRET": SECRET,
            "STEERBOARD_TOKEN": sign(Identity(subject="services", role="service"), SECRET),
            **more,
        }
        own = {"STEERBOARD_CACHE": str(folder / "measured")}
        self._commands: dict[str, tuple[tuple[str, ...], dict[str, str], Callable[[], bool]]] = {
            "queue": (self.queue.child(keeps=True).command, {}, self.queue.answers),
            "cache": (self.cache.child(keeps=False).command, {}, self.cache.answers),
            "inference": (python("inference"), own, lambda: healthy(self.inference)),
            "door": (python("attribution", "door"), {}, lambda: healthy(self.door)),
            "worker": (python("attribution", "worker"), {}, self.consumes),
        }
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def replace(self, name: str, *command: str) -> None:
        """Let another program be a part, which is up when the part would be."""
        _, more, up = self._commands[name]
        self._commands[name] = (command, more, up)

    def start(self, *names: str, wait: bool = True) -> None:
        """Start parts; without names all of them."""
        wanted = names or tuple(self._commands)
        for name in wanted:
            command, more, _ = self._commands[name]
            with open(self.folder / f"{name}.log", "ab") as log:
                self._running[name] = subprocess.Popen(
                    command,
                    env={**self.environment, **more},
                    stdout=log,
                    stderr=log,
                    process_group=0,
                )
        for name in wanted if wait else ():
            self._await(name)

    def _await(self, name: str) -> None:
        # Each look opens a connection; only Redis is up in less than a second.
        pause_s = 0.3 if name in SLOW else 0.05
        wait_for(self._commands[name][2], lambda: self.log(name), pause_s)

    def complete(self) -> None:
        """Start the parts that do not run, and wait until all are up."""
        there = {name for name, process in self._running.items() if process.poll() is None}
        if missing := [name for name in self._commands if name not in there]:
            self.start(*missing, wait=False)
        for name in self._commands:
            self._await(name)

    def consumes(self) -> bool:
        """Whether a worker that was started last took a pulse from the queue."""
        return worker_is_up(self.queue.url)

    def wait_until_forgotten(self) -> None:
        """Until no worker counts as alive: the slots of one that ended are known for seconds."""
        records = Records(self.queue.url)
        wait_for(lambda: not records.alive() and not records.slots())

    def process(self, name: str) -> psutil.Process:
        """The main process of a part."""
        return psutil.Process(self._running[name].pid)

    @contextmanager
    def held(self, name: str) -> Iterator[None]:
        """A part and all that it started stand still meanwhile."""
        processes = family(self._running[name].pid)
        try:
            for process in processes:
                process.suspend()
            yield
        finally:
            for process in processes:
                process.resume()

    def kill(self, name: str) -> None:
        """kill -9 of a part and of all that it started."""
        process = self._running.pop(name)
        for child in family(process.pid):
            child.kill()
        process.wait()

    def stop(self, name: str) -> int:
        """SIGTERM; the exit code."""
        process = self._running.pop(name)
        process.send_signal(signal.SIGTERM)
        return process.wait(60)

    def wait(self, name: str) -> int:
        """Until a part ends by itself; the exit code."""
        return self._running.pop(name).wait(PATIENCE_S)

    def end(self) -> None:
        """All that is left."""
        for name in list(self._running):
            self.kill(name)

    def log(self, name: str) -> str:
        """The last words of a part."""
        return (self.folder / f"{name}.log").read_text(errors="replace")[-4000:]

    def client(self, subject: str = "ann", **more: object) -> JobClient:
        """The job door, for a person."""
        who = Identity.model_validate({"subject": subject, **more})
        return JobClient(self.door, sign(who, SECRET), 20.0)

    def runner(self, subject: str = "ann") -> Runner:
        """The inference service, for a person."""
        return connect(self.inference, sign(Identity(subject=subject), SECRET), 60.0)

    def library(self) -> LibraryClient:
        """The reading room."""
        return LibraryClient(self.door, sign(Identity(subject="ann"), SECRET))


def family(pid: int) -> list[psutil.Process]:
    """A process and all below it, so that none is left to go on."""
    try:
        top = psutil.Process(pid)
        return [top, *top.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def python(*arguments: str) -> tuple[str, ...]:
    service, *rest = arguments
    return (sys.executable, "-m", f"services.{service}", *rest)


def ended(client: JobClient, job: str) -> JobStatus:
    """The last state of a job; no report of progress goes back."""
    seen = list(client.watch(job, PATIENCE_S))
    done = [status.done for status in seen]
    assert done == sorted(done), seen
    return seen[-1]
