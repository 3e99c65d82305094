"""What waits in the engine: rows of one caller, and how rows of their kind are computed."""

import math
import time
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from services.inference.engine.scheduler import Turn
from services.inference.engine.ticket import Ticket
from steerboard.inprocess.between import Between
from steerboard.spec.errors import SteerboardError

# Arrays with one entry a row.
Arrays = tuple[Tensor, ...]
Compute = Callable[[list[Any], Tensor, Between | None], Arrays]
# Texts are short beside pictures: so many cost what one picture does.
TEXTS_A_ROW = 16


@dataclass(frozen=True)
class Work:
    """One kind of work: ``a_row`` items of it cost as much as one picture.

    Below ``full`` rows the device's cores are not used well, however long a batch takes.
    """

    key: Hashable
    compute: Compute
    a_row: int = 1
    full: int = 1

    def cost(self, items: int) -> int:
        """In rows."""
        return math.ceil(items / self.a_row)


@dataclass(eq=False, kw_only=True)
class Task(Turn):
    """Rows of one caller; tasks of equal ``key`` may share a batch. ``readouts`` may be empty."""

    work: Work
    rows: Sequence[Any]
    readouts: Tensor
    ticket: Ticket
    future: "Future[Arrays]" = field(default_factory=Future)
    arrived: float = field(default_factory=time.monotonic)


def wanted(task: Task) -> bool:
    """Whether somebody waits for it still."""
    try:
        task.ticket.check()
    except SteerboardError:
        return False
    return True


def dismiss(task: Task) -> None:
    """Tell a task that nobody waits for why it was not computed."""
    try:
        task.ticket.check()
    except SteerboardError as error:
        task.future.set_exception(error)


def joined(parts: Sequence[Arrays]) -> Arrays:
    """The arrays of several pieces, one behind the other."""
    if len(parts) == 1:
        return parts[0]
    return tuple(torch.cat(arrays) for arrays in zip(*parts, strict=True))
