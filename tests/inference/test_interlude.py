"""Interactive rows come between the blocks of a bulk batch, which neither starves nor suffers."""

import threading
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import pytest
import torch
from patience import wait_until

from services.inference.engine.batching import BatchingKernel
from services.inference.engine.scheduler import BULK_SHARE
from services.inference.engine.ticket import Ticket, carrying
from steerboard.inprocess.kernel import DirectKernel, Row
from steerboard.inprocess.runner import open_local
from steerboard.spec.errors import BadImage, Cancelled

SERVED = SimpleNamespace(info=SimpleNamespace(fingerprint="f"))
BLOCKS, MOST = 12, 8
BAD = 13.0


class Blocks:
    """A kernel of twelve blocks; a bulk batch waits before the second one for ``gate``."""

    def __init__(self):
        self.gate = threading.Event()
        self.log = []
        self.hits = set()
        self.memory = 10**9
        self.breaks = False

    def full_batch(self, served):
        return 1

    def embed(self, served, rows, between=None):
        values = [float(row.pixels) for row in rows]
        self.log.append(("begin", len(rows)))
        if len(rows) > self.memory:
            raise torch.OutOfMemoryError("no room")
        for block in range(BLOCKS):
            if between is not None and block == 1:
                self.log.append(("at work", len(rows)))
                assert self.gate.wait(60)
            if between is not None and between.asked():
                between()
        if BAD in values or (self.breaks and between is not None):
            raise BadImage("thirteen")
        self.log.append(("end" if between is None else "done", len(rows)))
        return torch.tensor(values)[:, None] * 2

    def rows(self, what):
        return [count for name, count in self.log if name == what]

    def between(self):
        """Rows that were begun while the bulk batch was at work."""
        names = [name for name, _ in self.log]
        inside = self.log[names.index("at work") : names.index("done")]
        return [count for name, count in inside if name == "begin"]


@pytest.fixture
def inner():
    return Blocks()


@pytest.fixture
def kernel(inner):
    kernel = BatchingKernel(inner, max_rows=MOST, batch_s=1e9)
    yield kernel
    inner.gate.set()
    kernel.close()


@pytest.fixture
def pool():
    with ThreadPoolExecutor(128) as pool:
        yield pool


def ask(kernel, values, ticket):
    rows = [Row(f"image {v}", torch.tensor(float(v))) for v in values]
    with carrying(ticket):
        return kernel.embed(SERVED, rows).flatten().tolist()


def bulk(kernel, inner, pool, values=(1, 2, 3, 4), ticket=None):
    """A bulk batch that is at work, and waits."""
    found = pool.submit(ask, kernel, values, ticket or Ticket(lane="bulk", caller="job"))
    wait_until(lambda: inner.rows("at work"))
    return found


def test_who_comes_while_a_bulk_batch_is_computed_is_answered_before_its_end(kernel, inner, pool):
    ticket = Ticket(lane="bulk", caller="job")
    job = bulk(kernel, inner, pool, ticket=ticket)
    held = Ticket()
    move = pool.submit(ask, kernel, [7], held)
    wait_until(lambda: kernel.waiting == 1)
    inner.gate.set()
    assert move.result(60) == [14.0] and job.result(60) == [2.0, 4.0, 6.0, 8.0]
    assert inner.log == [("begin", 4), ("at work", 4), ("begin", 1), ("end", 1), ("done", 4)]
    assert (ticket.batch_rows, held.batch_rows) == (4, 1)


def test_a_hundred_come_and_the_batch_ends_within_its_bound(kernel, inner, pool):
    job = bulk(kernel, inner, pool)
    moves = [pool.submit(ask, kernel, [v], Ticket(caller=f"{v}")) for v in range(100, 200)]
    wait_until(lambda: kernel.waiting == 100)
    inner.gate.set()
    assert job.result(60) == [2.0, 4.0, 6.0, 8.0]
    assert [move.result(60) for move in moves] == [[2.0 * v] for v in range(100, 200)]
    bound = 4 / BULK_SHARE
    assert bound <= sum(inner.between()) < bound + MOST
    assert sum(inner.rows("end")) == 100


def test_those_who_never_stop_asking_do_not_hold_a_batch_up(kernel, inner, pool):
    job, over = bulk(kernel, inner, pool), threading.Event()

    def go_on(value):
        while not over.is_set():
            ask(kernel, [value], Ticket(caller=f"{value}"))

    people = [pool.submit(go_on, value) for value in range(20, 28)]
    wait_until(lambda: kernel.waiting == 8)
    inner.gate.set()
    assert job.result(60) == [2.0, 4.0, 6.0, 8.0]
    over.set()
    for person in people:
        person.result(60)
    assert 0 < sum(inner.between()) < 4 / BULK_SHARE + MOST


def test_bulk_rows_do_not_come_between_and_paused_ones_neither(kernel, inner, pool):
    first = bulk(kernel, inner, pool)
    second = pool.submit(ask, kernel, [5], Ticket(lane="bulk", caller="other"))
    wait_until(lambda: kernel.waiting == 1)
    with kernel.paused():
        move = pool.submit(ask, kernel, [6], Ticket())
        wait_until(lambda: kernel.waiting == 2)
        inner.gate.set()
        first.result(60)
        assert inner.between() == []
    assert move.result(60) == [12.0] and second.result(60) == [10.0]


def test_what_goes_wrong_in_between_is_no_business_of_the_batch(kernel, inner, pool):
    job = bulk(kernel, inner, pool, (1, 2))
    inner.memory = 2  # Four moves do not fit: they are computed in halves.
    values = [20, 21, 22, BAD]
    with kernel.paused():
        moves = [pool.submit(ask, kernel, [v], Ticket()) for v in values]
        wait_until(lambda: kernel.waiting == 4)
    inner.gate.set()
    assert [move.result(60) for move in moves[:3]] == [[40.0], [42.0], [44.0]]
    with pytest.raises(BadImage):
        moves[3].result(60)
    assert job.result(60) == [2.0, 4.0]
    assert inner.log[-1] == ("done", 2) and inner.between()[0] == 4


def test_a_batch_that_fails_takes_nothing_from_those_who_came_in_between(kernel, inner, pool):
    job = bulk(kernel, inner, pool)
    inner.breaks = True
    move = pool.submit(ask, kernel, [7], Ticket())
    wait_until(lambda: kernel.waiting == 1)
    inner.gate.set()
    assert move.result(60) == [14.0]
    with pytest.raises(BadImage):
        job.result(60)
    inner.breaks = False
    assert ask(kernel, [8], Ticket()) == [16.0]


def test_who_left_is_not_computed_in_between(kernel, inner, pool):
    job, gone = bulk(kernel, inner, pool), Ticket()
    move = pool.submit(ask, kernel, [7], gone)
    wait_until(lambda: kernel.waiting == 1)
    gone.cancelled = True
    inner.gate.set()
    with pytest.raises(Cancelled):
        move.result(60)
    assert job.result(60) and inner.rows("begin") == [4]


def test_time_that_others_took_counts_as_waiting(kernel, inner, pool):
    """It is not what a batch lasts: later batches are cut by that."""
    ticket, slow = Ticket(lane="bulk"), threading.Event()
    job = bulk(kernel, inner, pool, ticket=ticket)
    usual = inner.embed
    inner.embed = lambda *asked: (slow.wait(0.3), usual(*asked))[1]
    move = pool.submit(ask, kernel, [7], Ticket())
    wait_until(lambda: kernel.waiting == 1)
    inner.gate.set()
    move.result(60)
    job.result(60)
    assert ticket.queued_ms >= 300


@pytest.fixture(scope="module")
def tiny(tiny_house):
    opened = open_local(tiny_house, "test")
    yield opened._served["tiny"]
    opened.close()


def test_the_real_model_answers_both_as_alone(tiny, pool):
    """The move comes while the batch draws its pictures, so it waits for the first block."""

    class Logged(DirectKernel):
        log = ()

        def embed(self, served, rows, between=None):
            self.log = (*self.log, len(rows))
            found = super().embed(served, rows, between)
            self.log = (*self.log, -len(rows))
            return found

    torch.manual_seed(0)
    pixels = torch.randn(9, 3, *tiny.info.image_size)
    kernel = BatchingKernel(inner := Logged(0))

    def late():
        wait_until(lambda: kernel.waiting == 1)
        return pixels[0]

    empty, seen = torch.empty(0), threading.Event()
    plain = [Row(f"{i}", pixels[i]) for i in range(9)]
    job = [Row("0", empty, draw=lambda: (seen.set(), late())[1]), *plain[1:8]]

    def asked(rows, lane):
        with carrying(Ticket(lane=lane)):
            return kernel.embed(tiny, rows)

    try:
        whole = pool.submit(asked, job, "bulk")
        assert seen.wait(60)
        move = pool.submit(asked, plain[8:], "interactive").result(60)
        found = whole.result(60)
    finally:
        kernel.close()
    assert inner.log == (8, 1, -1, -8)
    alone = DirectKernel(0)
    assert torch.equal(found, alone.embed(tiny, plain[:8]))
    assert torch.equal(move, alone.embed(tiny, plain[8:]))
