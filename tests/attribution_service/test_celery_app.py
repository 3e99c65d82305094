"""The hardening of Celery: what must hold between its times, and what must never be accepted."""

from importlib.metadata import version

import pytest
from kombu.exceptions import ContentDisallowed
from kombu.serialization import dumps, loads

from services.attribution import celery_app as c
from services.attribution.hands import BUDGET_S
from services.attribution.records import LOST_S
from services.attribution.shift import AT_IT_S, LAST_STEP_S
from services.attribution.worker import CALL_S


@pytest.fixture
def conf():
    return c.make_app("redis://127.0.0.1:1").conf


def test_a_message_that_is_worked_on_is_never_handed_out_twice(conf) -> None:
    assert AT_IT_S < LAST_STEP_S and BUDGET_S <= LAST_STEP_S  # the last chunk gets somewhere
    assert LAST_STEP_S + CALL_S <= c.SOFT_LIMIT_S < c.HARD_LIMIT_S < c.VISIBILITY_S < LOST_S
    assert (conf.task_soft_time_limit, conf.task_time_limit) == (c.SOFT_LIMIT_S, c.HARD_LIMIT_S)
    assert conf.broker_transport_options["visibility_timeout"] == c.VISIBILITY_S


def test_what_a_dead_worker_held_comes_back_within_seconds(conf) -> None:
    assert conf.task_acks_late and conf.task_reject_on_worker_lost
    options = conf.broker_transport_options
    sweep = options["unacked_restore_interval"] * options["unacked_restore_throttle"]
    assert sweep <= 2  # the default sweeps once in a hundred seconds
    assert version("celery") == "5.6.3"  # the consumer of 5.7.0 dies when Redis restarts


def test_workers_hold_one_message_and_are_recycled_and_keep_no_results(conf) -> None:
    assert conf.worker_prefetch_multiplier == 1
    assert 0 < conf.worker_max_tasks_per_child <= 10_000
    assert 0 < conf.worker_max_memory_per_child <= 1_000_000  # KiB
    assert conf.task_ignore_result and conf.result_backend is None


def test_nothing_but_json_is_read(conf) -> None:
    assert conf.task_serializer == "json" and list(conf.accept_content) == ["json"]
    kind, encoding, data = dumps({"a": 1}, serializer="pickle")
    with pytest.raises(ContentDisallowed):
        loads(data, kind, encoding, accept=conf.accept_content)
