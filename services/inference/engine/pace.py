"""How many rows a batch may have: learned from time taken and from memory that did not suffice."""

import threading
from collections.abc import Hashable

from services.inference.engine.memory import Memory

# What a batch should last: whoever comes next waits for one batch at most.
BATCH_S = 0.25
_SMOOTH = 0.2


class Pace:
    """Rows a second and rows a batch, for each kind of work (a batch's ``key``).

    Args:
        most: Rows a batch whatever was learned.
        knee: Rows from which a device gains nothing by more; time alone never asks for fewer.
        batch_s: Seconds that a batch should last.
        memory: What batches need and what there is.
    """

    def __init__(
        self, most: int, knee: int, batch_s: float = BATCH_S, memory: Memory | None = None
    ) -> None:
        self._most = most
        self._knee = knee
        self._batch_s = batch_s
        self._rows_per_s: dict[Hashable, float] = {}
        self.memory = memory or Memory()
        self._lock = threading.Lock()

    def limit(self, key: Hashable) -> int:
        """Rows that the next batch of this kind may have, at least 1."""
        with self._lock:
            rate = self._rows_per_s.get(key)
            timely = self._most if rate is None else max(self._knee, int(rate * self._batch_s))
        return self.memory.rows(key, min(self._most, timely))

    def memory_limit(self, key: Hashable) -> int:
        """Rows that are known to fit into memory."""
        return self.memory.rows(key, self._most)

    def took(self, key: Hashable, rows: int, seconds: float) -> None:
        """A batch of ``rows`` rows took so long."""
        now = rows / max(seconds, 1e-6)
        with self._lock:
            rate = self._rows_per_s.get(key, now)
            self._rows_per_s[key] = rate + _SMOOTH * (now - rate)
