"""The worker: takes a chunk, computes it over the inference service, stores it, then says so."""

import logging
import threading
import time
from functools import cache
from typing import Any

from celery import Celery
from celery.exceptions import SoftTimeLimitExceeded
from pydantic import TypeAdapter

from services.attribution.celery_app import CHUNK_TASK, make_app
from services.attribution.compute import compute
from services.attribution.jobs import Jobs
from services.attribution.library import Library
from services.attribution.settings import Settings
from steerboard.api.client import connect
from steerboard.spec.errors import Internal, Overloaded, SteerboardError, Unavailable
from steerboard.spec.jobs import JobSpec
from steerboard.spec.runner import Runner

MAX_TRIES = 60  # about a minute of an inference service that is away
WAIT_S = 1
BEAT_S = 2.0
_SPEC: TypeAdapter[JobSpec] = TypeAdapter(JobSpec)
_LOG = logging.getLogger(__name__)


def make_worker(settings: Settings) -> Celery:
    """The app with its one task; what it talks to is opened in the child, after the fork."""
    app = make_app(settings.broker)
    library = Library(settings.config, settings.blobs)

    @cache
    def jobs() -> Jobs:
        return Jobs(settings.broker, settings.cache)

    @cache
    def runner() -> Runner:
        return connect(settings.inference, settings.token)

    def one_chunk(task: Any, job: str, chunk: int) -> None:
        text = jobs().spec(job)
        if text is None:
            return
        if jobs().has(job, chunk):
            jobs().count(job, chunk)
            return
        tries = jobs().try_again(job, chunk)
        try:
            results = compute(
                _SPEC.validate_json(text), chunk, runner(), library.read, library.features
            )
            jobs().store(job, chunk, results)
        except (Unavailable, Overloaded, SoftTimeLimitExceeded) as error:
            if tries < MAX_TRIES:
                raise task.retry(countdown=WAIT_S, max_retries=None, exc=error) from None
            jobs().end(
                job,
                "failed",
                error
                if isinstance(error, SteerboardError)
                else Internal("the chunk takes too long"),
            )
        except SteerboardError as error:
            jobs().end(job, "failed", error)
        except Exception:
            _LOG.exception("chunk %d of job %s", chunk, job)
            jobs().end(
                job, "failed", Internal("the computation failed: the log of the worker says why")
            )

    app.task(name=CHUNK_TASK, bind=True)(one_chunk)
    return app


def beat(settings: Settings) -> None:
    """Say every other second that this worker lives; Redis away is waited out."""
    jobs = Jobs(settings.broker, settings.cache)
    while True:
        try:
            jobs.beat()
        except Unavailable:
            _LOG.warning("the queue (Redis) does not answer")
        time.sleep(BEAT_S)


def run(settings: Settings) -> None:
    """Work until SIGTERM; tasks in hand are finished first."""
    app = make_worker(settings)
    threading.Thread(target=beat, args=(settings,), daemon=True).start()
    app.worker_main(
        [
            "worker",
            "--pool=prefork",
            f"--concurrency={settings.concurrency}",
            "--queues=interactive,bulk",
            "--without-gossip",
            "--without-mingle",
            "--loglevel=WARNING",
        ]
    )
