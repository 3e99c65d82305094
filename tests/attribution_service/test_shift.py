"""A message's work: a question is in flight while the result before it is written down."""

import threading
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from services.attribution import shift
from services.attribution.desk import Desk
from services.attribution.hands import Hands
from services.attribution.job_files import JobFiles
from services.attribution.shift import Shift
from steerboard.spec.errors import Unavailable
from steerboard.spec.jobs import JobStatus
from tests.attribution_service.pool import ANN, Counting, a_set, out

WAIT_S = 60.0  # longer than anything takes


@pytest.fixture(autouse=True)
def no_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """However busy the machine is: each chunk is quick, and a message takes up all of them."""
    for name in ("QUICK_S", "AT_IT_S", "LAST_STEP_S"):
        monkeypatch.setattr(shift, name, 1e9)
    monkeypatch.setattr("services.attribution.hands.BUDGET_S", 1e9)


def begun(desk: Desk, images: Sequence[bytes]) -> tuple[str, tuple[str, int]]:
    """A set that was handed in, and its first chunk, as it comes to a worker."""
    job = desk.submit(a_set(list(images)), [], ANN).id
    (member,) = out(desk, "bulk")
    return job, member


def worked(desk: Desk, hands: Hands, member: tuple[str, int], message: str = "m") -> JobStatus:
    Shift(hands, desk._dispatcher, message, "bulk").work(member)
    return desk.status(member[0], ANN)


def nothing_is_left(desk: Desk) -> None:
    redis = desk.records._redis
    for kind in ("out", "ahead"):
        assert not redis.exists(f"steerboard:{kind}:bulk")


def before_storing(monkeypatch: pytest.MonkeyPatch, act: Callable[[int], None]) -> list[int]:
    """Have ``act`` called before a chunk's result is stored; the chunks in that order."""
    stored: list[int] = []
    store = JobFiles.store

    def instead(self: JobFiles, chunk: int, rows: list[dict[str, Any]], gist: bytes) -> None:
        act(chunk)
        store(self, chunk, rows, gist)
        stored.append(chunk)

    monkeypatch.setattr(JobFiles, "store", instead)
    return stored


def test_the_next_question_leaves_before_a_result_is_written_down(
    desk: Desk,
    hands: Hands,
    counting: Counting,
    tiny_images: list[bytes],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The store of the second chunk waits for the question about the third, and so on."""
    chunks = 5
    asked = [threading.Event() for _ in range(chunks + 1)]

    def fail(call: int) -> None:
        asked[call - 1].set()

    def wait(chunk: int) -> None:
        if 0 < chunk < chunks - 1:  # the first shows that they are quick, the last has none after
            assert asked[chunk + 1].wait(WAIT_S)

    counting.fail = fail
    stored = before_storing(monkeypatch, wait)
    _, member = begun(desk, (tiny_images * chunks)[: 16 * chunks])
    assert worked(desk, hands, member).state == "done"
    assert stored == list(range(chunks + 1)) and counting.pictures == 16 * chunks
    nothing_is_left(desk)


def test_a_slow_chunk_is_followed_by_none_taken_ahead(
    desk: Desk,
    hands: Hands,
    counting: Counting,
    tiny_images: list[bytes],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(shift, "QUICK_S", 0.0)
    counted: list[int] = []
    job, member = begun(desk, tiny_images * 3)
    counting.fail = lambda call: counted.append(desk.status(job, ANN).done)
    assert worked(desk, hands, member).state == "done"
    assert counted[-3:] == [0, 1, 2]  # all before it were written down when a chunk was asked about
    nothing_is_left(desk)


def test_what_cannot_be_stored_for_a_while_is_done_again(
    desk: Desk,
    hands: Hands,
    counting: Counting,
    tiny_images: list[bytes],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    trouble = {2: 1, 3: 2}

    def stumble(chunk: int) -> None:
        if trouble.get(chunk):
            trouble[chunk] -= 1
            raise Unavailable("the disk of blobs is away")

    stored = before_storing(monkeypatch, stumble)
    hands.patience_s = WAIT_S
    _, member = begun(desk, tiny_images * 5)
    assert worked(desk, hands, member).state == "done"
    assert sorted(stored) == list(range(6)) and counting.pictures == 16 * (5 + 3)
    nothing_is_left(desk)


def test_a_job_whose_results_cannot_be_stored_fails_once(
    desk: Desk,
    hands: Hands,
    tiny_images: list[bytes],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def full(chunk: int) -> None:
        if chunk == 2:
            raise OSError(28, "No space left on device")

    before_storing(monkeypatch, full)
    _, member = begun(desk, tiny_images * 5)
    assert worked(desk, hands, member).state == "failed"
    nothing_is_left(desk)


def test_a_job_that_is_taken_back_leaves_nothing_in_hand(
    desk: Desk, hands: Hands, counting: Counting, tiny_images: list[bytes]
) -> None:
    job, member = begun(desk, tiny_images * 6)

    def leave(call: int) -> None:
        if call == 3:
            desk.cancel(job, ANN)

    counting.fail = leave
    assert worked(desk, hands, member).state == "cancelled"
    assert counting.calls <= 4  # the one in flight, and the one that was in hand
    nothing_is_left(desk)


def test_who_has_to_stop_puts_back_what_was_taken_ahead(
    desk: Desk, hands: Hands, tiny_images: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    job, member = begun(desk, tiny_images * 6)
    computed = hands.computed

    def stop(job: str, chunk: int, *rest: Any) -> Any:
        if chunk == 3:
            raise Unavailable("the queue (Redis) does not answer")
        return computed(job, chunk, *rest)

    monkeypatch.setattr(hands, "computed", stop)
    with pytest.raises(Unavailable):
        worked(desk, hands, member)
    redis = desk.records._redis
    assert out(desk, "bulk") == [(job, 3)]  # as lost as if the worker had died: it is sent again
    assert redis.lrange(f"steerboard:todo:{job}", 0, -1) == ["4", "5"]
    assert redis.smembers(f"steerboard:done:{job}") == {"0", "1", "2"}
    assert not redis.exists("steerboard:ahead:bulk")
    monkeypatch.setattr(hands, "computed", computed)
    assert worked(desk, hands, (job, 3), "another").state == "done"
    nothing_is_left(desk)


def test_a_redelivered_message_finds_both_chunks_that_were_in_hand(
    desk: Desk, hands: Hands, counting: Counting, tiny_images: list[bytes]
) -> None:
    job, member = begun(desk, tiny_images * 6)
    hands.chunk(*member, "m")
    at = desk._dispatcher.further("bulk", "m", member)
    assert at is not None
    ahead = desk._dispatcher.further("bulk", "m", None, at.member)  # and then the worker dies
    assert ahead is not None and desk.records.at("m") == [at.member, ahead.member]
    assert desk.records._redis.smembers("steerboard:ahead:bulk") == {f"{job}:2"}
    assert worked(desk, hands, member).state == "done"
    assert counting.pictures == 16 * 6
    nothing_is_left(desk)
