"""The demo's parts as real processes, each of which can be taken away and brought back."""

import os
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from copy import copy
from dataclasses import replace
from pathlib import Path

from steerboard.cli.demo import page_is_up, plan, ui_command
from steerboard.cli.processes import Child, free_port, send

ROOT = Path(__file__).parents[2]
PATIENCE_S = 240.0


class Stage:
    """Two Redis servers, inference, job door, worker, and the page where it is wanted.

    Args:
        folder: Logs, sessions and Redis files.
        store: URL of the session database; by default SQLite in ``folder``.
        with_page: Whether Streamlit is one of the parts.
        config: The folder that holds the steerboard.yaml.
    """

    def __init__(
        self, folder: Path, store: str = "", with_page: bool = True, config: Path = ROOT / "demo"
    ) -> None:
        port = free_port()
        children, at = plan(config, folder, port, with_page)
        given = {"STEERBOARD_STORE": store} if store else {}
        self._children = {
            c.name: replace(c, environment={**c.environment, **given}) for c in children
        }
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._folder = folder
        self.environment: Mapping[str, str] = {**at.environment(config, folder), **given}
        self.address = f"http://127.0.0.1:{port}"

    def another_page(self, folder: Path, store: str) -> "Stage":
        """A page over the same services, not started, with sessions and an address of its own."""
        port, page = free_port(), copy(self)
        page.environment = {**self.environment, "STEERBOARD_STORE": store}
        ui = Child("ui", ui_command(port), page.environment, lambda: page_is_up(port))
        page._children, page._running, page._folder = {"ui": ui}, {}, folder
        page.address = f"http://127.0.0.1:{port}"
        return page

    def start(self, *names: str) -> None:
        """Start parts (by default all of them), and wait until each is healthy."""
        children = [self._children[name] for name in names or self._children]
        for child in children:
            self._launch(child)
        for child in children:
            self._wait(child)

    def stop(self, *names: str) -> None:
        """Stop parts, by default all of them, last first."""
        running = [self._running.pop(n) for n in names or list(self._running) if n in self._running]
        for process in reversed(running):
            send(process, signal.SIGTERM)
        for process in reversed(running):
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                send(process, signal.SIGKILL)
                process.wait()

    @contextmanager
    def without(self, *names: str) -> Iterator[None]:
        """Inside the block these parts are away; behind it they are back."""
        self.stop(*names)
        try:
            yield
        finally:
            self.start(*names)

    def process(self, name: str) -> int:
        """A running part's process id."""
        return self._running[name].pid

    def log(self, name: str) -> str:
        """What a part has written."""
        return (self._folder / f"{name}.log").read_text(errors="replace")

    def _launch(self, child: Child) -> None:
        with open(self._folder / f"{child.name}.log", "ab") as log:
            self._running[child.name] = subprocess.Popen(
                child.command,
                env={**os.environ, "OMP_NUM_THREADS": "1", **child.environment},
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=ROOT,
                start_new_session=True,
            )

    def _wait(self, child: Child) -> None:
        began = time.monotonic()
        while not child.healthy():
            code = self._running[child.name].poll()
            assert code is None, f"{child.name} ended with {code}:\n{self.log(child.name)[-3000:]}"
            assert time.monotonic() - began < PATIENCE_S, f"{child.name} is not healthy"
            time.sleep(0.3)  # each look opens a connection, and a start takes seconds


@contextmanager
def stage(folder: Path, store: str = "", with_page: bool = True) -> Iterator[Stage]:
    """All parts started; behind the block all are stopped."""
    parts = Stage(folder, store, with_page)
    try:
        parts.start()
        yield parts
    finally:
        parts.stop()
