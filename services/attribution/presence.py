"""Which workers are there, and how many hands they have, by the pulses that they consumed."""

import math
import time

from services.attribution.redis_link import open_redis, speaking
from steerboard.spec.jobs import Lane

COUNT_S = 0.5  # for which the number of slots is taken to stay
FORGOTTEN_S = 600  # then the queue of a worker that went away is deleted
WORKER = "steerboard:worker"


class Presence:
    """Those who consume the queue.

    Args:
        broker: URL of the Redis that never evicts.
    """

    def __init__(self, broker: str) -> None:
        self._redis = open_redis(broker)
        self._slots, self._counted = 0, -math.inf

    def room(self, lane: Lane) -> int:
        """Chunks that may be handed out at once; each worker has a hand more than its slots.

        So there is one free for a single picture, whatever sets are computed.
        """
        now = time.monotonic()
        if now - self._counted > COUNT_S:
            self._slots, self._counted = self.slots(), now
        slots = self._slots
        return max(2, 2 * slots) if lane == "interactive" else max(1, slots)

    def beat(self, worker: str, slots: int, stamp: float, seconds: int = 15) -> None:
        """A worker has consumed a pulse: it lives, with ``slots`` hands, for ``seconds`` more."""
        with speaking():
            found = self._redis.pipeline(transaction=False)
            found.set(WORKER, stamp, ex=seconds)
            found.set(key("pulse", worker), stamp, ex=seconds)
            found.hset("steerboard:slots", worker, f"{slots}:{time.time() + seconds}")
            found.execute()
        self._counted = -math.inf

    def pulse(self, worker: str) -> float:
        """The stamp of the last pulse that a worker consumed lately, or 0."""
        with speaking():
            return float(self._redis.get(key("pulse", worker)) or 0)

    def alive(self) -> bool:
        """Whether a worker consumed anything lately."""
        with speaking():
            return bool(self._redis.exists(WORKER))

    def slots(self) -> int:
        """Hands of all workers that consumed a pulse lately; long silent ones are forgotten."""
        with speaking():
            found = self._redis.hgetall("steerboard:slots")
            now = time.time()
            hands = {w: tuple(map(float, v.split(":"))) for w, v in found.items()}
            gone = [w for w, (_, until) in hands.items() if until + FORGOTTEN_S < now]
            if gone:
                self._redis.hdel("steerboard:slots", *gone)
                for name in ("pulse.{}", "_kombu.binding.pulse.{}"):
                    self._redis.delete(*map(name.format, gone))
        return sum(int(n) for n, until in hands.values() if until >= now)


def key(kind: str, name: str) -> str:
    """A key of ``record_scripts``."""
    return f"steerboard:{kind}:{name}"
