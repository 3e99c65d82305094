"""The servers that are measured, each a child process on a free port.

``starting...`` gives a server that is on its way, so that several may start side by side.
"""

import http.client
import importlib.util
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Generic, TypeVar

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from bench.clients import OverGrpc, OverHttp
from bench.house import EMOJILAND
from steerboard.model.placement import HOST, Placement

ROOT = Path(__file__).resolve().parents[1]
PATIENCE_S = 300.0
PEERS = {
    "mosec": ("bench.peer_mosec", "/inference"),
    "litserve": ("bench.peer_litserve", "/predict"),
}


def free_port() -> int:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        return int(held.getsockname()[1])


Client = TypeVar("Client")


@dataclass(frozen=True)
class Child:
    """A process of ours, and what it says."""

    process: subprocess.Popen[bytes]
    log: IO[bytes]

    def until(self, ready: Callable[[], bool]) -> None:
        """Wait for it; raises RuntimeError with its last words where it never comes."""
        end = time.monotonic() + PATIENCE_S
        while not ready():
            if self.process.poll() is not None or time.monotonic() > end:
                raise RuntimeError(f"{self.process.args} did not come up: {self.last_words()}")
            time.sleep(0.1)

    def last_words(self, most: int = 600) -> str:
        """The end of what it said."""
        self.log.seek(0)
        return self.log.read().decode(errors="replace").strip()[-most:]


@dataclass(frozen=True)
class Coming(Generic[Client]):
    """A server that starts, and whoever asks it."""

    child: Child
    client: Client
    answers: Callable[[], bool]

    def ready(self) -> Client:
        """The client, as soon as the server answers."""
        self.child.until(self.answers)
        return self.client


@contextmanager
def running(command: list[str], **environment: str) -> Iterator[Child]:
    """The child within; its whole group is gone afterwards."""
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            env=os.environ | environment,
            stdout=log,
            stderr=log,
            process_group=0,
        )
        try:
            yield Child(process, log)
        finally:
            _end(process)


def _end(child: subprocess.Popen[bytes]) -> None:
    try:
        os.killpg(child.pid, 15)
        child.wait(15)
    except subprocess.TimeoutExpired:
        os.killpg(child.pid, 9)
        child.wait()
    except ProcessLookupError:
        child.wait()


def size_of(architecture: str) -> tuple[int, int]:
    """Height and width of the pictures that a model reads."""
    return (96, 96) if architecture == EMOJILAND else (224, 224)


def settings(there: Placement) -> dict[str, str]:
    """What a child is told of where to compute: the service's own settings."""
    return {"STEERBOARD_DEVICE": str(there.device), "STEERBOARD_PRECISION": there.precision}


@contextmanager
def starting(
    architecture: str,
    threads: int,
    profile: str = "",
    secret: str = "",
    there: Placement = HOST,
) -> Iterator[Coming[OverGrpc]]:
    """The project's server.

    Args:
        architecture: What it serves.
        threads: Of torch.
        profile: A file for where its time went, written when it ends; or empty.
        secret: What tokens are signed with; or empty.
        there: Where it computes.
    """
    port = free_port()
    command = [sys.executable, "-m", "bench.serve", architecture, str(port), str(threads)]
    told = settings(there) | {"STEERBOARD_TOKEN_SECRET": secret}
    with running([*command, *filter(None, [profile])], **told) as child:
        client = OverGrpc(architecture, port, size_of(architecture))
        yield Coming(child, client, lambda: _serves(client.channel))
        client.close()


@contextmanager
def ours(
    architecture: str, threads: int, secret: str = "", there: Placement = HOST
) -> Iterator[OverGrpc]:
    """The same, ready."""
    with starting(architecture, threads, secret=secret, there=there) as coming:
        yield coming.ready()


@contextmanager
def house(config: Path, threads: int, secret: str) -> Iterator[tuple[str, int]]:
    """The inference service as it is shipped, ready: address and process id."""
    address = f"127.0.0.1:{free_port()}"
    own = {"STEERBOARD_CONFIG": str(config), "STEERBOARD_INFERENCE_LISTEN": address}
    command = [sys.executable, "-m", "services.inference"]
    own |= {"STEERBOARD_THREADS": str(threads), "STEERBOARD_TOKEN_SECRET": secret}
    with running(command, **own) as child:
        with grpc.insecure_channel(address) as channel:
            child.until(lambda: _serves(channel))
        yield address, child.process.pid


@contextmanager
def starting_peer(
    name: str, python: str, architecture: str, threads: int, batch: int, there: Placement = HOST
) -> Iterator[Coming[OverHttp]]:
    """A peer under its own interpreter, with our model code beside it."""
    module, path = PEERS[name]
    port = free_port()
    command = [python, "-m", module]
    if name == "mosec":
        command += ["--address", "127.0.0.1", "--port", str(port), "--timeout", "120000"]
    environment = {
        "PYTHONPATH": os.pathsep.join([str(ROOT), *filter(None, sys.path)]),
        "PATH": os.pathsep.join([str(Path(python).parent), os.environ.get("PATH", "")]),
        "BENCH_ARCHITECTURE": architecture,
        "BENCH_THREADS": str(threads),
        "BENCH_BATCH": str(batch),
        "BENCH_PORT": str(port),
        "BENCH_SHAPE": "3,{},{}".format(*size_of(architecture)),
    } | settings(there)
    with running(command, **environment) as child:
        height, width = size_of(architecture)
        picture = bytes(3 * height * width * 4)
        yield Coming(child, OverHttp(port, path), lambda: _listens(port, path, picture))


def installed(name: str, python: str) -> bool:
    """Whether the peer's interpreter has it."""
    if python == sys.executable:
        return importlib.util.find_spec(name) is not None
    looking = f"import importlib.util as i, sys; sys.exit(i.find_spec({name!r}) is None)"
    return subprocess.run([python, "-c", looking], check=False).returncode == 0


def _serves(channel: grpc.Channel) -> bool:
    try:
        asked = health_pb2_grpc.HealthStub(channel).Check(
            health_pb2.HealthCheckRequest(), timeout=2
        )
    except grpc.RpcError:
        return False
    return bool(asked.status == health_pb2.HealthCheckResponse.SERVING)


def _listens(port: int, path: str, picture: bytes) -> bool:
    """Whether one picture is answered: a port may be open long before the model is there."""
    try:
        kept = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        kept.request("POST", path, picture)
        return kept.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
