"""The page's process, which tells what it has read in and how it sends whenever it is asked to.

    python -m tests.browser.told_page FILE FLAG...

A SIGUSR1 has it write FILE anew.
"""

import json
import os
import signal
import socket
import sys
import threading
from pathlib import Path

from services.ui.__main__ import main

FILE = Path(sys.argv.pop(1))
FLAGS = sys.argv[1:]


def served() -> list[socket.socket]:
    """Copies of the connections that visitors opened."""
    found = []
    for name in os.listdir("/proc/self/fd"):
        try:
            one = socket.socket(fileno=os.dup(int(name)))
            one.getpeername()
        except OSError:  # no socket, or one that listens
            continue
        port = one.getsockname()[1] if one.family == socket.AF_INET else 0
        if f"--server.port={port}" in FLAGS:
            found.append(one)
        else:
            one.close()
    return found


def tell(*_: object) -> None:
    """Modules, whether it is still asking ahead, and whether each visitor is sent to at once."""
    connections = served()
    told = {
        "modules": sorted(sys.modules),
        "ahead": any(thread.name == "ahead" for thread in threading.enumerate()),
        "at_once": [c.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) for c in connections],
    }
    for one in connections:
        one.close()
    whole = FILE.with_suffix(".new")
    whole.write_text(json.dumps(told))
    whole.replace(FILE)


if __name__ == "__main__":
    signal.signal(signal.SIGUSR1, tell)
    main()
