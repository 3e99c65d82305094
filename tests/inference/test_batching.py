"""Rows of several callers become one batch, each caller gets its own, and a bad one fails alone."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import pytest
import torch
from patience import wait_until

from services.inference.engine.batching import BatchingKernel
from services.inference.engine.memory import Memory
from services.inference.engine.ticket import Ticket, carrying
from steerboard.inprocess.kernel import Row, Sensed
from steerboard.spec.edits import Edit, Neuron, Scale, SteerSet
from steerboard.spec.errors import (
    BadImage,
    Cancelled,
    DeadlineExceeded,
    InvalidRequest,
    Overloaded,
    Unavailable,
)

MIB = 2**20
SERVED = SimpleNamespace(info=SimpleNamespace(fingerprint="f"))
OTHER = SimpleNamespace(info=SimpleNamespace(fingerprint="g"))


def row(value):
    return Row(f"image {value}", torch.full((1,), float(value)))


def under(value, m):
    """The same picture under another steer set."""
    steer = SteerSet(edits=(Edit(site="embedding", unit=Neuron(index=0), op=Scale(m=m)),))
    return Row(f"image {value}", torch.full((1,), float(value)), steer)


class Gated:
    """A kernel that doubles its pixels, and computes only while ``gate`` is open."""

    def __init__(self):
        self.gate = threading.Event()
        self.computing = False
        self.sizes = []
        self.hits = set()
        self.memory = 10**9
        self.full = 1

    def full_batch(self, served):
        return self.full

    def _pixels(self, rows):
        self.computing = True
        assert self.gate.wait(10)
        if len(rows) > self.memory:
            raise torch.OutOfMemoryError("no room")
        self.sizes.append(len(rows))
        if any(r.image == "image 13" for r in rows):
            raise BadImage("thirteen")
        return torch.stack([r.pixels for r in rows]) * 2

    def embed(self, served, rows, between=None):
        return self._pixels(rows)

    def read(self, served, rows, site, between=None):
        return self._pixels(rows)

    def sense(self, served, rows, sites, readouts, until="", between=None):
        return {site: Sensed(self._pixels(rows), readouts) for site in sites}


@pytest.fixture
def inner():
    return Gated()


@pytest.fixture
def kernel(inner):
    kernel = BatchingKernel(inner, max_rows=16, batch_s=1e9)
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


def blocked(kernel, pool):
    """One call that the engine is busy with."""
    busy = pool.submit(ask, kernel, [0])
    wait_until(lambda: inner_of(kernel).computing)
    return busy


def inner_of(kernel):
    return kernel._inner


def test_callers_share_a_batch_and_each_gets_its_own(kernel, inner, pool):
    blocked(kernel, pool)
    tickets = [Ticket() for _ in range(5)]
    asked = [pool.submit(ask, kernel, [i, i + 100], t) for i, t in enumerate(tickets, 1)]
    wait_until(lambda: kernel.waiting == 5)
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
    wait_until(lambda: kernel.waiting == 6)
    inner.gate.set()
    answers = [f.result(10) for f in asked]
    assert sorted(inner.sizes) == [1, 1, 1, 1, 1, 2]
    assert answers[4]["a"].x.item() == 10 and answers[4]["a"].gradient.sum() == 2
    assert answers[5]["a"].x.item() == 12 and answers[5]["a"].gradient.sum() == 0


def test_a_batch_is_never_larger_than_the_limit(kernel, inner, pool):
    blocked(kernel, pool)
    asked = [pool.submit(ask, kernel, range(20, 30)) for _ in range(2)]
    wait_until(lambda: kernel.waiting == 2)
    inner.gate.set()
    for future in asked:
        assert len(future.result(10)) == 10
    assert inner.sizes == [1, 10, 10]


def test_a_large_question_takes_turns(kernel, inner):
    inner.gate.set()
    rows = [under(v, m) for v in range(20, 36) for m in (1, 2, 3)]
    assert kernel.embed(SERVED, rows).flatten().tolist() == [2.0 * r.pixels.item() for r in rows]
    assert inner.sizes == [16, 16, 16]
    inner.sizes.clear()
    rows = [under(7, m) for m in range(1, 41)]
    assert kernel.embed(SERVED, rows).flatten().tolist() == [14.0] * 40
    assert inner.sizes == [16, 16, 8]
    rows = [row(v) for v in range(20, 60)]
    found = kernel.sense(SERVED, rows, ["a", "b"], torch.arange(40.0)[:, None])
    assert found["b"].x.flatten().tolist() == [2.0 * v for v in range(20, 60)]
    assert found["a"].gradient.flatten().tolist() == list(range(40))


def test_rows_that_are_the_same_are_computed_once(kernel, inner):
    inner.gate.set()
    rows = [row(1), under(1, 0), under(1, 2), row(2), under(1, 2), row(1)]
    assert kernel.embed(SERVED, rows).flatten().tolist() == [2, 2, 2, 4, 2, 2]
    assert inner.sizes == [3]


def test_callers_take_turns_and_interactive_ones_go_first(kernel, inner, pool):
    """One has asked forty times before another asks once: the single one is not last."""
    blocked(kernel, pool)
    sizes = {"many": 8, "one": 8, "job": 8}
    order = []

    def asked(caller, lane="interactive"):
        with carrying(Ticket(caller=caller, lane=lane)):
            kernel.read(SERVED, [row(v) for v in range(20, 20 + sizes[caller])], caller)
        order.append(caller)

    futures = [pool.submit(asked, "job", "bulk") for _ in range(2)]
    wait_until(lambda: kernel.waiting == 2)
    futures += [pool.submit(asked, "many") for _ in range(10)]
    wait_until(lambda: kernel.waiting == 12)
    futures.append(pool.submit(asked, "one"))
    wait_until(lambda: kernel.waiting == 13)
    taken = []
    with kernel._change:
        while batch := kernel._scheduler.take(lambda _: 8):
            taken += [task.caller for task in batch]
            for task in batch:
                task.future.set_result((torch.zeros(8, 1),))
    assert taken[0] == "many" and taken.index("one") <= 2
    assert (taken.count("many"), taken.count("job")) == (10, 2)
    assert taken[-1] == "job" or taken[-2] == "job"
    inner.gate.set()
    for future in futures:
        future.result(10)


def test_where_memory_does_not_suffice_halves_are_computed_and_the_size_is_remembered(
    kernel, inner, pool
):
    inner.memory = 5
    blocked(kernel, pool)
    asked = [pool.submit(ask, kernel, range(20 * i, 20 * i + 4)) for i in range(1, 5)]
    wait_until(lambda: kernel.waiting == 4)
    inner.gate.set()
    for i, future in enumerate(asked, 1):
        assert future.result(10) == [2.0 * v for v in range(20 * i, 20 * i + 4)]
    assert inner.sizes == [1, 4, 4, 4, 4]
    inner.sizes.clear()
    assert ask(kernel, range(100, 111)) == [2.0 * v for v in range(100, 111)]
    assert inner.sizes == [4, 4, 3]
    found = kernel.sense(SERVED, [row(v) for v in range(7)], ["a"], torch.arange(7.0)[:, None])
    assert found["a"].x.flatten().tolist() == [0, 2, 4, 6, 8, 10, 12]
    assert found["a"].gradient.flatten().tolist() == list(range(7))


@pytest.mark.parametrize(
    ("free", "told", "words"),
    [(100, InvalidRequest, "needs more memory than there is here"), (60, Overloaded, "now")],
)
def test_one_row_too_large_for_memory_is_told_and_spoils_no_size(pool, free, told, words):
    """With all that there ever was free it can never be; where others hold some, it may later."""

    class Poisoned(Gated):
        def _pixels(self, rows):
            if any(r.image == "image 13" for r in rows):
                raise RuntimeError("DefaultCPUAllocator: can't allocate memory")
            return super()._pixels(rows)

    inner = Poisoned()
    inner.gate.set()
    left = iter([100 * MIB])
    kernel = BatchingKernel(
        inner, max_rows=16, batch_s=1e9, memory=Memory(free=lambda: next(left, free * MIB))
    )
    try:
        with kernel.paused():
            asked = [pool.submit(ask, kernel, [v]) for v in (12, 13, 14)]
            wait_until(lambda: kernel.waiting == 3)
        assert asked[0].result(10) == [24.0] and asked[2].result(10) == [28.0]
        with pytest.raises(told, match=words):
            asked[1].result(10)
        inner.sizes.clear()
        assert len(ask(kernel, range(20, 36))) == 16
        assert inner.sizes == [16]
    finally:
        kernel.close()


def test_a_bad_row_fails_its_own_caller_only(kernel, inner, pool):
    blocked(kernel, pool)
    asked = [pool.submit(ask, kernel, [i]) for i in (12, 13, 14)]
    wait_until(lambda: kernel.waiting == 3)
    inner.gate.set()
    assert asked[0].result(10) == [24.0] and asked[2].result(10) == [28.0]
    with pytest.raises(BadImage):
        asked[1].result(10)
    assert ask(kernel, [1]) == [2.0]


def test_who_left_or_came_too_late_is_not_computed(kernel, inner, pool):
    blocked(kernel, pool)
    gone, late = Ticket(), Ticket(deadline=time.monotonic() + 0.2)
    asked = [pool.submit(ask, kernel, [1], gone), pool.submit(ask, kernel, [2], late)]
    wait_until(lambda: kernel.waiting == 2)
    gone.cancelled = True
    wait_until(lambda: time.monotonic() > late.deadline)
    inner.gate.set()
    with pytest.raises(Cancelled):
        asked[0].result(10)
    with pytest.raises(DeadlineExceeded):
        asked[1].result(10)
    assert inner.sizes == [1]


def test_after_close_what_waits_is_finished_and_nothing_more_is_taken(inner, pool):
    kernel = BatchingKernel(inner, batch_s=1e9)
    busy = blocked(kernel, pool)
    waiting = pool.submit(ask, kernel, [1])
    wait_until(lambda: kernel.waiting)
    closing = pool.submit(kernel.close)
    wait_until(lambda: kernel._closed)
    with pytest.raises(Unavailable):
        ask(kernel, [2])
    inner.gate.set()
    closing.result(10)
    assert busy.result(10) == [0.0] and waiting.result(10) == [2.0]


def test_a_batch_has_the_rows_that_cores_need_however_short_it_should_be(inner, pool):
    inner.full = 4
    kernel = BatchingKernel(inner, max_rows=16, knee=1, batch_s=1e-9)
    inner.gate.set()
    try:
        ask(kernel, range(40, 43))  # So that its pace is known.
        with kernel.paused():
            found = [pool.submit(ask, kernel, [v]) for v in range(8)]
            wait_until(lambda: kernel.waiting == 8)
        assert [f.result(10) for f in found] == [[2.0 * v] for v in range(8)]
        assert inner.sizes[-2:] == [4, 4]
    finally:
        kernel.close()
