"""When a consumer counts as silent, and when the supervisor gives up."""

from pathlib import Path

from services.attribution.supervisor import SILENT_S, START_S, Watch
from tests.attribution_service.crew import Crew


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_consumer_that_takes_no_pulse_is_silent() -> None:
    clock = Clock()
    watch = Watch(clock)
    clock.now += START_S - 1
    assert not watch.silent  # it may still be starting
    watch.answered(1.0)
    clock.now += SILENT_S - 1
    assert not watch.silent
    watch.answered(1.0)  # the same pulse: nothing new was consumed
    clock.now += 2
    assert watch.silent
    watch.begin()
    assert not watch.silent


def test_a_redis_that_is_away_judges_nobody() -> None:
    clock = Clock()
    watch = Watch(clock)
    watch.answered(1.0)
    clock.now += SILENT_S + 1
    watch.unknown()
    assert not watch.silent
    clock.now += SILENT_S + 1
    assert watch.silent


def test_a_worker_that_cannot_start_says_so_and_ends(tmp_path: Path) -> None:
    crew = Crew(tmp_path, tmp_path / "no house", STEERBOARD_WORKERS="1")
    try:
        crew.start("queue")
        crew.start("worker", wait=False)
        assert crew.wait("worker") == 1
        log = crew.log("worker")
        assert "the worker does not start" in log and log.count("the consumer ended with") == 3
    finally:
        crew.end()
