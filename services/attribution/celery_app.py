"""The Celery app, hardened for short tasks: late acknowledgement, prefetch 1, JSON only."""

from celery import Celery
from kombu.entity import Queue
from kombu.exceptions import OperationalError

from steerboard.spec.errors import Unavailable
from steerboard.spec.jobs import Lane

VISIBILITY_S = 10  # longer than the hard limit: a task that runs is never handed out twice
SOFT_LIMIT_S, HARD_LIMIT_S = 6, 8
CHUNK_TASK = "steerboard.chunk"
PULSE_TASK = "steerboard.pulse"
LANES: tuple[Lane, ...] = ("interactive", "bulk")


def make_app(broker: str) -> Celery:
    """An app on ``broker`` (a Redis URL); results live in the job records, not in Celery."""
    app = Celery("steerboard", broker=broker)
    app.conf.update(
        task_ignore_result=True,
        task_acks_late=True,
        task_reject_on_worker_lost=True,
        worker_prefetch_multiplier=1,
        task_serializer="json",
        accept_content=["json"],
        task_soft_time_limit=SOFT_LIMIT_S,
        task_time_limit=HARD_LIMIT_S,
        worker_max_tasks_per_child=2000,
        worker_max_memory_per_child=600_000,  # KiB
        worker_cancel_long_running_tasks_on_connection_loss=True,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        task_queues=[Queue(lane) for lane in LANES],
        task_default_queue="interactive",
        worker_hijack_root_logger=False,
        broker_transport_options={
            "visibility_timeout": VISIBILITY_S,
            "unacked_restore_interval": 2,
            "unacked_restore_throttle": 1,
            "socket_timeout": 5,
            "socket_connect_timeout": 2,
            "health_check_interval": 5,
            "max_retries": 2,
        },
    )
    return app


def send_chunk(app: Celery, lane: str, job: str, chunk: int) -> None:
    """Put a chunk on its lane's queue; raises Unavailable."""
    send(app, CHUNK_TASK, [job, chunk], queue=lane)


def pulse_queue(worker: str) -> str:
    """The queue that one worker alone consumes, and by which its supervisor sees that it does."""
    return f"pulse.{worker}"


def send_pulse(app: Celery, worker: str, stamp: float) -> None:
    """Ask a worker to show that it consumes; raises Unavailable."""
    send(app, PULSE_TASK, [worker, stamp], queue=pulse_queue(worker), expires=60)


def send(app: Celery, task: str, arguments: list[object], **options: object) -> None:
    """Put a message on the queue; a connection that a restart broke is made anew, once."""
    for last in (False, True):
        try:
            app.send_task(task, args=arguments, retry=False, **options)
            return
        except (OperationalError, OSError) as error:
            if last:
                raise Unavailable(
                    "the queue (Redis) does not answer: try again in a few seconds",
                    retry_after_s=2.0,
                ) from error
