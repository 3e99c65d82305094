"""The process's own settings of malloc and MKL, as the C library tells them."""

import os
import subprocess
import sys

import pytest

CHILD = """
import ctypes, os, sys, threading
from services.inference.allocation import settle
if sys.argv[1] == "settled":
    settle()
libc = ctypes.CDLL(None)
libc.malloc.restype, together = ctypes.c_void_p, threading.Barrier(8)
def work():
    together.wait()
    libc.malloc(100)
    together.wait()
threads = [threading.Thread(target=work) for _ in range(8)]
for thread in threads: thread.start()
for thread in threads: thread.join()
print(os.environ.get("MKL_DISABLE_FAST_MM", "-"), flush=True)
libc.malloc_info(0, ctypes.c_void_p.in_dll(libc, "stdout"))
libc.fflush(None)
"""


def told(how, **environment):
    """What MKL is told, and how many heaps eight threads have that all ask at once."""
    own = {k: v for k, v in os.environ.items() if not k.startswith(("MALLOC_", "MKL_"))}
    found = subprocess.run(
        [sys.executable, "-c", CHILD, how],
        env=own | environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    ).stdout
    return found.splitlines()[0], found.count("<heap nr=")


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="malloc of glibc")
def test_threads_share_one_heap_and_what_the_environment_says_is_left_alone():
    assert told("settled") == ("1", 1)
    mkl, heaps = told("left alone")
    assert mkl == "-" and heaps > 1
    mkl, heaps = told("settled", MALLOC_ARENA_MAX="4", MKL_DISABLE_FAST_MM="0")
    assert mkl == "0" and heaps > 1
