"""How many rows memory holds: learned from what batches needed, and from those that did not fit.

What a kind of work needs is learned by a warm-up and looked at again ever more rarely. On CUDA the
allocator counts it. On a CPU nothing does, so every storage that torch makes while a batch is
computed is added up until it is gone: exact but for the scratch space inside single operators
(torch's own profiler gives the same figures, and takes seconds to start).

What a batch that rests will need yet is left to it by those that come in between.
"""

import resource
import threading
import time
import weakref
from collections import Counter
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_iter

from steerboard.spec.errors import InvalidRequest, Overloaded, SteerboardError

# Of what is free, for a batch; the rest is for calls that are decoded and encoded beside it.
SHARE = 0.8
# From so many rows a batch tells what a row needs; below that, most of it is not the rows'.
TELLING = 4
# Where less than this of what was once free is free, others hold it and will give it back.
USUAL = 0.7
# How old, in seconds, what is known of free memory may be.
LATELY_S = 1.0
# A size that did not suffice is doubled again after so many seconds in which that did not happen.
QUIET_S = 600.0
# What somebody can do about a single row that is too large, by kind of work.
_NAMES = {
    "embed": "one picture under one steer set",
    "read": "the activations of one picture",
    "through": "the activations and the embedding of one picture",
    "sense": "the gradients of one picture",
    "texts": "sixteen texts",
}


class Memory:
    """What batches of each kind of work need, and what there is; thread-safe.

    Args:
        device: Where batches are computed.
        free: Bytes that could be had there now; by default as the machine tells, once a second.
        clock: Seconds, rising.
    """

    def __init__(
        self,
        device: torch.device | None = None,
        free: Callable[[], int] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._device = device or torch.device("cpu")
        self._free_now = free or (lambda: free_bytes(self._device))
        self._free = free or lately(self._free_now, clock)
        self._clock = clock
        self._most_free = self._free()
        self._a_row: dict[Hashable, tuple[bool, float]] = {}
        self._fits: dict[Hashable, tuple[int, float]] = {}
        self._in_hand: list[_Batch] = []
        self._seen: Counter[Hashable] = Counter()
        self._lock = threading.Lock()

    def rows(self, key: Hashable, most: int) -> int:
        """Rows of this kind that fit now as far as is known, from 1 to ``most``."""
        with self._lock:
            fits = min(most, self._known_to_fit(key, most))
            _, a_row = self._a_row.get(key, (False, 0.0))
            if not a_row:
                return fits
            room = SHARE * (self._now() - sum(batch.size for batch in self._in_hand))
            return max(1, min(fits, int(room / a_row)))

    def _known_to_fit(self, key: Hashable, most: int) -> int:
        """The size that sufficed when a larger one did not; doubled for each quiet time since."""
        rows, since = self._fits.get(key, (most, self._clock()))
        return rows << min(32, int((self._clock() - since) / QUIET_S))

    def only(self, key: Hashable, rows: int) -> None:
        """Memory sufficed for ``rows`` rows, and for twice as many it did not."""
        with self._lock:
            fits = max(1, min(rows, self._known_to_fit(key, rows)))
            self._fits[key] = fits, self._clock()

    @contextmanager
    def watching(self, key: Hashable, rows: int) -> Iterator[None]:
        """Within: a batch of so many rows is computed, in this thread; others while it rests."""
        with self._lock:
            for outer in self._in_hand:
                outer.disturbed = True
            batch = _Batch(int(rows * self._a_row.get(key, (False, 0.0))[1]))
            self._in_hand.append(batch)
            self._seen[key] += 1
            seen = self._seen[key]
        try:
            yield from self._watched(key, rows, seen, batch)
        finally:
            with self._lock:
                self._in_hand.remove(batch)

    def _watched(self, key: Hashable, rows: int, seen: int, batch: "_Batch") -> Iterator[None]:
        if self._device.type == "cuda":
            with allocated_on(self._device) as peak:
                yield
            if batch.disturbed:  # What came in between began to count anew.
                return
        elif seen & (seen - 1) == 0:  # The first, second, fourth, eighth ..: it does not tire.
            with Tally() as peak:
                yield
        else:
            yield
            return
        self.needed(key, rows, peak.top)

    def needed(self, key: Hashable, rows: int, size: int) -> None:
        """A batch of so many rows took ``size`` bytes at its height."""
        telling, a_row = rows >= TELLING, size / rows
        with self._lock:
            had = self._a_row.get(key, (telling, 0.0))
            if telling >= had[0]:
                self._a_row[key] = (telling, a_row if telling > had[0] else max(a_row, had[1]))

    def check(self, key: Hashable) -> None:
        """Refuse work of which not even one row would fit if it had everything to itself.

        Raises:
            InvalidRequest: It could never be computed here.
        """
        with self._lock:
            telling, a_row = self._a_row.get(key, (False, 0.0))
            if telling and a_row > self._most_free and a_row > self._now():
                raise _never(key, self._most_free)

    def refusal(self, key: Hashable) -> SteerboardError:
        """Why a single row that did not fit, with nothing else kept, is not answered."""
        with self._lock:
            if self._free_now() < USUAL * self._most_free:
                return Overloaded(
                    "there is no memory for this question now, not even for one row alone:"
                    " try again",
                    retry_after_s=5.0,
                )
            return _never(key, self._most_free)

    def _now(self) -> int:
        free = self._free()
        self._most_free = max(self._most_free, free)
        return free


@dataclass(eq=False)
class _Batch:
    """In hand: bytes that it needs as far as is known; whether another was computed meanwhile."""

    size: int
    disturbed: bool = False


def lately(free: Callable[[], int], clock: Callable[[], float]) -> Callable[[], int]:
    """``free``, asked anew when what is known is older than ``LATELY_S``."""
    known, asked = free(), clock()

    def told() -> int:
        nonlocal known, asked
        if clock() - asked > LATELY_S:
            known, asked = free(), clock()
        return known

    return told


def _never(key: Hashable, room: int) -> InvalidRequest:
    kind = str(key[0]) if isinstance(key, tuple) and key else str(key)
    name = _NAMES.get(kind, "one row of this question")
    return InvalidRequest(
        f"{name} needs more memory than there is here ({room / 2**20:.0f} MiB): ask with fewer"
        " edits or of a smaller model, or of a server with more memory",
        field="images",
        details={"limit": str(room), "unit": "memory", "work": kind},
    )


class Tally(TorchDispatchMode):
    """Adds up the storages that torch makes in this thread; ``top`` is their largest sum.

    Threads that compute parts of a batch carry it along (``steerboard.inprocess.crew``).
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.live = self.top = 0
        self._seen: set[int] = set()
        # A finalizer may run in a thread that has the lock.
        self._lock = threading.RLock()

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Compute, and look at what came out; a view of what went in is nothing new."""
        given = {t.untyped_storage()._cdata for t in tree_iter((args, kwargs)) if _is_real(t)}
        out = func(*args, **(kwargs or {}))
        for tensor in tree_iter(out):
            if _is_real(tensor) and tensor.untyped_storage()._cdata not in given:
                self._note(tensor.untyped_storage())
        return out

    def _note(self, storage: torch.UntypedStorage) -> None:
        name, size = storage._cdata, storage.nbytes()
        with self._lock:
            if name in self._seen:
                return
            self._seen.add(name)
            self.live += size
            self.top = max(self.top, self.live)
        weakref.finalize(storage, self._gone, name, size)

    def _gone(self, name: int, size: int) -> None:
        with self._lock:
            self._seen.discard(name)
            self.live -= size


def _is_real(value: object) -> bool:
    return isinstance(value, Tensor) and value.layout is torch.strided


class Peak:
    """The most bytes that a CUDA device held at once, above what it held before."""

    top = 0


@contextmanager
def allocated_on(device: torch.device) -> Iterator[Peak]:
    """Within: the device's allocator counts."""
    peak, before = Peak(), torch.cuda.memory_allocated(device)
    torch.cuda.reset_peak_memory_stats(device)
    yield peak
    peak.top = torch.cuda.max_memory_allocated(device) - before


def free_bytes(device: torch.device) -> int:
    """Bytes that a batch on ``device`` could have now."""
    if device.type == "cuda":
        kept = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return int(torch.cuda.mem_get_info(device)[0]) + kept
    return min(_of_the_machine(), _of_the_group(), _of_the_process())


def _of_the_machine() -> int:
    told = Path("/proc/meminfo")
    if not told.exists():  # Not Linux: nothing is known, and what fails is caught.
        return 2**62
    line = next(one for one in told.read_text().splitlines() if one.startswith("MemAvailable"))
    return int(line.split()[1]) * 1024


def _of_the_group(folder: Path = Path("/sys/fs/cgroup")) -> int:
    """What the container may still take (cgroup v2); file pages can be given back."""
    limit, used = folder / "memory.max", folder / "memory.current"
    if not limit.exists() or (most := limit.read_text().strip()) == "max":
        return 2**62
    told = dict(line.split() for line in (folder / "memory.stat").read_text().splitlines())
    return int(most) - int(used.read_text()) + int(told.get("inactive_file", 0))


def _of_the_process() -> int:
    """What the address space may still grow by."""
    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    if limit == resource.RLIM_INFINITY:
        return 2**62
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    return max(0, limit - pages * resource.getpagesize())
