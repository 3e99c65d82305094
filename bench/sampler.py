"""Where a process spends its processor time: what each thread does, looked at again and again.

At each look a thread's time on a core since the last one goes to what it is seen doing now: the
innermost frames of our own packages and of what they call. A thread that waits has had no time and
counts nothing. Threads without Python, such as gRPC's own, are told by their names.
"""

import json
import sys
import threading
from collections import Counter
from pathlib import Path
from types import FrameType

EVERY_S = 0.01
OWN = ("steerboard/", "services/", "bench/")
THREADS = Path("/proc/self/task")
OUTSIDE = "outside of Python"


class Sampler:
    """Looks at all threads but its own until it is written; ``spent`` in seconds of processor."""

    def __init__(self) -> None:
        self.spent: Counter[tuple[str, str]] = Counter()
        self._before = on_cores()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="sampler", daemon=True)

    def start(self) -> None:
        self._before = on_cores()
        self._thread.start()

    def _run(self) -> None:
        while not self._stop.wait(EVERY_S):
            self.look()

    def look(self) -> None:
        """Share out what every thread has had since the last look."""
        known = {t.native_id: t for t in threading.enumerate()}
        frames, now = sys._current_frames(), on_cores()
        for number, total in now.items():
            had, thread = total - self._before.get(number, 0), known.get(number)
            if not had or thread is self._thread:
                continue
            frame = frames.get(thread.ident or 0) if thread else None
            name = role(thread.name) if thread else named(number)
            self.spent[name, said(frame) or OUTSIDE] += had / 1e9
        self._before = now

    def told(self) -> list[dict[str, object]]:
        """What threads of this role had while they did this, and its share of all."""
        whole = sum(self.spent.values()) or 1.0
        return [
            {"thread": thread, "doing": doing, "share": round(had / whole, 4), "seconds": had}
            for (thread, doing), had in self.spent.most_common(60)
        ]

    def write(self, path: str) -> None:
        self._stop.set()
        self._thread.join()
        Path(path).write_text(json.dumps(self.told()))


def on_cores() -> dict[int, int]:
    """Nanoseconds on a core of each thread of this process so far (schedstat of proc(5), Linux)."""
    found: dict[int, int] = {}
    for one in THREADS.iterdir() if THREADS.exists() else ():
        try:
            found[int(one.name)] = int((one / "schedstat").read_text().split()[0])
        except OSError:  # It has ended.
            continue
    return found


def named(number: int) -> str:
    """What the system calls a thread."""
    try:
        return role((THREADS / str(number) / "comm").read_text().strip())
    except OSError:
        return "ended"


def role(name: str) -> str:
    """A thread's name without its number."""
    return name.rstrip("0123456789_-") or name


def said(frame: FrameType | None) -> str:
    """``file:function`` of our innermost frame, and of what it called; empty without a frame."""
    if frame is None:
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
