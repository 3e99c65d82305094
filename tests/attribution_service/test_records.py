"""The job records on a real Redis: turns, losses, second deliveries, ends."""

import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from services.attribution.job_errors import error_from_json, error_to_json
from services.attribution.members import Size
from services.attribution.records import LOST_S, MAX_WAITING, SLOW_S, Records
from steerboard.spec.errors import NotFound, Overloaded, SteerboardError, all_errors
from tests.attribution_service.conftest import RunningRedis
from tests.attribution_service.opened import ANN, BOB, ONE, open_one, open_set


def test_of_many_at_once_one_opens(records: Records) -> None:
    with ThreadPoolExecutor(20) as pool:
        found = list(pool.map(lambda _: open_one(records, "j"), range(20)))
    assert sorted(found) == ["new"] + ["queued"] * 19
    assert records.release("interactive") == [("j", 0)]
    assert records.release("interactive") == []


def test_a_set_is_closed_by_its_last_chunk_which_comes_after_the_others(records: Records) -> None:
    open_set(records, "s", 33)  # three chunks of pictures, and the closing one
    assert records.status("s").total == 4
    for chunk in range(3):
        assert records.release("bulk") == [("s", chunk)]
        assert records.start("s", chunk) is not None
        assert records.release("bulk") == []  # nothing else may be out: no worker was heard of
        records.finish("s", chunk)
    assert records.status("s").state == "running"
    assert records.release("bulk") == [("s", 3)]
    records.finish("s", 3)
    status = records.status("s")
    assert (status.state, status.done) == ("done", 4)
    assert records.waiting() == []


def test_a_chunk_is_looked_for_where_some_of_it_may_be_done(records: Records) -> None:
    def before(job: str) -> bool:
        found = records.start(job, 0)
        assert found is not None
        return found.before

    open_one(records, "j")
    assert not before("j")
    assert before("j")  # begun before, and not heard of again
    records.defer("j", 0, "more")
    assert before("j")  # put back
    records.end("j", "cancelled")
    open_one(records, "j")
    assert before("j")  # of a job that is asked for again, any chunk


def test_a_record_that_is_opened_anew_is_read_anew(records: Records) -> None:
    open_one(records, "j", ANN)
    first, asked = records.start("j", 0), records.asked("j")
    assert first is not None and asked is not None and asked.opened == first.opened
    assert (asked.submitter, asked.lane, asked.chunks) == (ANN, "interactive", 1)
    records.end("j", "cancelled")
    assert records.asked("j") is None
    open_one(records, "j", BOB)
    second, asked = records.start("j", 0), records.asked("j")
    assert second is not None and asked is not None and asked.submitter == BOB
    assert second.opened == asked.opened != first.opened


def test_a_second_delivery_changes_nothing(records: Records) -> None:
    open_set(records, "s", 32)
    records.release("bulk")
    for _ in range(3):
        records.finish("s", 0)
    assert records.status("s").done == 1
    assert records.start("s", 0) is None
    records.release("bulk")
    records.finish("s", 1)
    assert records.status("s").done == 2


def test_what_is_taken_back_is_not_begun_and_frees_its_place(records: Records) -> None:
    open_set(records, "s", 160)
    assert records.release("bulk") == [("s", 0)]
    records.end("s", "cancelled")
    assert records.start("s", 0) is None
    assert not records.wanted("s")
    open_set(records, "other", 16, BOB)
    assert records.release("bulk") == [("other", 0)]
    records.finish("s", 0)
    assert records.status("s").state == "cancelled"
    assert open_set(records, "s", 160) == "new"
    assert records.status("s").done == 0


def test_a_job_ends_once(records: Records) -> None:
    open_one(records, "j")
    records.finish("j", 0)
    records.end("j", "failed", NotFound("too late"))
    assert records.status("j").state == "done" and records.error("j") is None
    with pytest.raises(NotFound, match="no job"):
        records.end("nothing", "cancelled")


def test_results_that_are_gone_open_the_record_once_more(records: Records) -> None:
    open_one(records, "j")
    records.finish("j", 0)
    before, opened = records.before("j")
    assert before == records.status("j") and opened == records._redis.hget(
        "steerboard:job:j", "opened"
    )
    again = [records.open("j", ONE, Size(1, 1, 1), "interactive", ANN, opened) for _ in range(3)]
    assert again == ["new", "queued", "queued"]  # who saw the loss too joins, and undoes nothing


def test_a_worker_that_dies_over_a_chunk_again_and_again_is_counted(records: Records) -> None:
    open_one(records, "j")
    records.release("interactive")
    begun = [records.start("j", 0) for _ in range(4)]
    assert [b.losses for b in begun if b is not None] == [0, 1, 2, 3]
    records.defer("j", 0, "failed")  # one that speaks is none that died
    again = records.start("j", 0)
    assert again is not None and again.losses == 0


def test_what_fails_waits_longer_and_longer_and_progress_starts_anew(records: Records) -> None:
    open_one(records, "j")
    records.release("interactive")
    assert records.defer("j", 0, "failed") == 0.0
    assert records.release("interactive") == []  # not yet due
    time.sleep(0.6)
    assert records.release("interactive") == [("j", 0)]
    assert records.defer("j", 0, "slow") >= 0.5
    time.sleep(0.6)
    assert records.release("interactive") == []  # now twice as long
    time.sleep(0.6)
    assert records.release("interactive") == [("j", 0)]
    begun = records.start("j", 0)
    assert begun is not None and begun.slow == 1
    records.defer("j", 0, "more")
    assert records.release("interactive") == [("j", 0)]
    assert records.defer("j", 0, "failed") == 0.0


def test_what_celery_lost_is_found(records: Records) -> None:
    open_one(records, "j")
    assert records.release("interactive") == [("j", 0)]
    assert records.stale("interactive") == []
    aged(records, "j:0", LOST_S + 1)
    assert records.stale("interactive") == [("j", 0)]
    assert records.stale("interactive") == []  # it was handed out anew just now
    records._redis.lpush("interactive", "a message that waits")
    aged(records, "j:0", LOST_S + 1)
    assert records.stale("interactive") == []  # the queue is only slow
    aged(records, "j:0", SLOW_S + 1)
    assert records.stale("interactive") == [("j", 0)]


def aged(records: Records, member: str, seconds: float) -> None:
    """As if the member had been handed out so many seconds ago."""
    records._redis.zadd("steerboard:out:interactive", {member: time.time() - seconds})


def test_a_set_that_was_accepted_outlives_a_killed_redis(own_server: RunningRedis) -> None:
    records = Records(own_server.url)
    open_set(records, "s", 48)
    assert records._redis.info("commandstats")["cmdstat_waitaof"]["failed_calls"] == 0
    own_server.kill()
    own_server.start()
    assert records.status("s").state == "queued"
    records._redis.config_set("appendonly", "no")
    assert open_set(records, "t", 48) == "new"  # a Redis without a file takes sets too


def test_chunks_that_are_nowhere_are_put_back(records: Records) -> None:
    open_set(records, "s", 48)
    assert records.release("bulk") == [("s", 0)]
    records.finish("s", 0)
    # As after a Redis that lost its last second: neither waiting, nor out, nor done.
    records._redis.delete(
        "steerboard:todo:s", "steerboard:turn:bulk", "steerboard:line:bulk:default/ann"
    )
    assert records.mend() == 2
    assert records.mend() == 0
    seen = set()
    while found := records.release("bulk"):
        for job, chunk in found:
            records.finish(job, chunk)
            seen.add(chunk)
    assert seen == {1, 2, 3}
    assert records.status("s").state == "done"


def test_too_many_waiting_jobs_of_one_caller_are_refused_and_others_are_not(
    records: Records, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.attribution.records.MAX_WAITING", 3)
    assert MAX_WAITING > 3
    for i in range(3):
        open_one(records, f"j{i}")
    with pytest.raises(Overloaded, match="of yours wait") as caught:
        open_one(records, "j3")
    assert caught.value.retry_after_s
    assert open_one(records, "j0") == "queued"  # joining costs nothing
    assert open_one(records, "j3", BOB) == "new"


def test_progress_has_a_rate_and_an_end(records: Records) -> None:
    open_set(records, "s", 64)
    assert records.status("s").rate is None
    for chunk in range(2):
        time.sleep(0.05)
        records.finish("s", chunk)
    status = records.status("s")
    assert status.rate and status.seconds_left
    assert status.seconds_left == pytest.approx(3 * 12.8 / status.rate, rel=1e-6)
    assert records.status("s") == status  # it changes when something happens, and not before


def test_a_worker_is_heard_of_and_forgotten(records: Records) -> None:
    assert not records.alive() and records.slots() == 0
    records.beat("a", 2, 5.0, seconds=1)
    records.beat("b", 3, 6.0)
    assert records.alive() and records.slots() == 5
    assert (records.pulse("a"), records.pulse("b"), records.pulse("c")) == (5.0, 6.0, 0.0)
    time.sleep(1.2)
    assert records.slots() == 3


def test_nothing_is_left_of_a_job_that_ended_but_its_record(records: Records) -> None:
    open_one(records, "j")
    records.release("interactive")
    records.start("j", 0)
    records.finish("j", 0)
    records.release("interactive")
    left = {str(k) for k in records._redis.keys("*")}
    of_job = {f"steerboard:{k}:j" for k in ("job", "done", "times", "for")}
    assert left == {*of_job, "steerboard:mine:default/ann"}
    assert all(records._redis.ttl(k) > 0 for k in left)
    assert not records._redis.hexists("steerboard:job:j", "spec")


@pytest.mark.parametrize("kind", list(all_errors()), ids=lambda k: k.__name__)
def test_an_error_is_written_down_whole(kind: type[SteerboardError]) -> None:
    error = kind("a sentence", field="images", details={"a": "b"}, retry_after_s=2.0)
    again = error_from_json(error_to_json(error))
    assert type(again) is kind and vars(again) == vars(error)
