"""The job records on a real Redis, the door over them, and a worker process of its own."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from services.attribution.celery_app import make_app
from services.attribution.door import Desk
from services.attribution.jobs import Jobs
from services.attribution.library import Library
from steerboard.api.tokens import Identity
from steerboard.cli.processes import free_port
from steerboard.cli.redis_servers import Server
from steerboard.inprocess.runner import LocalRunner, open_local
from steerboard.spec.digest import image_digest
from steerboard.spec.errors import NotFound, Unavailable
from steerboard.spec.jobs import AttributeJob, JobStatus
from steerboard.spec.requests import Digest, Prompts

PROMPTS = Prompts(prompts=("cat", "dog", "horse", "boat"))


class RunningRedis:
    """A server process that a test may kill and start again."""

    def __init__(self, folder: Path) -> None:
        self.server = Server("redis", free_port(), "a-password", folder)
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        child = self.server.child(keeps=True)
        self.process = subprocess.Popen(child.command, stdout=subprocess.DEVNULL)
        limit = time.monotonic() + 30
        while not child.healthy():
            assert time.monotonic() < limit, "Redis does not start"
            time.sleep(0.05)

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RunningRedis]:
    running = RunningRedis(tmp_path / "redis")
    running.start()
    yield running
    running.kill()


@pytest.fixture(scope="module")
def runner(tiny_house: Path) -> Iterator[LocalRunner]:
    found = open_local(tiny_house, "")
    yield found
    found.close()


@pytest.fixture
def desk(server: RunningRedis, runner: LocalRunner, tiny_house: Path, tmp_path: Path) -> Desk:
    library = Library(tiny_house, str(tmp_path / "blobs"))
    url = server.server.url
    return Desk(Jobs(url, url), make_app(url), library, runner)


@pytest.fixture
def job(tiny_images: list[bytes]) -> AttributeJob:
    return AttributeJob(
        model="tiny",
        image=Digest(sha256=image_digest(tiny_images[0])),
        classifier=PROMPTS,
        dictionary="middle",
        verify=2,
    )


def submit(desk: Desk, job: AttributeJob) -> JobStatus:
    return desk.submit(job, [], Identity(subject="a person"))


def test_twenty_at_once_are_one_computation(desk: Desk, job: AttributeJob) -> None:
    with ThreadPoolExecutor(20) as pool:
        found = list(pool.map(lambda _: submit(desk, job), range(20)))
    assert len({s.id for s in found}) == 1
    assert sum(not s.joined for s in found) == 1
    assert desk.jobs._redis.llen("interactive") == 1  # one message for twenty callers


def test_without_a_worker_the_status_says_so(desk: Desk, job: AttributeJob) -> None:
    assert "no worker is running" in submit(desk, job).message


def test_a_second_delivery_changes_nothing(desk: Desk, job: AttributeJob) -> None:
    opened = submit(desk, job)
    for _ in range(2):
        desk.jobs.store(opened.id, 0, [{"answer": 1}])
    status = desk.jobs.status(opened.id)
    assert (status.state, status.done, status.total) == ("done", 1, 1)
    again = submit(desk, job)
    assert again.cached and not again.joined


def test_cancelled_stays_cancelled_and_can_be_asked_again(desk: Desk, job: AttributeJob) -> None:
    opened = submit(desk, job)
    desk.jobs.end(opened.id, "cancelled")
    assert desk.jobs.spec(opened.id) is None  # a worker that takes the chunk drops it
    desk.jobs.store(opened.id, 0, [{"answer": 1}])
    assert desk.jobs.status(opened.id).state == "cancelled"
    assert not submit(desk, job).joined


def test_lost_results_are_computed_again(desk: Desk, job: AttributeJob) -> None:
    opened = submit(desk, job)
    desk.jobs.store(opened.id, 0, [{"answer": 1}])
    desk.jobs._cache.delete(f"steerboard:result:{opened.id}:0")
    assert not submit(desk, job).cached


def test_redis_away_is_a_sentence_and_heals(
    desk: Desk, job: AttributeJob, server: RunningRedis
) -> None:
    opened = submit(desk, job)
    time.sleep(1.2)  # the append-only file is written every second
    server.kill()
    with pytest.raises(Unavailable, match="does not answer") as caught:
        submit(desk, job)
    assert caught.value.retry_after_s
    server.start()
    assert submit(desk, job).id == opened.id


def test_unknown_job(desk: Desk) -> None:
    with pytest.raises(NotFound, match="no job"):
        desk.jobs.status("nothing")


def start_worker(
    server: RunningRedis, house: Path, inference: str, folder: Path
) -> subprocess.Popen[bytes]:
    environment = {
        **os.environ,
        "STEERBOARD_CONFIG": str(house),
        "STEERBOARD_BROKER": server.server.url,
        "STEERBOARD_CACHE": server.server.url,
        "STEERBOARD_INFERENCE": inference,
        "STEERBOARD_BLOBS": str(folder / "blobs"),
        "STEERBOARD_WORKERS": "1",
    }
    command = (sys.executable, "-m", "services.attribution", "worker")
    with open(folder / "worker.log", "ab") as log:
        return subprocess.Popen(
            command, env=environment, stdout=log, stderr=log, start_new_session=True
        )


def start_inference(house: Path, address: str, folder: Path) -> subprocess.Popen[bytes]:
    environment = {
        **os.environ,
        "STEERBOARD_CONFIG": str(house),
        "STEERBOARD_INFERENCE_LISTEN": address,
    }
    command = (sys.executable, "-m", "services.inference")
    with open(folder / "inference.log", "ab") as log:
        return subprocess.Popen(command, env=environment, stdout=log, stderr=log)


def wait_done(desk: Desk, job: str, seconds: float) -> JobStatus:
    limit = time.monotonic() + seconds
    while (status := desk.jobs.status(job)).state in ("queued", "running"):
        assert time.monotonic() < limit, status
        time.sleep(0.2)
    return status


def test_a_killed_worker_is_replaced_and_inference_away_is_waited_out(
    desk: Desk, job: AttributeJob, server: RunningRedis, tiny_house: Path, tmp_path: Path
) -> None:
    address = f"127.0.0.1:{free_port()}"
    worker = start_worker(server, tiny_house, address, tmp_path)
    inference = None
    try:
        opened = submit(desk, job)
        limit = time.monotonic() + 60
        while not desk.jobs._redis.hgetall(f"steerboard:tries:{opened.id}"):
            assert time.monotonic() < limit, (tmp_path / "worker.log").read_text()
            time.sleep(0.1)
        os.killpg(worker.pid, signal.SIGKILL)  # inference was away: the chunk is not done
        worker.wait()
        inference = start_inference(tiny_house, address, tmp_path)
        worker = start_worker(server, tiny_house, address, tmp_path)
        status = wait_done(desk, opened.id, 120)
        assert status.state == "done", (status, (tmp_path / "worker.log").read_text())
        _, (result,), _ = desk.results(opened.id, 0, 0)
        assert result.features[0].measured is not None  # type: ignore[union-attr]
    finally:
        os.killpg(worker.pid, signal.SIGKILL)
        worker.wait()
        if inference is not None:
            inference.kill()
            inference.wait()
