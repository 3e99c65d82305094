"""``steerboard demo``: the whole system as child processes on this machine."""

import os
import secrets
import signal
import sys
import time
import urllib.request
import webbrowser
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Thread

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from rich.console import Console

from steerboard.api.channel import open_channel
from steerboard.cli.processes import Child, House, free_port, listening
from steerboard.cli.redis_servers import Server
from steerboard.spec.errors import NotFound, SteerboardError

PYTHON = sys.executable
USUAL_PORT = 50051
HEALTH_S = 5.0


@dataclass(frozen=True)
class Addresses:
    """Where the parts of one demo listen; Redis by URL."""

    broker: str
    cache: str
    inference: str
    jobs: str
    ui_port: int

    def environment(self, config: Path, folder: Path) -> dict[str, str]:
        """What the services read."""
        return {
            "STEERBOARD_CONFIG": str(config.resolve()),
            "STEERBOARD_BROKER": self.broker,
            "STEERBOARD_CACHE": self.cache,
            "STEERBOARD_INFERENCE": self.inference,
            "STEERBOARD_INFERENCE_LISTEN": self.inference,
            "STEERBOARD_JOBS": self.jobs,
            "STEERBOARD_JOBS_LISTEN": self.jobs,
            "STEERBOARD_BLOBS": str((folder / "blobs").resolve()),
            "STEERBOARD_STORE": f"sqlite:///{(folder / 'sessions.sqlite').resolve()}",
        }


def serving(address: str) -> bool:
    """Whether a gRPC server says SERVING; may wait for long on one that stands still."""
    with open_channel(address) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        try:
            answer = stub.Check(health_pb2.HealthCheckRequest(), timeout=1.0)
        except grpc.RpcError:
            return False
        return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)


def healthy(
    address: str, ask: Callable[[str], bool] = serving, patience_s: float = HEALTH_S
) -> bool:
    """Whether a gRPC server says SERVING, within bounds.

    On a machine with much to do gRPC did not always keep its own time, neither with a call nor
    with the closing of a channel, so nobody waits for either: they are left to a thread.
    """
    said: SimpleQueue[bool] = SimpleQueue()
    Thread(target=lambda: said.put(ask(address)), daemon=True, name="health").start()
    try:
        return said.get(timeout=patience_s)
    except Empty:
        return False


def page_is_up(port: int) -> bool:
    """Whether Streamlit says that it is healthy."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/_stcore/health", timeout=1) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def redis_children(environment: Mapping[str, str], folder: Path) -> tuple[list[Child], str, str]:
    """Our own two servers, or none where both URLs are given; and the URLs."""
    broker, cache = environment.get("STEERBOARD_BROKER"), environment.get("STEERBOARD_CACHE")
    if broker and cache:
        return [], broker, cache
    queue = Server("redis-queue", free_port(), secrets.token_urlsafe(24), folder / "redis-queue")
    results = Server("redis-cache", free_port(), secrets.token_urlsafe(24), folder / "redis-cache")
    return [queue.child(keeps=True), results.child(keeps=False)], queue.url, results.url


def plan(
    config: Path, folder: Path, ui_port: int, with_ui: bool, base: int = 0
) -> tuple[list[Child], Addresses]:
    """Every child of the demo, in the order they start; inference at port ``base``, jobs next."""
    children, broker, cache = redis_children(os.environ, folder)
    inference, jobs = (f"127.0.0.1:{base + i if base else free_port()}" for i in range(2))
    at = Addresses(broker, cache, inference, jobs, ui_port)
    environment = at.environment(config, folder)
    # There the same variable names the folder that keeps what calibration measured.
    own = {**environment, "STEERBOARD_CACHE": str((folder / "measured").resolve())}
    children += [
        Child("inference", (PYTHON, "-m", "services.inference"), own, lambda: healthy(inference)),
        Child(
            "job-door",
            (PYTHON, "-m", "services.attribution", "door"),
            environment,
            lambda: healthy(jobs),
        ),
        Child(
            "worker",
            (PYTHON, "-m", "services.attribution", "worker"),
            environment,
            lambda: worker_is_up(broker),
        ),
    ]
    if with_ui:
        children.append(Child("ui", ui_command(ui_port), environment, lambda: page_is_up(ui_port)))
    return children, at


def ui_command(port: int) -> tuple[str, ...]:
    """Streamlit on loopback, quiet, with the sources of this checkout on the path."""
    flags = {
        "server.port": str(port),
        "server.address": "127.0.0.1",
        "server.headless": "true",
        "server.fileWatcherType": "none",
        "browser.gatherUsageStats": "false",
        "client.toolbarMode": "minimal",
    }
    return (PYTHON, "-m", "services.ui", *(f"--{k}={v}" for k, v in flags.items()))


def worker_is_up(broker: str) -> bool:
    """Whether a worker was heard of."""
    import redis

    try:
        return bool(redis.Redis.from_url(broker, socket_timeout=1).exists("steerboard:worker"))
    except redis.RedisError:
        return False


def stop_on_signals() -> None:
    """Ctrl-C and SIGTERM both end the demo, also where a shell had SIGINT ignored."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)


def require(config: Path) -> None:
    """The demo's files are there."""
    if not (config / "steerboard.yaml").is_file() and not config.is_file():
        raise NotFound(
            f"{config} holds no steerboard.yaml: run this from the repository, "
            "or name one with --config"
        )


def usual_ports() -> int:
    """The services' own ports, so that every example works as it stands; 0 where they are taken."""
    return 0 if listening(USUAL_PORT) or listening(USUAL_PORT + 1) else USUAL_PORT


def run_demo(config: Path, folder: Path, ui_port: int, base: int = 0, browser: bool = True) -> int:
    """Start everything, say where the page is, and stay until Ctrl-C or until a part dies."""
    console = Console()
    require(config)
    stop_on_signals()
    taken = [p for p in ([ui_port] + ([base, base + 1] if base else [])) if listening(p)]
    if taken:
        console.print(
            f"[red]port {taken[0]} is taken: --ui-port or --port-base choose others[/red]"
        )
        return 1
    began = time.monotonic()
    children, at = plan(config, folder, ui_port, True, base or usual_ports())
    try:
        with House(folder / "logs", console) as house:
            for child in children:
                house.start(child)
            house.wait()
            console.print(
                f"up in {time.monotonic() - began:.0f} s; runner at {at.inference}, "
                f"jobs at {at.jobs}, logs in {folder / 'logs'}"
            )
            console.print(
                f"\n  open [bold]http://127.0.0.1:{ui_port}[/bold]   (Ctrl-C stops everything)\n"
            )
            if browser:
                webbrowser.open(f"http://127.0.0.1:{ui_port}")
            while True:
                house.check()
                time.sleep(0.5)
    except KeyboardInterrupt:
        console.print("stopped")
        return 0
    except SteerboardError as error:
        console.print(f"[red]{error.message}[/red]", markup=True, highlight=False)
        return 1


def run_check(config: Path, folder: Path, json_path: Path | None) -> int:
    """Start everything but the page, run the tasks through it, print the table."""
    from steerboard.cli.check import report

    console = Console()
    require(config)
    stop_on_signals()
    children, at = plan(config, folder, 0, with_ui=False)
    try:
        with House(folder / "logs", console) as house:
            for child in children:
                house.start(child)
            house.wait()
            return report(console, at.inference, at.jobs, json_path, config)
    except SteerboardError as error:
        console.print(f"[red]{error.message}[/red]", highlight=False)
        return 1
