"""A real server on loopback, in a thread with its own event loop."""

import asyncio
import sys
import threading
from contextlib import contextmanager
from pathlib import Path

import pytest

import steerboard

sys.path.insert(0, str(Path(__file__).parent))


class Hosted:
    """An InferenceServer that runs beside the test."""

    def __init__(self, load, token_secret=None, listen="127.0.0.1:0"):
        from services.inference.server import InferenceServer

        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever)
        self.thread.start()

        async def build():
            server = InferenceServer(listen, token_secret)
            await server.start()
            return server

        self.server = self.do(build())
        self.address = f"127.0.0.1:{self.server.port}"
        if load is not None:
            self.do(self.server.load(load))

    def do(self, coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(60)

    def stop(self, grace_s=5.0):
        self.do(self.server.stop(grace_s))
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()
        self.loop.close()


@contextmanager
def starting():
    """Start servers with ``start(load, token_secret)``; all are stopped afterwards."""
    held = []

    def start(load=None, token_secret=None):
        held.append(Hosted(load, token_secret))
        return held[-1]

    try:
        yield start
    finally:
        for hosted in held:
            if hosted.thread.is_alive():
                hosted.stop()


@pytest.fixture
def hosting():
    """Servers that live for one test."""
    with starting() as start:
        yield start


@pytest.fixture(scope="module")
def host_module():
    """Servers that live for all tests of a file."""
    with starting() as start:
        yield start


@pytest.fixture(scope="session")
def tiny_server(tiny_house):
    from services.inference.loading import load_runner, warm

    def load():
        runner, engine = load_runner(tiny_house)
        warm(runner)
        return runner, engine

    hosted = Hosted(load)
    yield hosted
    hosted.stop()


@pytest.fixture(scope="session")
def local_runner(tiny_house):
    return steerboard.local(tiny_house)


@pytest.fixture(scope="session")
def remote_runner(tiny_server):
    runner = steerboard.connect(tiny_server.address)
    yield runner
    runner.close()


@pytest.fixture(params=["local", "remote"])
def runner(request):
    """Either runner: the contract holds for both."""
    return request.getfixturevalue(f"{request.param}_runner")
