"""Where a Python process spends its time: what each thread does, looked at again and again.

A thread that waits (for a lock, a socket, an event) is counted apart from one that works. What it
works at is told by the innermost frames of our own packages and of what they call.
"""

import json
import sys
import threading
import time
from collections import Counter
from pathlib import Path
from types import FrameType

EVERY_S = 0.004
OWN = ("steerboard/", "services/", "bench/")
# The innermost function of a thread that waits.
WAITING = {
    ("threading.py", "wait"),
    ("threading.py", "run"),  # gRPC's poller, which waits in C.
    ("threading.py", "_wait_for_tstate_lock"),
    ("thread.py", "_worker"),
    ("selectors.py", "select"),
    ("queue.py", "get"),
    ("sampler.py", "_run"),
}


class Sampler:
    """Looks at all threads but its own until it is written; ``samples`` are those with work."""

    def __init__(self) -> None:
        self.samples = 0
        self.found: Counter[tuple[str, str]] = Counter()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="sampler", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def _run(self) -> None:
        while not self._stop.wait(EVERY_S):
            self.look()

    def look(self) -> None:
        """Count once what every thread does."""
        names = {thread.ident: thread.name for thread in threading.enumerate()}
        busy = 0
        for ident, frame in sys._current_frames().items():
            name = names.get(ident, "other")
            if name != "sampler" and (doing := said(frame)):
                self.found[role(name), doing] += 1
                busy = 1
        self.samples += busy

    def told(self) -> list[dict[str, object]]:
        """How often a thread of this role did this, of the samples in which any worked at all."""
        return [
            {"thread": thread, "doing": doing, "share": round(count / max(1, self.samples), 4)}
            for (thread, doing), count in self.found.most_common(40)
        ]

    def write(self, path: str) -> None:
        self._stop.set()
        self._thread.join()
        Path(path).write_text(json.dumps(self.told()))


def role(name: str) -> str:
    """A thread's name without its number."""
    return name.rstrip("0123456789_-") or name


def said(frame: FrameType | None) -> str:
    """``file:function`` of our innermost frame, and of what it called; empty where it waits."""
    if frame is None or (Path(frame.f_code.co_filename).name, frame.f_code.co_name) in WAITING:
        return ""
    inner = place(frame)
    while frame is not None:
        path = frame.f_code.co_filename
        own = next((path[path.index(part) :] for part in OWN if part in path), "")
        if own and "site-packages" not in path:
            mine = f"{own}:{frame.f_code.co_name}"
            return mine if inner == place(frame) else f"{mine} > {inner}"
        frame = frame.f_back
    return inner


def place(frame: FrameType) -> str:
    return f"{Path(frame.f_code.co_filename).name}:{frame.f_code.co_name}"


def beside(seconds: float) -> Sampler:
    """Look at this process for so long; for tests and for trying things out."""
    sampler, end = Sampler(), time.monotonic() + seconds
    while time.monotonic() < end:
        sampler.look()
        time.sleep(EVERY_S)
    return sampler
