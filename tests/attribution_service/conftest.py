"""A real Redis, empty for each test, and the tiny house's runner in this process."""

import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from services.attribution.celery_app import make_app
from services.attribution.desk import Desk
from services.attribution.dispatch import Dispatcher
from services.attribution.hands import Hands
from services.attribution.library import Library
from services.attribution.records import Records
from services.attribution.results import Results
from steerboard.cli.processes import free_port
from steerboard.cli.redis_servers import Server
from steerboard.inprocess.runner import LocalRunner, open_local
from steerboard.spec.digest import image_digest
from steerboard.spec.jobs import AttributeJob
from steerboard.spec.requests import Digest
from tests.attribution_service.pool import PROMPTS, Counting


class RunningRedis:
    """A server process that a test may kill and start again."""

    def __init__(self, folder: Path) -> None:
        self.server = Server("redis", free_port(), "a-password", folder)
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return self.server.url

    def start(self) -> None:
        child = self.server.child(keeps=True)
        self.process = subprocess.Popen(child.command, stdout=subprocess.DEVNULL)
        limit = time.monotonic() + 60
        while not child.healthy():
            assert time.monotonic() < limit, "Redis does not start"
            time.sleep(0.05)

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[RunningRedis]:
    """For a test that does to it what others would feel."""
    running = RunningRedis(tmp_path / "redis")
    running.start()
    yield running
    running.kill()


@pytest.fixture(scope="session")
def shared_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningRedis]:
    running = RunningRedis(tmp_path_factory.mktemp("redis"))
    running.start()
    yield running
    running.kill()


@pytest.fixture
def server(shared_server: RunningRedis) -> RunningRedis:
    if shared_server.process is None or shared_server.process.poll() is not None:
        shared_server.start()  # a test before this one has killed it
    with redis.Redis.from_url(shared_server.url) as client:
        client.config_set("maxmemory", 0)
        client.flushall()
    return shared_server


@pytest.fixture(scope="session")
def runner(tiny_house: Path) -> Iterator[LocalRunner]:
    found = open_local(tiny_house, "")
    yield found
    found.close()


@pytest.fixture
def library(tiny_house: Path, tmp_path: Path) -> Library:
    return Library(tiny_house, str(tmp_path / "blobs"))


@pytest.fixture
def records(server: RunningRedis) -> Records:
    return Records(server.url)


@pytest.fixture
def results(server: RunningRedis) -> Results:
    return Results(server.url)


@pytest.fixture
def desk(
    server: RunningRedis, records: Records, results: Results, runner: LocalRunner, library: Library
) -> Desk:
    return Desk(records, results, Dispatcher(records, make_app(server.url)), library, runner)


@pytest.fixture
def counting(runner: LocalRunner) -> Counting:
    return Counting(runner)


@pytest.fixture
def hands(desk: Desk, counting: Counting, library: Library) -> Hands:
    return Hands(desk.records, desk.results, library, lambda who, lane: counting, 1.0)


@pytest.fixture
def job(tiny_images: list[bytes]) -> AttributeJob:
    image = Digest(sha256=image_digest(tiny_images[0]))
    return AttributeJob(
        model="tiny", image=image, classifier=PROMPTS, dictionary="middle", verify=12
    )
