"""What keeps the memory of a process with hundreds of threads small and flat.

Each call has a thread, and in each some arithmetic is done around what the engine computes. MKL
then keeps the scratch space of its matrix products for every thread that ever did one (with 200
callers on Emojiland 1.4 GiB beside 0.5 GiB that were in use, still growing after two minutes), and
glibc gives up to eight threads a core a heap of their own, each as large as it ever had to be.
"""

import ctypes
import os
from collections.abc import MutableMapping

# glibc's names for them (malloc.h): how many heaps there are; from how many bytes an allocation is
# mapped by itself, and touched anew each time; how much may lie free at the heap's end.
_ARENA_MAX, _MMAP_THRESHOLD, _TRIM_THRESHOLD = -8, -3, -1
_CHOSEN = {
    "MALLOC_ARENA_MAX": (_ARENA_MAX, 1),
    "MALLOC_MMAP_THRESHOLD_": (_MMAP_THRESHOLD, 32 * 2**20),
    "MALLOC_TRIM_THRESHOLD_": (_TRIM_THRESHOLD, 256 * 2**20),
}


def settle(environment: MutableMapping[str, str] = os.environ) -> None:
    """Call once, before torch is imported; what the environment says already is left as it is."""
    environment.setdefault("MKL_DISABLE_FAST_MM", "1")
    libc = ctypes.CDLL(None)
    for name, (number, value) in _CHOSEN.items():
        if name not in environment and hasattr(libc, "mallopt"):
            libc.mallopt(number, value)
