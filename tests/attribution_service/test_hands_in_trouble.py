"""What becomes of a chunk where something goes wrong: it waits, goes on, or says why it ends."""

import json
import shutil
from contextlib import suppress

import pytest

from services.attribution import results
from services.attribution.desk import Desk
from services.attribution.hands import MAX_LOSSES, Hands
from services.attribution.members import NUMERICS
from services.attribution.shift import Shift
from steerboard.spec.errors import (
    DeadlineExceeded,
    Internal,
    InvalidRequest,
    NotFound,
    Overloaded,
    SteerboardError,
    Unavailable,
)
from steerboard.spec.jobs import AttributeJob
from tests.attribution_service.pool import ANN, Counting, a_set, out, work


def test_inference_away_is_waited_out(
    desk: Desk, hands: Hands, counting: Counting, job: AttributeJob
) -> None:
    counting.fail = lambda call: Unavailable("no answer: is it running?") if call < 3 else None
    opened = desk.submit(job, [], ANN)
    hands.patience_s = 30
    work(desk, hands, opened.id)
    assert desk.status(opened.id, ANN).state == "done"


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (Unavailable("no answer from x: is it running?"), "is it running.*tried for"),
        (DeadlineExceeded("x did not answer within 3 s"), "too slow for this job"),
    ],
)
def test_what_never_answers_fails_the_job_with_a_sentence(
    desk: Desk,
    hands: Hands,
    counting: Counting,
    job: AttributeJob,
    error: SteerboardError,
    words: str,
) -> None:
    counting.fail = lambda call: error
    opened = desk.submit(job, [], ANN)
    work(desk, hands, opened.id)
    with pytest.raises(type(error), match=words):
        desk.results_page(opened.id, "", 0, ANN)
    counting.fail = lambda call: None
    again = desk.submit(job, [], ANN)
    assert (again.state, again.joined) == ("queued", False)
    work(desk, hands, opened.id)
    assert desk.status(opened.id, ANN).state == "done"


def test_an_overloaded_service_is_given_longer(
    desk: Desk, hands: Hands, counting: Counting, job: AttributeJob
) -> None:
    hands.patience_s = 0.3
    counting.fail = lambda call: Overloaded("full", retry_after_s=1) if call < 4 else None
    opened = desk.submit(job, [], ANN)
    work(desk, hands, opened.id)
    assert desk.status(opened.id, ANN).state == "done"


def test_a_question_that_cannot_be_answered_fails_at_once(
    desk: Desk, hands: Hands, counting: Counting, job: AttributeJob
) -> None:
    counting.fail = lambda call: InvalidRequest("no such class", field="targets[0]")
    opened = desk.submit(job, [], ANN)
    work(desk, hands, opened.id)
    with pytest.raises(InvalidRequest, match="no such class") as caught:
        desk.results_page(opened.id, "", 0, ANN)
    assert caught.value.field == "targets[0]" and counting.calls == 1


def test_a_fault_of_ours_is_one_sentence(
    desk: Desk, hands: Hands, counting: Counting, job: AttributeJob
) -> None:
    def broken(call: int) -> None:
        raise ZeroDivisionError("a secret")

    counting.fail = broken
    opened = desk.submit(job, [], ANN)
    work(desk, hands, opened.id)
    with pytest.raises(Internal, match="the computation failed"):
        desk.results_page(opened.id, "", 0, ANN)


def test_what_was_reached_is_not_computed_again(
    desk: Desk, hands: Hands, counting: Counting, tiny_images: list[bytes]
) -> None:
    counting.fail = lambda call: DeadlineExceeded("slow") if call % 2 == 0 else None
    opened = desk.submit(a_set(tiny_images), [], ANN)
    hands.patience_s = 30
    work(desk, hands, opened.id)
    assert desk.status(opened.id, ANN).state == "done"
    assert counting.pictures == 16  # each once, though every other call was lost


def test_a_chunk_that_kills_its_workers_is_given_up(
    desk: Desk, hands: Hands, job: AttributeJob
) -> None:
    opened = desk.submit(job, [], ANN)
    for _ in range(MAX_LOSSES):
        assert desk.records.start(opened.id, 0) is not None  # and then the worker dies
    hands.chunk(opened.id, 0)
    with pytest.raises(Internal, match="3 workers died over this job"):
        desk.results_page(opened.id, "", 0, ANN)


def test_who_is_killed_by_chance_again_and_again_gets_further(
    desk: Desk, hands: Hands, counting: Counting, tiny_images: list[bytes]
) -> None:
    """A worker that dies at every second call is no fault of the chunk, while each gets further."""
    opened = desk.submit(a_set(tiny_images), [], ANN)
    desk.records.start(opened.id, 0)  # and then the worker dies

    def dies(call: int) -> None:
        if call % 2 == 0:
            raise KeyboardInterrupt

    counting.fail = dies
    for _ in range(2 * MAX_LOSSES):
        with suppress(KeyboardInterrupt):
            hands.chunk(opened.id, 0)
    assert desk.status(opened.id, ANN).done == 1
    assert counting.pictures == 16  # each once
    assert 1 + counting.calls // 2 >= MAX_LOSSES  # workers that were lost over the chunk


def test_a_job_taken_back_stops_between_two_steps(
    desk: Desk, hands: Hands, counting: Counting, tiny_images: list[bytes]
) -> None:
    opened = desk.submit(a_set(tiny_images * 10), [], ANN)

    def cancel(call: int) -> None:
        if call == 2:
            desk.cancel(opened.id, ANN)

    counting.fail = cancel
    work(desk, hands, opened.id)
    assert desk.status(opened.id, ANN).state == "cancelled"
    assert counting.calls == 2
    for chunk in range(11):
        hands.chunk(opened.id, chunk)
    assert counting.calls == 2


def test_a_set_whose_parts_went_away_fails_with_a_sentence(
    desk: Desk, hands: Hands, tiny_images: list[bytes]
) -> None:
    opened = desk.submit(a_set(tiny_images), [], ANN)
    ((job, chunk),) = out(desk, "bulk")
    hands.chunk(job, chunk)
    shutil.rmtree(desk.library.folder(ANN.tenant, job).removeprefix("file://") + "/rows")
    work(desk, hands, opened.id)
    with pytest.raises(NotFound, match="no longer there"):
        desk.results_page(opened.id, "", 0, ANN)


def test_a_set_outlives_a_cache_that_forgets_everything(
    desk: Desk, hands: Hands, tiny_images: list[bytes]
) -> None:
    opened = desk.submit(a_set(tiny_images * 3), [], ANN)
    ((job, chunk),) = out(desk, "bulk")
    hands.chunk(job, chunk)
    for name in desk.results._redis.keys("steerboard:part:*"):
        desk.results._redis.delete(name)
    work(desk, hands, opened.id)
    assert len(desk.results_page(opened.id, "", 0, ANN)[1]) == 49


def test_a_worker_of_another_version_leaves_a_job_to_others_and_says_so_at_last(
    desk: Desk, hands: Hands, tiny_images: list[bytes]
) -> None:
    jobs = [desk.submit(a_set(tiny_images * n), [], ANN).id for n in (1, 2)]
    for job in jobs:
        desk.records._redis.hset(f"steerboard:job:{job}", "numerics", NUMERICS + 1)
    hands.chunk(jobs[0], 0)
    assert desk.status(jobs[0], ANN).state == "running"  # put back, for another worker
    desk.records._redis.hset(f"steerboard:job:{jobs[0]}", "numerics", NUMERICS)
    work(desk, hands, jobs[0])
    assert desk.status(jobs[0], ANN).state == "done"
    hands.patience_s = 0.3
    work(desk, hands, jobs[1])
    with pytest.raises(Unavailable, match=f"version {NUMERICS + 1}.* version {NUMERICS}.*again"):
        desk.results_page(jobs[1], "", 0, ANN)


def test_a_question_that_a_worker_does_not_know_is_left_to_others_too(
    desk: Desk, hands: Hands, job: AttributeJob
) -> None:
    opened = desk.submit(job, [], ANN)
    newer = {**job.model_dump(mode="json"), "of_a_later_release": 1}
    desk.records._redis.hset(f"steerboard:job:{opened.id}", "spec", json.dumps(newer))
    hands.patience_s = 0.3
    work(desk, hands, opened.id)
    with pytest.raises(Unavailable, match=r"do not know .*of_a_later_release.*one release"):
        desk.results_page(opened.id, "", 0, ANN)


def test_half_done_work_of_another_version_is_left_alone(
    desk: Desk, hands: Hands, tiny_images: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = desk.submit(a_set(tiny_images), [], ANN)
    ((job, chunk),) = out(desk, "bulk")
    monkeypatch.setattr(results, "FORM", results.FORM - 1)
    desk.results.keep_part(job, chunk, {"in": "an older form"})
    monkeypatch.undo()
    desk.records.defer(job, chunk, "more")  # by the old worker
    work(desk, hands, opened.id)
    assert desk.status(opened.id, ANN).state == "done"


def test_a_job_that_failed_goes_on_where_it_was(
    desk: Desk, hands: Hands, counting: Counting, tiny_images: list[bytes]
) -> None:
    spec = a_set(tiny_images * 3)
    opened = desk.submit(spec, [], ANN)
    counting.fail = lambda call: Internal("a fault") if call > 2 else None
    work(desk, hands, opened.id)
    assert desk.status(opened.id, ANN).state == "failed"
    before = counting.pictures
    assert 0 < before < 48
    counting.fail = lambda call: None
    assert desk.submit(spec, [], ANN).state == "queued"
    work(desk, hands, opened.id)
    assert desk.status(opened.id, ANN).state == "done"
    assert counting.pictures == 48  # none was asked about again


def test_a_message_goes_on_with_further_chunks_and_its_redelivery_finds_the_lost_one(
    desk: Desk, hands: Hands, counting: Counting, tiny_images: list[bytes]
) -> None:
    opened = desk.submit(a_set(tiny_images * 2), [], ANN)
    ((job, first),) = out(desk, "bulk")
    dispatcher = desk._dispatcher
    hands.chunk(job, first, "message")
    lost = dispatcher.further("bulk", "message", None)  # and then the worker dies
    assert lost is not None and lost.member != (job, first) and lost.begun is not None
    Shift(hands, dispatcher, "message", "bulk").work((job, first))
    assert desk.status(opened.id, ANN).state == "done"
    assert counting.pictures == 32
