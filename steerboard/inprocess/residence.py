"""Which models lie on the device: those in use, and as many others as a budget of bytes holds.

What was used longest ago leaves first. This machine's memory keeps a copy of all weights, so that
a model leaves by dropping its copy on the device, and comes back without being read from disk. A
model in use stays. Where there is no room, questions wait in the order in which they came, so that
a model that is asked for all the time cannot keep another one out.
"""

import threading
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch
from torch import Tensor

from steerboard.spec.errors import InvalidRequest, Overloaded

# Seconds after which whoever waits for room looks whether anybody still wants the answer.
_LOOK_S = 0.1


class Weights:
    """The tensors of one model and its dictionaries, whose storage goes to a device and back.

    The tensors are never written to, so nothing is copied on the way back.

    Args:
        tensors: In this machine's memory; each is what others hold too, and is moved in place.
        device: Where they compute. On the CPU nothing is copied, and nothing freed.
    """

    def __init__(self, tensors: Sequence[Tensor], device: torch.device) -> None:
        self._tensors = list({id(t): t for t in tensors}.values())
        self._device = device
        pinned = device.type == "cuda" and torch.cuda.is_available()
        self._host = [t.data.pin_memory() if pinned else t.data for t in self._tensors]
        self.size = sum(t.numel() * t.element_size() for t in self._host)
        self.moves = 0
        self.send_away()

    def bring(self) -> None:
        """Copy all to the device; raises torch.OutOfMemoryError, and then nothing has moved."""
        there = [held.to(self._device, non_blocking=True) for held in self._host]
        for tensor, copy in zip(self._tensors, there, strict=True):
            tensor.data = copy
        self.moves += 1

    def send_away(self) -> None:
        """Drop the copies on the device."""
        for tensor, held in zip(self._tensors, self._host, strict=True):
            tensor.data = held


@dataclass(eq=False)
class _Guest:
    """One model on the device; ``ready`` is set once all of it is there."""

    weights: Weights
    users: int = 0
    ready: bool = field(default=False)


class Residence:
    """Brings models to the device and sends them away; thread-safe.

    Args:
        budget: Bytes of weights on the device at most; None for no bound.
        check: Raises where nobody waits for the call in hand any more.
    """

    def __init__(self, budget: int | None = None, check: Callable[[], None] = lambda: None) -> None:
        self._budget = budget
        self._check = check
        self._guests: OrderedDict[Weights, _Guest] = OrderedDict()
        self._turns: deque[object] = deque()
        self._change = threading.Condition()

    @contextmanager
    def using(self, weights: Weights | None) -> Iterator[None]:
        """Within: the model is on the device, and stays. None stands for one that never moves.

        Raises:
            InvalidRequest: It alone is larger than the budget.
            Overloaded: The device has no memory for it now.
        """
        if weights is None:
            yield
            return
        guest = self._enter(weights)
        try:
            yield
        finally:
            with self._change:
                guest.users -= 1
                self._change.notify_all()

    def stays(self, weights: Weights | None) -> bool:
        """Whether a model is on the device, and nothing makes it leave."""
        return self._budget is None and self.here(weights)

    def here(self, weights: Weights | None) -> bool:
        """Whether a model is on the device."""
        with self._change:
            guest = self._guests.get(weights) if weights is not None else None
            return weights is None or (guest is not None and guest.ready)

    def release(self, weights: Weights) -> None:
        """Send a model away unless it is in use."""
        with self._change:
            guest = self._guests.get(weights)
            if guest is not None and not guest.users:
                self._evict(guest)

    def _enter(self, weights: Weights) -> _Guest:
        self._check_possible(weights)
        with self._change:
            self._wait(lambda: weights in self._guests or self._room(weights.size))
            fresh = weights not in self._guests
            if fresh:
                self._make_room(weights.size)
            guest = self._guests.setdefault(weights, _Guest(weights))
            self._guests.move_to_end(weights)
            guest.users += 1
        if fresh:
            self._bring(guest)
        else:
            self._await(guest)
        return guest

    def _check_possible(self, weights: Weights) -> None:
        if self._budget is not None and weights.size > self._budget:
            raise InvalidRequest(
                f"this model and its dictionaries take {weights.size / 2**20:.0f} MiB, more than"
                f" the {self._budget / 2**20:.0f} MiB that all models together may have on the"
                " device: raise STEERBOARD_DEVICE_BYTES, or serve fewer dictionaries"
            )

    def _wait(self, possible: Callable[[], bool]) -> None:
        """Until it is this call's turn and it is possible; the lock is held."""
        turn = object()
        self._turns.append(turn)
        try:
            while self._turns[0] is not turn or not possible():
                self._change.wait(_LOOK_S)
                self._check()
        finally:
            self._turns.remove(turn)
            self._change.notify_all()

    def _room(self, size: int) -> bool:
        """Whether so many bytes fit once all that is idle has left."""
        busy = sum(g.weights.size for g in self._guests.values() if g.users)
        return self._budget is None or busy + size <= self._budget

    def _make_room(self, size: int) -> None:
        idle = [guest for guest in self._guests.values() if not guest.users]
        held = sum(guest.weights.size for guest in self._guests.values())
        for guest in idle:
            if self._budget is None or held + size <= self._budget:
                return
            self._evict(guest)
            held -= guest.weights.size

    def _evict(self, guest: _Guest) -> None:
        del self._guests[guest.weights]
        guest.weights.send_away()

    def _bring(self, guest: _Guest) -> None:
        """Copy to the device outside the lock; those who want the same model wait for it."""
        try:
            guest.weights.bring()
        except BaseException as error:
            with self._change:
                del self._guests[guest.weights]
                self._change.notify_all()
            if isinstance(error, torch.OutOfMemoryError):
                raise no_room() from error
            raise
        with self._change:
            guest.ready = True
            self._change.notify_all()

    def _await(self, guest: _Guest) -> None:
        """Until somebody else has brought it."""
        with self._change:
            try:
                while not guest.ready:
                    if self._guests.get(guest.weights) is not guest:
                        raise no_room()
                    self._change.wait(_LOOK_S)
                    self._check()
            except BaseException:
                guest.users -= 1
                self._change.notify_all()
                raise


def no_room() -> Overloaded:
    """The device is full, whatever the budget says."""
    return Overloaded(
        "the device has no memory for this model now: try again later, or lower"
        " STEERBOARD_DEVICE_BYTES so that other models leave",
        retry_after_s=5.0,
    )
