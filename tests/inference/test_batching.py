"""Rows of several callers become one batch, each caller gets its own, and a bad one fails alone."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import pytest
import torch

from services.inference.engine import batching
from services.inference.engine.batching import BatchingKernel
from services.inference.engine.ticket import Ticket, carrying
from steerboard.inprocess.kernel import Row, Sensed
from steerboard.spec.errors import BadImage, Cancelled, DeadlineExceeded, Overloaded, Unavailable

SERVED = SimpleNamespace(info=SimpleNamespace(fingerprint="f"))
OTHER = SimpleNamespace(info=SimpleNamespace(fingerprint="g"))


def row(value):
    return Row(f"image {value}", torch.full((1,), float(value)))


class Gated:
    """A kernel that doubles its pixels, and computes only while ``gate`` is open."""

    def __init__(self):
        self.gate = threading.Event()
        self.sizes = []
        self.prefix_hits = 0

    def _pixels(self, rows):
        assert self.gate.wait(10)
        self.sizes.append(len(rows))
        if any(r.image == "image 13" for r in rows):
            raise BadImage("thirteen")
        return torch.stack([r.pixels for r in rows]) * 2

    def embed(self, served, rows):
        return self._pixels(rows)

    def read(self, served, rows, site):
        return self._pixels(rows)

    def sense(self, served, rows, sites, readouts):
        return {site: Sensed(self._pixels(rows), readouts) for site in sites}


@pytest.fixture
def inner():
    return Gated()


@pytest.fixture
def kernel(inner):
    kernel = BatchingKernel(inner, max_rows=16, max_queued=20)
    yield kernel
    inner.gate.set()
    kernel.close()


@pytest.fixture
def pool():
    with ThreadPoolExecutor(32) as pool:
        yield pool


def ask(kernel, values, ticket=None, served=SERVED):
    with carrying(ticket or Ticket()):
        return kernel.embed(served, [row(v) for v in values]).flatten().tolist()


def wait_for(condition):
    end = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.002)


def blocked(kernel, pool):
    """One call that the engine is busy with."""
    busy = pool.submit(ask, kernel, [0])
    wait_for(lambda: kernel._thread.is_alive() and not kernel._tasks and not busy.done())
    time.sleep(0.02)
    return busy


def test_callers_share_a_batch_and_each_gets_its_own(kernel, inner, pool):
    blocked(kernel, pool)
    tickets = [Ticket() for _ in range(5)]
    asked = [pool.submit(ask, kernel, [i, i + 100], t) for i, t in enumerate(tickets, 1)]
    wait_for(lambda: len(kernel._tasks) == 5)
    inner.gate.set()
    assert [f.result(10) for f in asked] == [[2.0 * i, 2.0 * i + 200] for i in range(1, 6)]
    assert inner.sizes == [1, 10]
    assert {t.batch_rows for t in tickets} == {10}
    assert all(t.queued_ms > 0 for t in tickets)


def test_other_kinds_models_and_sites_do_not_mix(kernel, inner, pool):
    blocked(kernel, pool)
    asked = [
        pool.submit(ask, kernel, [1]),
        pool.submit(ask, kernel, [2], served=OTHER),
        pool.submit(kernel.read, SERVED, [row(3)], "a"),
        pool.submit(kernel.read, SERVED, [row(4)], "b"),
        pool.submit(kernel.sense, SERVED, [row(5)], ["a"], torch.ones(1, 2)),
        pool.submit(kernel.sense, SERVED, [row(6)], ["a"], torch.zeros(1, 2)),
    ]
    wait_for(lambda: len(kernel._tasks) == 6)
    inner.gate.set()
    answers = [f.result(10) for f in asked]
    assert sorted(inner.sizes) == [1, 1, 1, 1, 1, 2]
    assert answers[4]["a"].x.item() == 10 and answers[4]["a"].gradient.sum() == 2
    assert answers[5]["a"].x.item() == 12 and answers[5]["a"].gradient.sum() == 0


def test_a_batch_is_never_larger_than_the_limit(kernel, inner, pool):
    blocked(kernel, pool)
    asked = [pool.submit(ask, kernel, range(20, 30)) for _ in range(2)]
    wait_for(lambda: len(kernel._tasks) == 2)
    inner.gate.set()
    for future in asked:
        assert len(future.result(10)) == 10
    assert inner.sizes == [1, 10, 10]


def test_a_large_question_takes_turns_and_keeps_a_picture_together(kernel, inner):
    inner.gate.set()
    values = [v for v in range(20, 36) for _ in range(3)]
    assert ask(kernel, values) == [2.0 * v for v in values]
    assert inner.sizes == [15, 15, 15, 3]
    inner.sizes.clear()
    assert ask(kernel, [7] * 40) == [14.0] * 40
    assert inner.sizes == [40]
    rows = [row(v) for v in range(20, 60)]
    found = kernel.sense(SERVED, rows, ["a", "b"], torch.arange(40.0))
    assert found["b"].x.flatten().tolist() == [2.0 * v for v in range(20, 60)]
    assert found["a"].gradient.tolist() == list(range(40))


def test_interactive_callers_go_first_but_bulk_is_not_forgotten(kernel, inner, pool, monkeypatch):
    monkeypatch.setattr(batching, "BULK_PATIENCE_S", 0.5)
    blocked(kernel, pool)
    order = []

    def asked(site, lane):
        with carrying(Ticket(lane=lane)):
            kernel.read(SERVED, [row(1)], site)
        order.append(site)

    old = pool.submit(asked, "old bulk", "bulk")
    wait_for(lambda: len(kernel._tasks) == 1)
    time.sleep(0.6)
    new = pool.submit(asked, "new bulk", "bulk")
    wait_for(lambda: len(kernel._tasks) == 2)
    person = pool.submit(asked, "person", "interactive")
    wait_for(lambda: len(kernel._tasks) == 3)
    taken = [task.key[2] for task in served_in_order(kernel)]
    assert taken == ["old bulk", "person", "new bulk"]
    inner.gate.set()
    for future in (old, new, person):
        future.result(10)
    assert sorted(order) == ["new bulk", "old bulk", "person"]


def served_in_order(kernel):
    """What the engine would take next, one after the other; the queue is left as it is."""
    held = list(kernel._tasks)
    with kernel._change:
        order = []
        while kernel._tasks:
            order.append(kernel._first())
            kernel._tasks.remove(order[-1])
        kernel._tasks.extend(held)
    return order


def test_a_bad_row_fails_its_own_caller_only(kernel, inner, pool):
    blocked(kernel, pool)
    asked = [pool.submit(ask, kernel, [i]) for i in (12, 13, 14)]
    wait_for(lambda: len(kernel._tasks) == 3)
    inner.gate.set()
    assert asked[0].result(10) == [24.0] and asked[2].result(10) == [28.0]
    with pytest.raises(BadImage):
        asked[1].result(10)
    assert ask(kernel, [1]) == [2.0]


def test_a_full_queue_refuses_with_a_time_to_come_back(kernel, inner, pool):
    blocked(kernel, pool)
    waiting = [pool.submit(ask, kernel, range(20, 20 + n)) for n in (16, 4)]
    wait_for(lambda: len(kernel._tasks) == 2)
    with pytest.raises(Overloaded) as caught:
        ask(kernel, [1])
    assert caught.value.retry_after_s > 0
    inner.gate.set()
    assert [len(future.result(10)) for future in waiting] == [16, 4]
    assert ask(kernel, [1]) == [2.0]


def test_who_left_or_came_too_late_is_not_computed(kernel, inner, pool):
    blocked(kernel, pool)
    gone, late = Ticket(), Ticket(deadline=time.monotonic() + 0.01)
    asked = [pool.submit(ask, kernel, [1], gone), pool.submit(ask, kernel, [2], late)]
    wait_for(lambda: len(kernel._tasks) == 2)
    gone.cancelled = True
    time.sleep(0.02)
    inner.gate.set()
    with pytest.raises(Cancelled):
        asked[0].result(10)
    with pytest.raises(DeadlineExceeded):
        asked[1].result(10)
    assert inner.sizes == [1]


def test_after_close_what_waits_is_finished_and_nothing_more_is_taken(inner, pool):
    kernel = BatchingKernel(inner)
    busy = blocked(kernel, pool)
    waiting = pool.submit(ask, kernel, [1])
    wait_for(lambda: kernel._tasks)
    closing = pool.submit(kernel.close)
    wait_for(lambda: kernel._closed)
    with pytest.raises(Unavailable):
        ask(kernel, [2])
    inner.gate.set()
    closing.result(10)
    assert busy.result(10) == [0.0] and waiting.result(10) == [2.0]
