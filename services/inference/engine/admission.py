"""How much may be in hand at once, and when to come back where it is too much.

Bounded by calls, rows and bytes. One caller alone may take as much as it leaves free, so at most
half of each: whoever comes next always finds room. (Choudhury and Hahne, Dynamic queue length
thresholds for shared-memory packet switches, 1998.)
"""

import math
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, fields

from steerboard.spec.errors import InvalidRequest, Overloaded

# Seconds of work after which what was measured before counts half.
HALF_LIFE_S = 10.0
_UNITS = {"calls": "calls", "rows": "rows of pictures and steer sets", "size": "bytes"}


@dataclass(frozen=True)
class Load:
    """What a call asks for: ``rows`` to compute, ``size`` in bytes held while it waits."""

    rows: int = 1
    size: int = 0
    calls: int = 1

    def plus(self, other: "Load", sign: int = 1) -> "Load":
        """The sum, or the difference."""
        return Load(*(a + sign * b for a, b in zip(self.each(), other.each(), strict=True)))

    def each(self) -> tuple[int, ...]:
        """Rows, bytes, calls."""
        return self.rows, self.size, self.calls


NOTHING = Load(0, 0, 0)
LIMITS = Load(rows=16_384, size=2 * 2**30, calls=512)


@dataclass
class Throughput:
    """Rows finished in a second of work, what lies longer ago counting less."""

    rows: float = 0.0
    seconds: float = 0.0

    def worked(self, rows: int, seconds: float) -> None:
        """So many rows were finished in the ``seconds`` since the last time."""
        fade = math.exp2(-seconds / HALF_LIFE_S)
        self.rows = self.rows * fade + rows
        self.seconds = self.seconds * fade + seconds

    def seconds_for(self, rows: int) -> float:
        """How long ``rows`` rows will take; 1 s where nothing was measured."""
        return rows * self.seconds / self.rows if self.rows else 1.0


@dataclass
class Admission:
    """What is in hand, of each caller and of all; thread-safe.

    Args:
        limits: Of all callers together.
        clock: Seconds, rising.
    """

    limits: Load = LIMITS
    clock: Callable[[], float] = time.monotonic
    held: Load = field(default=NOTHING, init=False)

    def __post_init__(self) -> None:
        self._own: dict[str, Load] = defaultdict(lambda: NOTHING)
        self._throughput = Throughput()
        self._since = self.clock()
        self._lock = threading.Lock()

    @contextmanager
    def admitted(self, caller: str, load: Load) -> Iterator[None]:
        """Within: the load is in hand.

        Raises:
            InvalidRequest: It is larger than would ever be taken.
            Overloaded: Not now; ``retry_after_s`` says when there will be room.
        """
        self.enter(caller, load)
        try:
            yield
        finally:
            self.leave(caller, load)

    def enter(self, caller: str, load: Load) -> None:
        """Take the load in hand; see ``admitted``."""
        with self._lock:
            self._check_possible(load)
            self._check_room(caller, load)
            if self.held == NOTHING:
                self._since = self.clock()
            self.held = self.held.plus(load)
            self._own[caller] = self._own[caller].plus(load)

    def leave(self, caller: str, load: Load) -> None:
        """The load is done with."""
        with self._lock:
            now = self.clock()
            self._throughput.worked(load.rows, now - self._since)
            self._since = now
            self.held = self.held.plus(load, -1)
            left = self._own[caller].plus(load, -1)
            if left == NOTHING:
                del self._own[caller]
            else:
                self._own[caller] = left

    def wait_s(self) -> float:
        """Seconds until all that is in hand will be done, by what was measured."""
        with self._lock:
            return self._throughput.seconds_for(self.held.rows)

    def _check_possible(self, load: Load) -> None:
        for name, asked, limit in self._sizes(load):
            most = limit // 2
            if asked > most:
                raise InvalidRequest(
                    f"this question needs {asked} {_UNITS[name]}, more than the {most} that one"
                    " caller may ever have in hand: split it into smaller ones",
                    field="images",
                    details={"limit": str(most), "unit": name},
                )

    def _check_room(self, caller: str, load: Load) -> None:
        own = self._own.get(caller, NOTHING)
        wait, said = 0.0, ""
        for (name, asked, limit), all_, mine in zip(
            self._sizes(load), self.held.each(), own.each(), strict=True
        ):
            # Taken where mine + asked <= limit - all - asked. Of what goes, mine counts twice.
            excess = mine + all_ + 2 * asked - limit
            if excess > 0:
                going = excess / (all_ + mine) if all_ else 1.0
                wait, said = max((wait, said), (self._until_gone(going), name))
        if wait:
            raise Overloaded(
                f"the queue is full ({self.held.rows} rows wait): try again in {wait:.1f} s",
                retry_after_s=wait,
                details={"unit": said, "waiting_rows": str(self.held.rows)},
            )

    def _until_gone(self, share: float) -> float:
        """Seconds until this share of what is held is done."""
        return max(0.05, self._throughput.seconds_for(self.held.rows) * min(1.0, share))

    def _sizes(self, load: Load) -> Iterator[tuple[str, int, int]]:
        return ((f.name, getattr(load, f.name), getattr(self.limits, f.name)) for f in fields(load))
