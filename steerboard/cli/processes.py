"""Child processes that start together, are watched, and stop together."""

import contextlib
import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

from rich.console import Console

from steerboard.spec.errors import Unavailable

STOP_S = 12.0


@dataclass(frozen=True)
class Child:
    """One process: what to run and how to see that it is healthy."""

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str]
    healthy: Callable[[], bool]
    patience_s: float = 120.0


@dataclass
class House:
    """Children in the order they were started; leaving the block stops them, last first."""

    logs: Path
    console: Console
    _running: list[tuple[Child, subprocess.Popen[bytes]]] = field(default_factory=list)

    def __enter__(self) -> "House":
        self.logs.mkdir(parents=True, exist_ok=True)
        return self

    def start(self, child: Child) -> None:
        """Start a child in a process group of its own, so that Ctrl-C reaches us alone."""
        with open(self.logs / f"{child.name}.log", "wb") as log:
            process = subprocess.Popen(
                child.command,
                env={**os.environ, **child.environment},
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._running.append((child, process))

    def wait(self) -> None:
        """Until every child is healthy; raises Unavailable when one dies or takes too long."""
        for child, _ in self._running:
            began = time.monotonic()
            with self.console.status(f"waiting for {child.name}"):
                while not child.healthy():
                    self.check()
                    if time.monotonic() - began > child.patience_s:
                        raise Unavailable(
                            f"{child.name} is not healthy after {child.patience_s:.0f} s\n"
                            f"{self.tail(child)}"
                        )
                    time.sleep(0.3)  # a look opens a connection: time that who starts needs too
            self.console.print(
                f"[green]●[/green] {child.name} [dim]{time.monotonic() - began:.1f} s[/dim]"
            )

    def check(self) -> None:
        """Raises Unavailable, with the last lines of its log, when a child has died."""
        for child, process in self._running:
            code = process.poll()
            if code is not None:
                raise Unavailable(
                    f"{child.name} ended with code {code}; its last lines:\n{self.tail(child)}"
                )

    def tail(self, child: Child, lines: int = 12) -> str:
        """The end of a child's log."""
        text = (self.logs / f"{child.name}.log").read_text(errors="replace")
        return "\n".join(text.splitlines()[-lines:])

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with undisturbed():
            self._stop()

    def _stop(self) -> None:
        for _, process in reversed(self._running):
            send(process, signal.SIGTERM)
        limit = time.monotonic() + STOP_S
        for _, process in reversed(self._running):
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(max(0.1, limit - time.monotonic()))
            send(process, signal.SIGKILL)
            process.wait()


@contextlib.contextmanager
def undisturbed() -> Iterator[None]:
    """Within: a second Ctrl-C changes nothing, so that no child is left behind."""
    own = threading.current_thread() is threading.main_thread()
    signals = (signal.SIGINT, signal.SIGTERM) if own else ()
    before = [signal.signal(number, signal.SIG_IGN) for number in signals]
    try:
        yield
    finally:
        for number, handler in zip(signals, before, strict=True):
            signal.signal(number, handler)


def send(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    """Signal a child's whole group, if it is still there."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, number)


def free_port() -> int:
    """A port on loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def listening(port: int) -> bool:
    """Whether somebody listens on a loopback port."""
    with socket.socket() as probe:
        probe.settimeout(0.2)
        return probe.connect_ex(("127.0.0.1", port)) == 0
