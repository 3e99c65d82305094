"""Who is computed next: two lanes, and in each a deficit round robin over callers.

A pure data structure, without threads and without a clock. A task costs its rows. In every round
each waiting caller is given as many rows as its weight says and spends them on its oldest tasks;
what it could not spend it keeps for as long as it waits. So a caller with a thousand tasks does
not delay one who has a single one. (Shreedhar and Varghese, Efficient fair queuing using deficit
round robin, 1996.)

Tasks of equal key make up a batch. Where some caller's tasks are all in the batch, the others may
fill it up to the ``knee`` only, the size from which a device has no more use of further rows:
otherwise whoever waits for each answer before asking again would lose to whoever asks ahead.
"""

from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass, field
from itertools import chain, count
from math import ceil
from typing import Generic, TypeVar

from steerboard.spec.jobs import Lane

# For each interactive row computed while bulk tasks wait, bulk tasks are owed so many rows.
BULK_SHARE = 0.1
KNEE = 8


@dataclass(eq=False, kw_only=True)
class Turn:
    """What the scheduler knows of a task: ``cost`` in rows, ``size`` in bytes."""

    key: Hashable
    cost: int
    size: int = 0
    caller: str = ""
    weight: float = 1.0
    lane: Lane = "interactive"
    order: int = field(default=0, init=False)


T = TypeVar("T", bound=Turn)
LimitOf = Callable[[Hashable], int]


class Share(Generic[T]):
    """One caller's tasks by key, oldest first, and the rows that it may spend."""

    def __init__(self) -> None:
        self.weight = 1.0
        self.deficit = 0.0
        self.tasks: dict[Hashable, deque[T]] = {}

    def push(self, task: T) -> None:
        """Behind the others of its key; the newest token's weight counts."""
        self.weight = task.weight
        self.tasks.setdefault(task.key, deque()).append(task)

    def oldest(self) -> T:
        """The task that came first."""
        return min((tasks[0] for tasks in self.tasks.values()), key=lambda task: task.order)

    def fitting(self, key: Hashable, room: int) -> T | None:
        """The oldest task of ``key``, if it costs ``room`` rows at most."""
        found = self.tasks.get(key)
        return found[0] if found and found[0].cost <= room else None

    def spend(self, task: T) -> None:
        """Take out the oldest task of a key and pay for it."""
        self.tasks[task.key].popleft()
        if not self.tasks[task.key]:
            del self.tasks[task.key]
        self.deficit -= task.cost

    def rounds_to(self, task: T) -> int:
        """How many rounds until ``task`` can be paid."""
        return max(0, ceil((task.cost - self.deficit) / self.weight))


class FairQueue(Generic[T]):
    """One lane: callers in a ring, whoever was served last at its end."""

    def __init__(self, knee: int) -> None:
        self._knee = knee
        self._ring: OrderedDict[str, Share[T]] = OrderedDict()

    def __bool__(self) -> bool:
        return bool(self._ring)

    def __iter__(self) -> Iterator[T]:
        return chain.from_iterable(t for s in self._ring.values() for t in s.tasks.values())

    def push(self, task: T) -> None:
        """Let a task wait."""
        self._ring.setdefault(task.caller, Share()).push(task)

    def keep(self, wanted: Callable[[T], bool]) -> list[T]:
        """Take out every task that is not wanted any more."""
        gone = [task for task in self if not wanted(task)]
        left = set(gone)
        for name, share in list(self._ring.items()) if gone else ():
            kept = {k: deque(t for t in v if t not in left) for k, v in share.tasks.items()}
            share.tasks = {key: tasks for key, tasks in kept.items() if tasks}
            if not share.tasks:
                del self._ring[name]
        return gone

    def take(self, limit_of: LimitOf) -> list[T]:
        """The next batch; a task that alone costs more than the limit goes alone."""
        name = self._due({name: share.oldest() for name, share in self._ring.items()})
        batch = [self._serve(name, self._ring[name].oldest())]
        key, cost = batch[0].key, batch[0].cost
        limit, dry = limit_of(key), name not in self._ring
        while found := self._beside(key, min(limit, self._knee if dry else limit) - cost):
            batch.append(self._serve(*found))
            cost += batch[-1].cost
            dry = dry or found[0] not in self._ring
        return batch + self._paid(key, limit - cost)

    def _beside(self, key: Hashable, room: int) -> tuple[str, T] | None:
        """Who joins the batch next, after as many rounds as it takes."""
        found = {
            name: task
            for name, share in self._ring.items()
            if (task := share.fitting(key, room)) is not None
        }
        if not found:
            return None
        name = self._due(found)
        return name, found[name]

    def _paid(self, key: Hashable, room: int) -> list[T]:
        """Beyond the knee: those who have paid already, without a further round."""
        batch: list[T] = []
        for name, share in list(self._ring.items()):
            while (task := share.fitting(key, room)) and share.rounds_to(task) == 0:
                batch.append(self._serve(name, task))
                room -= task.cost
        return batch

    def _due(self, tasks: dict[str, T]) -> str:
        """The first in the ring who can pay its task; rounds are given until somebody can."""
        rounds = {name: self._ring[name].rounds_to(task) for name, task in tasks.items()}
        fewest = min(rounds.values())
        for share in self._ring.values() if fewest else ():
            share.deficit += fewest * share.weight
        return next(name for name, needed in rounds.items() if needed == fewest)

    def _serve(self, name: str, task: T) -> T:
        share = self._ring[name]
        share.spend(task)
        if share.tasks:
            self._ring.move_to_end(name)
        else:
            del self._ring[name]
        return task


class Scheduler(Generic[T]):
    """Interactive tasks before bulk ones, which are owed a share and so never starve."""

    def __init__(self, knee: int = KNEE) -> None:
        self._lanes: dict[Lane, FairQueue[T]] = {
            "interactive": FairQueue(knee),
            "bulk": FairQueue(knee),
        }
        self._owed = 0.0
        self._orders = count()
        self.count = 0
        self.cost = 0
        self.size = 0
        self._held: Counter[str] = Counter()

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[T]:
        return chain.from_iterable(self._lanes.values())

    def __bool__(self) -> bool:
        return any(self._lanes.values())

    def held(self, caller: str) -> int:
        """Rows of one caller that wait."""
        return self._held[caller]

    def push(self, task: T) -> None:
        """Let a task wait in its lane."""
        task.order = next(self._orders)
        self._lanes[task.lane].push(task)
        self._count(task, 1)

    def keep(self, wanted: Callable[[T], bool]) -> list[T]:
        """Take out, and give back, every task that is not wanted any more."""
        gone = [task for lane in self._lanes.values() for task in lane.keep(wanted)]
        for task in gone:
            self._count(task, -1)
        return gone

    def take(self, limit_of: LimitOf) -> list[T]:
        """The next batch: one lane, one key, at most ``limit_of(key)`` rows; [] if none waits."""
        if not self:
            return []
        interactive, bulk = self._lanes["interactive"], self._lanes["bulk"]
        first = bulk if not interactive or (bulk and self._owed > 0) else interactive
        contended = bool(interactive) and bool(bulk)
        batch = first.take(limit_of)
        cost = sum(task.cost for task in batch)
        if contended:
            self._owed += cost * BULK_SHARE if first is interactive else -cost
        if not bulk:
            self._owed = 0.0
        for task in batch:
            self._count(task, -1)
        return batch

    @property
    def interactive(self) -> bool:
        """Whether interactive tasks wait; may be asked from any thread."""
        return bool(self._lanes["interactive"])

    def take_between(self, limit_of: LimitOf) -> list[T]:
        """The next interactive batch while a bulk one is computed, which waits; [] if none does."""
        if not self.interactive:
            return []
        batch = self._lanes["interactive"].take(limit_of)
        self._owed += sum(task.cost for task in batch) * BULK_SHARE
        for task in batch:
            self._count(task, -1)
        return batch

    def _count(self, task: T, sign: int) -> None:
        self.count += sign
        self.cost += sign * task.cost
        self.size += sign * task.size
        self._held[task.caller] += sign * task.cost
        if not self._held[task.caller]:
            del self._held[task.caller]
