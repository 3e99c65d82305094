"""What may be in hand at once, with a clock that the test turns."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.inference.engine.admission import NOTHING, Admission, Load
from steerboard.spec.errors import InvalidRequest, Overloaded


class Clock:
    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def admission(clock):
    return Admission(Load(rows=100, size=1000, calls=20), clock)


def fill(admission, caller, load):
    """As often as it is taken."""
    count = 0
    while True:
        try:
            admission.enter(caller, load)
        except Overloaded:
            return count
        count += 1


@pytest.mark.parametrize(
    ("load", "unit"), [(Load(rows=51), "rows"), (Load(size=501), "size"), (Load(calls=11), "calls")]
)
def test_what_could_never_fit_is_refused_for_good(admission, load, unit):
    with pytest.raises(InvalidRequest) as caught:
        admission.enter("a", load)
    assert caught.value.details["unit"] == unit and caught.value.retry_after_s is None
    assert "split it" in caught.value.message
    assert admission.held == NOTHING


@pytest.mark.parametrize(
    ("load", "unit"), [(Load(rows=10), "rows"), (Load(size=100), "size"), (Load(), "calls")]
)
def test_each_bound_holds_and_one_caller_leaves_room_for_others(admission, load, unit):
    first = fill(admission, "a", load)
    with pytest.raises(Overloaded) as caught:
        admission.enter("a", load)
    assert caught.value.details["unit"] == unit and caught.value.retry_after_s > 0
    most = {"rows": 10, "size": 10, "calls": 20}[unit]
    assert first == most // 2
    second = fill(admission, "b", load)
    assert 1 <= second < first
    assert first + second + fill(admission, "c", load) <= most


def test_the_time_to_come_back_is_what_was_measured(admission, clock):
    """Ten rows a second: whoever comes back when told to is taken, and not much sooner."""
    load = Load(rows=10)
    for _ in range(5):
        admission.enter("a", load)
    for _ in range(5):
        clock.now += 1.0
        admission.leave("a", load)
    for _ in range(5):
        admission.enter("a", load)
    with pytest.raises(Overloaded) as caught:
        admission.enter("a", load)
    wait = caught.value.retry_after_s
    assert wait == pytest.approx(1.0, rel=0.05)
    clock.now += 1.0
    admission.leave("a", load)
    admission.enter("a", load)


def test_idle_time_is_not_counted_as_slowness(admission, clock):
    load = Load(rows=50)
    for _ in range(3):
        admission.enter("a", load)
        clock.now += 2.0
        admission.leave("a", load)
        clock.now += 1000.0
    admission.enter("a", load)
    assert admission.wait_s() == pytest.approx(2.0, rel=0.1)


def test_what_lies_long_ago_counts_less(admission, clock):
    load = Load(rows=10)
    for seconds in [1.0] * 30 + [10.0] * 5:
        admission.enter("a", load)
        clock.now += seconds
        admission.leave("a", load)
    admission.enter("a", load)
    assert 8 < admission.wait_s() < 10.1


loads = st.builds(Load, rows=st.integers(1, 50), size=st.integers(0, 500))
steps = st.lists(st.tuples(st.sampled_from("abc"), loads, st.booleans()), max_size=60)


@settings(max_examples=60, deadline=None)
@given(steps=steps)
def test_nothing_is_lost_and_no_bound_is_passed(steps):
    clock = Clock()
    admission, inside = Admission(Load(rows=100, size=1000, calls=20), clock), []
    for caller, load, leaves in steps:
        clock.now += 0.1
        if leaves and inside:
            admission.leave(*inside.pop(0))
            continue
        try:
            admission.enter(caller, load)
        except Overloaded as error:
            assert math.isfinite(error.retry_after_s) and error.retry_after_s > 0
            continue
        inside.append((caller, load))
        assert admission.held == Load(
            sum(x.rows for _, x in inside), sum(x.size for _, x in inside), len(inside)
        )
        assert all(
            h <= m for h, m in zip(admission.held.each(), admission.limits.each(), strict=True)
        )
    for one in inside:
        admission.leave(*one)
    assert admission.held == NOTHING and not admission._own
