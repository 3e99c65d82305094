"""Interactive rows that are computed between two blocks of a batch of the batch lane.

So whoever moves a slider waits for a block at most, not for the rest of a batch. The batch is not
starved: while ``n`` of its rows are computed at most ``n / BULK_SHARE`` interactive rows come in
between, and what is left of the batch of theirs that reaches this bound. That is the share which
the scheduler owes the batch lane anyhow; whoever comes later waits for the batch's end.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from services.inference.engine.scheduler import BULK_SHARE
from services.inference.engine.work import Task
from steerboard.inprocess.between import afresh


@dataclass(eq=False)
class Interlude:
    """What one batch of ``rows`` rows is asked between its blocks; see ``Between``.

    Args:
        rows: What the batch costs.
        waits: Whether interactive rows wait; from any thread.
        take: The next batch of them; empty where nobody wants them any more.
        run: Computes such a batch and answers its callers, whatever goes wrong.
    """

    rows: int
    waits: Callable[[], bool]
    take: Callable[[], list[Task]]
    run: Callable[[list[Task]], None]
    came: int = field(default=0, init=False)
    spent_s: float = field(default=0.0, init=False)

    def asked(self) -> bool:
        """Whether somebody waits who may still come in between."""
        return self.came * BULK_SHARE < self.rows and self.waits()

    def __call__(self) -> None:
        """Let in who waits; an error is their own, and no business of the batch."""
        begun = time.monotonic()
        with afresh():
            while self.asked() and (batch := self.take()):
                self.came += sum(task.cost for task in batch)
                self.run(batch)
        self.spent_s += time.monotonic() - begun
