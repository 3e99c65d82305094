"""Hosts of their own on this machine, and wires to them that lose, delay or are cut.

A host is a network namespace. Its wire is a pair of TUN devices, one on each side, between which
a thread of the test carries every IP packet: what happens on the way is then a choice of the test,
and needs no module of the kernel beside ``tun``.
"""

import contextlib
import fcntl
import heapq
import itertools
import os
import random
import select
import shutil
import struct
import subprocess
import threading
import time

_TUNSETIFF, _TUN, _NO_PI = 0x400454CA, 0x0001, 0x1000
_NUMBERS = itertools.count()


def ip(*words):
    """The command of that name; raises where it fails."""
    subprocess.run(["ip", *words], check=True, capture_output=True, timeout=30)


def possible():
    """Whether this machine lets us make hosts: root, ``ip``, and a kernel with namespaces."""
    if not shutil.which("ip") or not os.access("/dev/net/tun", os.R_OK | os.W_OK):
        return False
    try:
        with contextlib.ExitStack() as stack:
            stack.enter_context(host())
    except (OSError, subprocess.SubprocessError):
        return False
    return True


def _tun(name):
    device = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    try:
        fcntl.ioctl(device, _TUNSETIFF, struct.pack("16sH", name.encode(), _TUN | _NO_PI))
    except OSError:
        os.close(device)
        raise
    return device


class Wire(threading.Thread):
    """Carries packets between two devices. Change ``cut``, ``loss`` and ``delay_s`` at will.

    ``loss`` is the share of packets that are lost in either direction.
    """

    def __init__(self, near, far):
        super().__init__(name="wire", daemon=True)
        self.cut, self.loss, self.delay_s = False, 0.0, 0.0
        self.carried = self.lost = 0
        self._ends = {near: far, far: near}
        self._chance = random.Random(0)
        self._ended, self._wake = os.pipe()

    def run(self):
        due, order = [], itertools.count()
        while True:
            wait = max(0.0, due[0][0] - time.monotonic()) if due else None
            ready, _, _ = select.select([*self._ends, self._ended], [], [], wait)
            if self._ended in ready:
                return
            for end in ready:
                with contextlib.suppress(BlockingIOError):
                    packet = os.read(end, 65_536)
                    if self._passes():
                        at = time.monotonic() + self.delay_s
                        heapq.heappush(due, (at, next(order), self._ends[end], packet))
            while due and due[0][0] <= time.monotonic():
                _, _, end, packet = heapq.heappop(due)
                with contextlib.suppress(OSError):  # The device may not be up yet.
                    os.write(end, packet)

    def _passes(self):
        lost = self.cut or self._chance.random() < self.loss
        self.lost, self.carried = self.lost + lost, self.carried + (not lost)
        return not lost

    def heal(self):
        self.cut, self.loss, self.delay_s = False, 0.0, 0.0

    def end(self):
        os.write(self._wake, b".")
        self.join()
        for end in (*self._ends, self._ended, self._wake):
            os.close(end)


@contextlib.contextmanager
def host():
    """Within: the name of a namespace, the address it has, and the wire to it."""
    number = next(_NUMBERS)
    name, subnet = f"sb{os.getpid()}-{number}", f"10.{213 + number % 8}.{os.getpid() % 250}"
    near, far = f"sbn{os.getpid()}-{number}", f"sbf{os.getpid()}-{number}"
    with contextlib.ExitStack() as stack:
        ip("netns", "add", name)
        stack.callback(ip, "netns", "delete", name)
        wire = Wire(_tun(near), _tun(far))
        wire.start()
        stack.callback(wire.end)
        ip("link", "set", far, "netns", name)
        ip("addr", "add", f"{subnet}.1/30", "dev", near)
        ip("link", "set", near, "up")
        ip("-n", name, "addr", "add", f"{subnet}.2/30", "dev", far)
        ip("-n", name, "link", "set", far, "up")
        ip("-n", name, "link", "set", "lo", "up")
        yield name, f"{subnet}.2", wire
