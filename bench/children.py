"""The servers that are measured, each a child process on a free port."""

import http.client
import importlib.util
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from bench.clients import OverGrpc, OverHttp

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


@contextmanager
def running(command: list[str], **environment: str) -> Iterator[subprocess.Popen[bytes]]:
    """The child within; its whole group is gone afterwards."""
    child = subprocess.Popen(
        command,
        cwd=ROOT,
        env=os.environ | environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        yield child
    finally:
        _end(child)


def _end(child: subprocess.Popen[bytes]) -> None:
    try:
        os.killpg(child.pid, 15)
        child.wait(15)
    except subprocess.TimeoutExpired:
        os.killpg(child.pid, 9)
        child.wait()
    except ProcessLookupError:
        child.wait()


@contextmanager
def ours(architecture: str, threads: int) -> Iterator[OverGrpc]:
    """The project's server, ready."""
    port = free_port()
    command = [sys.executable, "-m", "bench.serve", architecture, str(port), str(threads)]
    with running(command) as child:
        client = OverGrpc(architecture, port)
        _until(child, lambda: _serves(client.channel))
        yield client
        client.close()


@contextmanager
def peer(name: str, python: str, architecture: str, threads: int, batch: int) -> Iterator[OverHttp]:
    """A peer under its own interpreter, with our model code beside it, ready."""
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
    }
    with running(command, **environment) as child:
        _until(child, lambda: _listens(port, path))
        yield OverHttp(port, path)


def installed(name: str, python: str) -> bool:
    """Whether the peer's interpreter has it."""
    if python == sys.executable:
        return importlib.util.find_spec(name) is not None
    asked = subprocess.run([python, "-c", f"import {name}"], capture_output=True, check=False)
    return asked.returncode == 0


def _until(child: subprocess.Popen[bytes], ready) -> None:
    end = time.monotonic() + PATIENCE_S
    while not ready():
        if child.poll() is not None or time.monotonic() > end:
            raise RuntimeError(f"{child.args} did not come up")
        time.sleep(0.1)


def _serves(channel: grpc.Channel) -> bool:
    try:
        asked = health_pb2_grpc.HealthStub(channel).Check(
            health_pb2.HealthCheckRequest(), timeout=2
        )
    except grpc.RpcError:
        return False
    return bool(asked.status == health_pb2.HealthCheckResponse.SERVING)


def _listens(port: int, path: str) -> bool:
    """Whether one picture is answered: a port may be open long before the model is there."""
    try:
        kept = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        kept.request("POST", path, bytes(3 * 224 * 224 * 4))
        return kept.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
