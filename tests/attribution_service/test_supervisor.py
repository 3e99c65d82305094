"""When a consumer counts as silent."""

from services.attribution.supervisor import SILENT_S, START_S, Watch


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
