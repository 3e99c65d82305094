import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console

from steerboard.cli.demo import healthy
from steerboard.cli.processes import Child, House
from steerboard.cli.serve import command_of
from steerboard.spec.errors import InvalidRequest, Unavailable


def test_a_child_that_dies_is_named_with_its_last_words(tmp_path: Path) -> None:
    command = (sys.executable, "-c", "raise SystemExit('the port is taken')")
    child = Child("door", command, {}, lambda: False, 20)
    with House(tmp_path, Console(quiet=True)) as house:
        house.start(child)
        with pytest.raises(Unavailable, match=r"door ended with code 1[\s\S]*the port is taken"):
            house.wait()


def test_leaving_stops_every_child(tmp_path: Path) -> None:
    child = Child(
        "sleeper", (sys.executable, "-c", "import time; time.sleep(60)"), {}, lambda: True
    )
    with House(tmp_path, Console(quiet=True)) as house:
        house.start(child)
        house.wait()
        ((_, process),) = house._running
        assert process.poll() is None
    assert process.poll() is not None


SLOW_TO_END = """
import signal, sys, time
signal.signal(signal.SIGTERM, lambda *_: (time.sleep(1), sys.exit()))
open(sys.argv[1], "w").close()
time.sleep(60)
"""


def test_a_second_ctrl_c_leaves_no_child_behind(tmp_path: Path) -> None:
    ready = tmp_path / "ready"
    child = Child("slow", (sys.executable, "-c", SLOW_TO_END, str(ready)), {}, ready.exists)
    again = threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT))
    house = House(tmp_path, Console(quiet=True))
    try:
        with house:
            house.start(child)
            house.wait()
            again.start()
    except KeyboardInterrupt:
        pytest.fail("stopping was interrupted")
    finally:
        again.join()
        ((_, process),) = house._running
        left = process.poll() is None
        process.kill()
    assert not left


def test_an_unknown_service_is_refused() -> None:
    assert command_of("jobs")[-1] == "door"
    with pytest.raises(InvalidRequest, match="no service"):
        command_of("moon")


SERVER = """
import time
from concurrent.futures import ThreadPoolExecutor
import grpc
from grpc_health.v1 import health, health_pb2_grpc
server = grpc.server(ThreadPoolExecutor(2))
health_pb2_grpc.add_HealthServicer_to_server(health.HealthServicer(), server)
print(server.add_insecure_port("127.0.0.1:0"), flush=True)
server.start()
time.sleep(600)
"""


def test_a_server_that_stands_still_is_not_healthy_until_it_goes_on() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", SERVER], stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            address = f"127.0.0.1:{int(process.stdout.readline())}"
            until(lambda: healthy(address))
            os.kill(process.pid, signal.SIGSTOP)
            assert not healthy(address)
            os.kill(process.pid, signal.SIGCONT)
            until(lambda: healthy(address))
        finally:
            process.kill()


def until(condition: Callable[[], bool]) -> None:
    """On a busy machine the first look may come too early."""
    for _ in range(100):
        if condition():
            return
    raise AssertionError("never")


def test_a_look_at_a_server_that_never_comes_back_is_given_up() -> None:
    never = threading.Event()
    try:
        assert not healthy("nowhere", lambda address: never.wait(), patience_s=0.2)
    finally:
        never.set()
