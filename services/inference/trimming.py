"""When the heap gives its free pages back: where the process rests, not every other second.

Its C part calls ``malloc_trim(0)`` at every 10,000th block that it frees (``upb_trim_allocfunc`` in
protobuf's ``python/protobuf.c``), so that a program that once read a large message looks small
again. A server of many small ones comes there every few seconds, and each time loses the pages that
its next batch touches again: resident memory goes up and down by a fifth, and a quarter of all time
goes into new pages. There is no switch for it, so that one reference is pointed elsewhere: to
``abs``, which takes a number, does nothing, and gives 0 for 0, as where nothing could be trimmed.
A process that rests trims itself, so that nothing is held for nothing. (To do it twice a minute at
work too was tried: the pages take ten seconds to come back.)
"""

import ctypes
import logging
import mmap
import platform
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

_LOG = logging.getLogger(__name__)
_LOADED_AT_RUN_TIME = 2  # PT_DYNAMIC of elf(5); the numbers below are its DT_ names
_STRTAB, _SYMTAB, _RELA, _RELASZ, _PLTRELSZ, _JMPREL = 5, 6, 7, 8, 2, 23
_READ, _WRITE = 1, 2
EVERY_S = 30.0
AT_REST = 0.05  # of one core


def keep_pages() -> bool:
    """Point protobuf's ``malloc_trim`` elsewhere; False where it has none, or not this kind."""
    if not sys.platform.startswith("linux") or platform.machine() not in ("x86_64", "aarch64"):
        return False
    from google.protobuf.internal import api_implementation

    if api_implementation.Type() != "upb":
        return False
    import google._upb._message as upb

    libc, places = ctypes.CDLL(None), list(_references(Path(str(upb.__file__)), b"malloc_trim"))
    harmless = ctypes.cast(libc.abs, ctypes.c_void_p).value
    for place in places:
        _write(libc, place, int(harmless or 0))
    return bool(places)


def trim_at_rest(
    every_s: float = EVERY_S, spent: Callable[[], float] = time.process_time
) -> threading.Event:
    """Look every so often whether the process rests, and trim where it does; until set.

    Args:
        every_s: Seconds from one look to the next.
        spent: Seconds of the processor that the process has had.
    """
    stop, libc = threading.Event(), ctypes.CDLL(None)

    def work() -> None:
        before = spent()
        while not stop.wait(every_s):
            now = spent()
            if now - before < AT_REST * every_s:
                libc.malloc_trim(0)
            before = now

    if hasattr(libc, "malloc_trim"):
        threading.Thread(target=work, name="trim", daemon=True).start()
    return stop


def _references(library: Path, wanted: bytes) -> Iterator[int]:
    """Where a loaded library keeps the address of a function of another one."""
    path = str(library.resolve())  # as the system tells it, where the folder is a link
    base = min((begin for begin, _, mapped, _ in _maps() if mapped == path), default=0)
    if not base:
        return
    told = dict(_dynamic(base))
    # Addresses are the file's own for some loaders, and in memory already for others.
    at = {name: value if value > base else base + value for name, value in told.items()}
    for table, size in ((_RELA, _RELASZ), (_JMPREL, _PLTRELSZ)):
        for entry in range(0, told.get(size, 0), 24):
            offset, info = _words(at[table] + entry, 2)
            symbol = ctypes.c_uint32.from_address(at[_SYMTAB] + 24 * (info >> 32)).value
            if info >> 32 and ctypes.string_at(at[_STRTAB] + symbol) == wanted:
                yield base + offset


def _dynamic(base: int) -> Iterator[tuple[int, int]]:
    """Names and values of a library's dynamic section."""
    (headers,) = _words(base + 32, 1)
    count = ctypes.c_uint16.from_address(base + 56).value
    for header in (base + headers + 56 * i for i in range(count)):
        if ctypes.c_uint32.from_address(header).value == _LOADED_AT_RUN_TIME:
            at = base + _words(header + 16, 1)[0]
            while (pair := _words(at, 2))[0]:
                yield pair[0], pair[1]
                at += 16


def _words(at: int, count: int) -> tuple[int, ...]:
    return tuple((ctypes.c_uint64 * count).from_address(at))


def _maps() -> Iterator[tuple[int, int, str, str]]:
    """Begin, end, file and permissions of what is mapped into this process."""
    for line in Path("/proc/self/maps").read_text().splitlines():
        span, permissions, *_, file = line.split(maxsplit=5)
        begin, end = (int(part, 16) for part in span.split("-"))
        yield begin, end, file, permissions


def _write(libc: ctypes.CDLL, place: int, value: int) -> None:
    """Write one address, where the loader has made its page read-only too."""
    permissions = next(p for begin, end, _, p in _maps() if begin <= place < end)
    page, size = ctypes.c_void_p(place & -mmap.PAGESIZE), ctypes.c_size_t(mmap.PAGESIZE)
    if "w" not in permissions and libc.mprotect(page, size, _READ | _WRITE):
        _LOG.info("protobuf goes on trimming the heap: its page cannot be written")
        return
    ctypes.c_uint64.from_address(place).value = value
    if "w" not in permissions:
        libc.mprotect(page, size, _READ)
