"""Watches a worker by what it consumes, and not by its process alone.

A consumer can live and take nothing from the queue: after a Redis that came and went, or with a
pool whose hands are all stuck. So pulses are sent through the queue, and where none comes back
while Redis answers, the consumer is killed and started anew.
"""

import contextlib
import logging
import os
import platform
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from types import FrameType
from typing import TYPE_CHECKING

from services.attribution.settings import Settings
from steerboard.spec.errors import SteerboardError

if TYPE_CHECKING:
    from services.attribution.pulses import Pulses

PULSE_S = 2.0
START_S, SILENT_S = 120.0, 20.0  # without a pulse at first, and later
STOP_S = 10.0
MAX_STILLBORN = 3  # consumers in a row that ended before they took a single pulse
_LOG = logging.getLogger(__name__)


class Watch:
    """Judges from pulses whether a consumer consumes.

    Args:
        now: A clock in seconds.

    Attributes:
        heard: Whether this consumer took a pulse.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._last = 0.0
        self.begin()

    def begin(self) -> None:
        """A new consumer was started."""
        self.heard = False
        self._limit, self._since = START_S, self._now()

    def answered(self, stamp: float) -> None:
        """Redis says that the pulse of this stamp is the last one that was consumed."""
        if stamp > self._last:
            self.heard = True
            self._last, self._since, self._limit = stamp, self._now(), SILENT_S

    def unknown(self) -> None:
        """Redis does not answer: nothing is known, and nobody is judged."""
        self._since = self._now()
        self._limit = max(self._limit, SILENT_S)

    @property
    def silent(self) -> bool:
        """Whether the consumer took nothing for too long."""
        return self._now() - self._since > self._limit


class Supervisor:
    """One consumer process, started again where it ends or no longer consumes."""

    def __init__(self, settings: Settings) -> None:
        self.name = f"{platform.node()}-{os.getpid()}"
        self._settings = settings
        self._pulses: Pulses | None = None
        self._watch = Watch()
        self._stillborn = 0
        self._process: subprocess.Popen[bytes] | None = None
        self._stopping = False

    def run(self) -> None:
        """Until SIGTERM or SIGINT; SystemExit where the consumer dies again and again."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop)
        while not self._stopping:
            process = self._alive()
            if self.look() and not self._stopping:
                _LOG.error("the consumer %d takes nothing from the queue: killed", process.pid)
                end(process, signal.SIGKILL)
            time.sleep(PULSE_S if not self._stopping else 0)
        if self._process is not None:
            end(self._process, signal.SIGTERM)

    def look(self) -> bool:
        """Send a pulse, and see what came of the ones before: whether the consumer is silent."""
        # Loaded while the first consumer is starting, and not before it.
        from services.attribution.pulses import Pulses

        self._pulses = self._pulses or Pulses(self._settings, self.name)
        try:
            self._watch.answered(self._pulses.exchange())
        except SteerboardError as error:
            _LOG.warning("%s", error.message)
            self._watch.unknown()
        return self._watch.silent

    def _alive(self) -> subprocess.Popen[bytes]:
        if self._process is not None:
            code = self._process.poll()
            if code is None:
                return self._process
            end(self._process, signal.SIGKILL)  # of its pool, whoever is left
            _LOG.error("the consumer ended with code %d", code)
            self._stillborn = 0 if self._watch.heard else self._stillborn + 1
            if self._stillborn >= MAX_STILLBORN:
                raise SystemExit(f"the worker does not start: it ended with code {code}")
        command = (sys.executable, "-m", "services.attribution", "consumer", self.name)
        # A group of its own: a kill reaches the pool's processes too.
        self._process = subprocess.Popen(command, process_group=0)
        self._watch.begin()
        return self._process

    def _stop(self, number: int, frame: FrameType | None) -> None:
        self._stopping = True


def end(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    """Signal a consumer and wait; one that does not end in time is killed with all its pool."""
    if number == signal.SIGTERM:
        process.send_signal(number)  # its main process tells the pool, and finishes what it holds
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            _LOG.warning("the consumer does not stop: killed")
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
