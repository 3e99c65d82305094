"""What a pass does between two blocks: it lets others go first, where it was told to look.

Who goes first, and how often, is the business of whoever hands a ``Between`` in; a pass knows only
where it can rest. What is computed meanwhile shares nothing with the pass: it has its own tensors,
and finds torch as a new thread does.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

import torch
from torch.utils._python_dispatch import _disable_current_modes

Step = Callable[[], None]


class Between(Protocol):
    """Asked before each block of a pass."""

    def asked(self) -> bool:
        """Whether somebody waits; costs next to nothing, and is asked from any thread."""

    def __call__(self) -> None:
        """Let them go first; called in the pass's own thread, while all parts of it rest."""


def onward() -> None:
    """Nobody is let in between."""


def step_of(between: Between | None) -> Step:
    """What a pass in one piece does before each block."""
    if between is None:
        return onward
    own = between

    def step() -> None:
        if own.asked():
            own()

    return step


class Event(Protocol):
    """A place in a GPU's queue of work."""

    def record(self) -> None:
        """Behind all that it has been told so far."""

    def synchronize(self) -> None:
        """Until all before it is done."""


class OneAhead:
    """``inner`` on a GPU, which is told of blocks long before it computes them.

    It is told of one block ahead and no further, so that who comes in between waits for two blocks
    and not for all, and the GPU never for its next one. (The order is tested; not yet on a GPU.)

    Args:
        inner: Who goes first.
        event: Makes a place in the queue.
    """

    def __init__(self, inner: Between, event: Callable[[], Event] = torch.cuda.Event) -> None:
        self._inner = inner
        self._event = event
        self._told: Event | None = None

    def asked(self) -> bool:
        """See ``Between``; returns when all but the last block are done."""
        before, self._told = self._told, self._event()
        self._told.record()
        if before is not None:
            before.synchronize()
        return self._inner.asked()

    def __call__(self) -> None:
        """See ``Between``."""
        self._inner()


def on_device(between: Between | None, device: torch.device) -> Between | None:
    """``between`` for a pass on this device."""
    return between if between is None or device.type != "cuda" else OneAhead(between)


@contextmanager
def afresh() -> Iterator[None]:
    """Within: torch computes as in a new thread, whatever the pass that rests has switched on."""
    with _disable_current_modes(), torch.inference_mode(False), torch.enable_grad():
        yield
