"""The worker's process: Celery, its two tasks, and the connections that each child opens."""

import gc
import logging
import os
import signal
import threading
import time
from functools import cache, lru_cache

from celery import Celery, Task
from celery.exceptions import SoftTimeLimitExceeded

from services.attribution.celery_app import (
    CHUNK_TASK,
    LANES,
    PULSE_TASK,
    make_app,
    pulse_queue,
)
from services.attribution.dispatch import Dispatcher
from services.attribution.hands import Hands
from services.attribution.library import Library
from services.attribution.records import Records
from services.attribution.results import Results
from services.attribution.settings import Settings
from services.attribution.shift import Shift
from steerboard.api.client import connect
from steerboard.api.tokens import Identity, sign
from steerboard.spec.errors import Overloaded, Unavailable
from steerboard.spec.jobs import Lane
from steerboard.spec.runner import Runner

CALL_S = 4.0  # of one call to the inference service; with the steps before it under the soft limit
STOP_S = 10.0
TOKEN_S = 3600
_LOG = logging.getLogger(__name__)


class Exchange:
    """Connections to the inference service, one for each submitter and lane."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._open = lru_cache(maxsize=32)(self._connect)

    def runner(self, who: Identity, lane: Lane) -> Runner:
        """The service, asked in the name of ``who`` where we can sign for it, else in our own."""
        return self._open(who, lane, int(time.time() // (TOKEN_S / 2)))

    def _connect(self, who: Identity, lane: Lane, _period: int) -> Runner:
        secret, token = self._settings.token_secret, self._settings.token
        if secret is not None:
            token = sign(who.model_copy(update={"lanes": (lane,)}), secret, TOKEN_S)
        return connect(self._settings.inference, token, CALL_S)


def make_worker(settings: Settings) -> Celery:
    """The app with its two tasks; what they talk to is opened in the child, after the fork."""
    app = make_app(settings.broker)
    library = Library(settings.config, settings.blobs)

    @cache
    def hands() -> Hands:
        gc.freeze()  # what was loaded before the fork stays, and need not be looked at again
        records, results = Records(settings.broker), Results(settings.cache)
        return Hands(records, results, library, Exchange(settings).runner, settings.patience_s)

    @cache
    def dispatcher() -> Dispatcher:
        return Dispatcher(hands().records, app)

    def one_chunk(task: Task, job: str, chunk: int) -> None:
        message, lane = task.request.id, task.request.delivery_info["routing_key"]
        try:
            Shift(hands(), dispatcher(), message, lane).work((job, chunk))
        except (Unavailable, Overloaded, SoftTimeLimitExceeded) as error:
            _LOG.warning("chunk %d of job %s: %r", chunk, job, error)

    def one_pulse(worker: str, stamp: float) -> None:
        try:
            hands().records.beat(worker, settings.concurrency, stamp)
            dispatcher().hand_out()
        except (Unavailable, Overloaded) as error:
            _LOG.warning("%s", error.message)

    app.task(name=CHUNK_TASK, bind=True)(one_chunk)
    app.task(name=PULSE_TASK)(one_pulse)
    return app


def die_with(parent: int) -> None:
    """Stop taking chunks when the supervisor is no longer there."""
    while os.getppid() == parent:
        time.sleep(1.0)
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(STOP_S)
    os.killpg(0, signal.SIGKILL)


def consume(settings: Settings, worker: str) -> None:
    """Work until SIGTERM, under the name that its supervisor sends pulses to."""
    app = make_worker(settings)
    threading.Thread(target=die_with, args=(os.getppid(),), daemon=True).start()
    app.worker_main(
        [
            "worker",
            "--pool=prefork",
            f"--concurrency={settings.concurrency + 1}",  # see Records.room
            f"--queues={','.join([*LANES, pulse_queue(worker)])}",
            "--without-gossip",
            "--without-mingle",
            "--loglevel=WARNING",
        ]
    )
