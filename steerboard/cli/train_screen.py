"""What ``steerboard dictionary train`` shows while it works, and how it is stopped by hand."""

import math
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.progress import Progress, TaskID

    from steerboard.dictionary.training.loop import Tick

BARS = " ▁▂▃▄▅▆▇█"
POINTS = 60  # of a live curve


class Screen:
    """A bar for each part of the work, and curves that grow beneath."""

    def __init__(self, progress: "Progress") -> None:
        self.progress = progress
        self.reading: TaskID | None = None
        self.training: TaskID | None = None
        self.errors: list[float] = []
        self.last: Tick | None = None
        self.stopped = False  # asked for at any time, done between two steps

    def _go_on(self, stands: str) -> None:
        from steerboard.spec.errors import Cancelled

        if self.stopped:
            raise Cancelled(f"stopped: {stands}")

    def harvested(self, done: int, pictures: int) -> None:
        """See ``Watcher``."""
        if self.reading is None:
            self.reading = self.progress.add_task("activations", total=pictures)
        self.progress.update(self.reading, completed=done)
        self._go_on("the activations were not all read, the same command begins again")

    def stepped(self, tick: "Tick") -> None:
        """See ``Watcher``."""
        if self.training is None:
            self.training = self.progress.add_task("training", total=1.0)
        self.progress.update(self.training, completed=tick.fraction)
        self.last = tick
        self.errors.append(tick.error)
        if len(self.errors) > 2 * POINTS:  # halve, so that the whole course stays in sight
            self.errors = self.errors[::2]
        self._go_on(f"{tick.step} steps are kept, add --resume to go on with them")

    def __rich__(self) -> "RenderableType":
        """Bars, then the curve of the error and the latest figures."""
        from rich.console import Group
        from rich.text import Text

        if self.last is None:
            return self.progress
        t = self.last
        speed = t.tokens / max(t.seconds, 1e-9)
        return Group(
            self.progress,
            Text(f"error {curve(self.errors)} {t.error:.4f}"),
            Text(f"step {t.step}, L0 {t.l0:.1f}, idle {t.dead:.1%}, {speed:.0f} tokens/s"),
        )


def curve(values: list[float]) -> str:
    """Values as a line of bars, on a logarithmic scale."""
    thin = values[:: max(1, len(values) // POINTS)]
    logs = [math.log(max(value, 1e-9)) for value in thin]
    low, high = min(logs), max(logs)
    return "".join(BARS[round((v - low) / max(high - low, 1e-9) * (len(BARS) - 1))] for v in logs)


class Silent:
    """Watches for a process that does not lead."""

    def harvested(self, done: int, pictures: int) -> None:
        """See ``Watcher``."""

    def stepped(self, tick: "Tick") -> None:
        """See ``Watcher``."""


@contextmanager
def stopped_by_hand(watcher: "Screen | Silent", world: int) -> "Iterator[None]":
    """Ctrl-C and SIGTERM stop a lone process between two steps, asked again at once.

    Of several processes torchrun ends all.
    """
    if world > 1 or not isinstance(watcher, Screen):
        yield
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def first(number: int, _frame: object) -> None:
        watcher.stopped = True
        signal.signal(number, before[signal.Signals(number)])

    for number in before:
        signal.signal(number, first)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def screen(visible: bool) -> "Iterator[Screen | Silent]":
    """A live display while the work goes on."""
    from rich.live import Live
    from rich.progress import Progress

    if not visible:
        yield Silent()
        return
    shown = Screen(Progress())
    with Live(shown, refresh_per_second=4):
        yield shown
