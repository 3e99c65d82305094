"""A child whose address space is bounded while it computes: allocations fail for real.

``python narrow.py HOUSE`` writes what happened in each case as JSON; see ``test_memory.py``.
"""

import json
import resource
import sys
from contextlib import contextmanager
from pathlib import Path

import torch

from services.inference.engine.batching import BatchingKernel
from services.inference.engine.memory import Memory, Tally, free_bytes
from steerboard.inprocess.kernel import DirectKernel, Row
from steerboard.inprocess.runner import open_local
from steerboard.spec.errors import SteerboardError

ROWS = 4096


class Told(DirectKernel):
    """Tells how many rows were tried at a time."""

    def __init__(self):
        super().__init__(cache_bytes=0, batch=ROWS)
        self.tried = []

    def embed(self, served, rows, between=None):
        self.tried.append(len(rows))
        return super().embed(served, rows, between)


class Greedy(Told):
    """Takes 64 MiB for each row."""

    def embed(self, served, rows, between=None):
        held = torch.empty(len(rows), 2**24)
        return super().embed(served, rows, between) + 0 * held[:, :1].zero_()


def drawn(served, count):
    size = served.loaded.tower.image_size
    return [Row(str(i), torch.rand(3, *size)) for i in range(count)]


def room(size):
    """Let the address space grow by ``size`` bytes at most; 0 for no bound."""
    pages = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    most = resource.getrlimit(resource.RLIMIT_AS)[1]
    resource.setrlimit(resource.RLIMIT_AS, (pages + size if size else most, most))


@contextmanager
def engine(inner, memory):
    kernel = BatchingKernel(inner, ROWS, ROWS, 1e9, memory=memory, make_room=inner.cache.clear)
    try:
        yield kernel
    finally:
        room(0)
        kernel.close()


def needed(inner, served, rows):
    """Bytes, and the answers as they are in small batches."""
    right = torch.cat([inner.embed(served, rows[i : i + 64]) for i in range(0, len(rows), 64)])
    with Tally() as tally:
        inner.embed(served, rows)
    inner.tried.clear()
    return tally.top, right


def free_now():
    """Not as it was lately: these bounds come from one line to the next."""
    return free_bytes(torch.device("cpu"))


def halved(served):
    """An engine that believes memory to be endless."""
    inner, rows = Told(), drawn(served, ROWS)
    size, right = needed(inner, served, rows)
    with engine(inner, Memory(free=lambda: 2**50)) as kernel:
        kernel.embed(served, rows[:1])
        room(int(0.4 * size))
        first = kernel.embed(served, rows)
        tried = inner.tried[1:]
        inner.tried.clear()
        again = kernel.embed(served, rows)
    return {
        "tried": tried,
        "again": inner.tried,
        "off": max(float((found - right).abs().max()) for found in (first, again)),
    }


def foreseen(served):
    """An engine that learnt from a few rows what a row needs, and looks at what there is."""
    inner, rows = Told(), drawn(served, ROWS)
    size, right = needed(inner, served, rows)
    with engine(inner, Memory(free=free_now)) as kernel:
        kernel.embed(served, rows[:8])
        room(int(0.4 * size))
        found = kernel.embed(served, rows)
    return {"tried": inner.tried[1:], "off": float((found - right).abs().max())}


def alone(served, early):
    """One row that does not fit: where that is all there ever was, and where it was more before."""
    inner, (row,) = Greedy(), drawn(served, 1)
    memory = Memory(free=free_now) if early else None
    with engine(inner, memory) as kernel:
        room(2**24)
        kernel.pace.memory = memory or Memory(free=free_now)
        try:
            kernel.embed(served, [row])
        except SteerboardError as error:
            told = {"reason": error.reason, "message": error.message}
            told |= {"limit": error.details.get("limit"), "retry": error.retry_after_s}
        room(0)
        answered = len(kernel.embed(served, [row]))
    return told | {"answered": answered}


CASES = {
    "halved": halved,
    "foreseen": foreseen,
    "never": lambda served: alone(served, early=False),
    "later": lambda served: alone(served, early=True),
}

if __name__ == "__main__":
    torch.set_num_threads(1)
    (model,) = open_local(sys.argv[1], "test")._served.values()
    print(json.dumps({name: case(model) for name, case in CASES.items()}))
