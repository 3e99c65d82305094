"""Free pages of the heap stay where they are, however many messages protobuf throws away."""

import os
import platform
import subprocess
import sys
from pathlib import Path

import google.protobuf
import pytest

CHILD = """
import ctypes, sys, time
from pathlib import Path
from services.inference.allocation import settle
from services.inference.trimming import keep_pages, trim_at_rest
from steerboard.v1 import types_pb2

settle({})
print(keep_pages() if sys.argv[1] == "kept" else "alone")
libc, size = ctypes.CDLL(None), 10 * 2**20
libc.malloc.restype, libc.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
libc.free.argtypes = [ctypes.c_void_p]

def resident():
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("RssAnon")).split()[1]) // 1024

blocks = [libc.malloc(size) for _ in range(10)]
for block in blocks: ctypes.memset(block, 1, size)
behind = libc.malloc(100)
for block in blocks: libc.free(block)
print(resident())
for _ in range(25_000): message = types_pb2.Tensor(shape=[3], data=b"abc")
print(resident())
looks = []
busy = trim_at_rest(0.01, spent=lambda: looks.append(1) or float(len(looks)))
while len(looks) < 20: time.sleep(0.01)
print(resident())
busy.set()
trim_at_rest(0.01, spent=lambda: 0.0)
while resident() > 60: time.sleep(0.01)  # Else it is ended from without.
assert types_pb2.Tensor.FromString(message.SerializeToString()).data == b"abc"
"""


def told(how):
    """What ``keep_pages`` said, and MiB resident before and after many messages, and at work.

    It ends only when ``trim_at_rest`` has given those pages back.
    """
    command = [sys.executable, "-c", CHILD, how]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    said, *sizes = done.stdout.split()
    return said, *map(int, sizes)


@pytest.mark.skipif(
    not sys.platform.startswith("linux") or platform.machine() not in ("x86_64", "aarch64"),
    reason="glibc's heap",
)
def test_what_messages_free_costs_the_heap_no_pages():
    said, before, after, at_work = told("kept")
    assert said == "True" and before > 100 and min(after, at_work) > before - 10


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc's heap")
def test_protobuf_left_alone_still_trims():
    """Once it does not any more, ``services/inference/trimming.py`` can go."""
    said, before, after, _ = told("alone")
    assert said == "alone" and before > 100 and after < before - 50


@pytest.mark.skipif(
    not sys.platform.startswith("linux") or platform.machine() not in ("x86_64", "aarch64"),
    reason="glibc's heap",
)
def test_packages_behind_a_link_are_found_too(tmp_path: Path) -> None:
    link = tmp_path / "packages"
    link.symlink_to(Path(google.protobuf.__file__).parents[2])
    asked = (
        "from services.inference.trimming import keep_pages; said = keep_pages();"
        "import google._upb._message as upb; print(said, upb.__file__)"
    )
    here = {**os.environ, "PYTHONPATH": str(link)}
    done = subprocess.run(
        [sys.executable, "-c", asked], capture_output=True, text=True, timeout=120, env=here
    )
    assert done.returncode == 0, done.stderr
    said, file = done.stdout.split()
    assert said == "True" and file.startswith(str(link))
