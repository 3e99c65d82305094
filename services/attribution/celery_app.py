"""The Celery app, hardened for short tasks: late acknowledgement, prefetch 1, JSON only."""

from celery import Celery
from kombu.entity import Queue

VISIBILITY_S = 10
SOFT_LIMIT_S, HARD_LIMIT_S = 5, 8
TASK = "steerboard.chunk"
LANES = ("interactive", "bulk")


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
