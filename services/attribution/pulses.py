"""Pulses through the queue, by which a supervisor sees that its consumer consumes."""

import time

from services.attribution.celery_app import make_app, send_pulse
from services.attribution.records import Records
from services.attribution.settings import Settings


class Pulses:
    """Those of one worker."""

    def __init__(self, settings: Settings, worker: str) -> None:
        self._app, self._records = make_app(settings.broker), Records(settings.broker)
        self._worker = worker

    def exchange(self) -> float:
        """Send one; the stamp of the last that was consumed, or 0. Raises Unavailable."""
        send_pulse(self._app, self._worker, time.time())
        return self._records.pulse(self._worker)
