"""How a chunk is computed: once, in steps, and what becomes of what goes wrong."""

import json
import shutil
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import pytest

from services.attribution.compute import complete, rows, size, step
from services.attribution.desk import Desk
from services.attribution.hands import BATCH, FIRST_BATCH, MAX_LOSSES, Hands, Pace
from services.attribution.library import Library
from services.attribution.tools import Tools
from services.attribution.worker import work as work_on
from steerboard.api.tokens import Identity
from steerboard.inprocess.runner import LocalRunner
from steerboard.spec.digest import image_digest
from steerboard.spec.errors import (
    DeadlineExceeded,
    Internal,
    InvalidRequest,
    NotFound,
    Overloaded,
    SteerboardError,
    Unavailable,
)
from steerboard.spec.jobs import AttributeJob, AttributeSetJob, JobSpec
from steerboard.spec.requests import Attribute, Digest, Encoded, Margin, Prompts, Steer

PROMPTS = Prompts(prompts=("cat", "dog", "horse", "boat"))
ANN = Identity(subject="ann")


@dataclass
class Counting:
    """A runner that counts its calls, and fails as a test wishes."""

    inner: LocalRunner
    calls: int = 0
    pictures: int = 0
    fail: Callable[[int], SteerboardError | None] = lambda call: None
    asked: list[Any] = field(default_factory=list)

    def model(self, name: str) -> Any:
        return self.inner.model(name)

    def attribute(self, request: Attribute) -> Any:
        self._count(request)
        return self.inner.attribute(request)

    def steer(self, request: Steer) -> Any:
        self._count(request)
        return self.inner.steer(request)

    def _count(self, request: Any) -> None:
        self.calls += 1
        error = self.fail(self.calls)
        if error is not None:
            raise error
        self.pictures += len(request.images)
        self.asked.append(request)


@pytest.fixture
def counting(runner: LocalRunner) -> Counting:
    return Counting(runner)


@pytest.fixture
def hands(desk: Desk, counting: Counting, library: Library) -> Hands:
    return Hands(desk.records, desk.results, library, lambda who, lane: counting, 1.0)


@pytest.fixture
def job(tiny_images: list[bytes]) -> AttributeJob:
    image = Digest(sha256=image_digest(tiny_images[0]))
    return AttributeJob(
        model="tiny", image=image, classifier=PROMPTS, dictionary="middle", verify=12
    )


def a_set(images: list[bytes]) -> AttributeSetJob:
    digests = tuple(Digest(sha256=image_digest(data)) for data in images)
    return AttributeSetJob(
        model="tiny", images=digests, classifier=PROMPTS, dictionary="middle", top_k=5
    )


def work(desk: Desk, hands: Hands, job: str) -> None:
    """Do what is handed out until the job has ended."""
    limit = time.monotonic() + 60
    while desk.records.wanted(job):
        assert time.monotonic() < limit
        for lane in ("interactive", "bulk"):
            for name, chunk in [*out(desk, lane), *desk.records.release(lane)]:
                hands.chunk(name, chunk)
        time.sleep(0.02)


def out(desk: Desk, lane: str) -> list[tuple[str, int]]:
    members = desk.records._redis.zrange(f"steerboard:out:{lane}", 0, -1)
    return [(m.rsplit(":", 1)[0], int(m.rsplit(":", 1)[1])) for m in members]


def test_twenty_submits_cost_one_computation(
    desk: Desk, hands: Hands, counting: Counting, job: AttributeJob
) -> None:
    for _ in range(10):
        opened = desk.submit(job, [], ANN)
    work(desk, hands, opened.id)
    assert all(desk.submit(job, [], ANN).cached for _ in range(10))
    # Scores, then the ablations in two batches.
    assert [type(r).__name__ for r in counting.asked] == ["Attribute", "Steer", "Steer"]
    assert sum(len(r.steer_sets) for r in counting.asked[1:]) == 12
    hands.chunk(opened.id, 0)  # a second delivery
    assert counting.calls == 3


def test_the_answer_is_the_runners_ranked_and_verified(
    desk: Desk, hands: Hands, runner: LocalRunner, job: AttributeJob, tiny_images: list[bytes]
) -> None:
    opened = desk.submit(job, [], ANN)
    work(desk, hands, opened.id)
    _, (found,), _ = desk.results_page(opened.id, "", 0, ANN)
    picture = Encoded(data=tiny_images[0])
    asked = Attribute(
        model="tiny", images=(picture,), classifier=PROMPTS, dictionary="middle",
        targets=(Margin(),), top_k=24, maps=True,
    )  # fmt: skip
    ((truth,),) = runner.attribute(asked).results()
    assert [f.feature for f in found.features] == truth.features.tolist()  # type: ignore[union-attr]
    assert [f.score for f in found.features] == pytest.approx(truth.scores.tolist())  # type: ignore[union-attr]
    measured = [f.measured for f in found.features]  # type: ignore[union-attr]
    assert all(m is not None for m in measured[:12])
    assert measured[12:] == [None] * len(measured[12:]) and len(measured) > 12


def test_a_set_reports_a_bad_picture_in_place_and_counts_the_good_ones(
    desk: Desk, hands: Hands, tiny_images: list[bytes]
) -> None:
    bad = b"this is no picture"
    images = [*tiny_images, bad, *(data + b" " for data in tiny_images)]  # 33 pictures
    spec = a_set(images)
    opened = desk.submit(spec, images, ANN)
    assert opened.total == 4
    work(desk, hands, opened.id)
    _, (total, *found), token = desk.results_page(opened.id, "", 0, ANN)
    assert token == "" and [r["image"] for r in found] == [i.sha256 for i in spec.images]
    assert (total["pictures"], total["failed"]) == (32, 1)
    assert found[16]["reason"] == "BAD_IMAGE" and found[16]["error"]
    assert all("scores" in r for i, r in enumerate(found) if i != 16)
    good = [r for r in found if "error" not in r]
    sums: dict[int, float] = {}
    for row in good:
        for feature, score in zip(row["features"], row["scores"], strict=True):
            sums[feature] = sums.get(feature, 0.0) + score
    means = {r["feature"]: r["mean"] for r in total["features"]}
    assert means == pytest.approx({f: s / 32 for f, s in sums.items()})
    counts = {r["feature"]: r["pictures"] for r in total["features"]}
    assert counts == {f: sum(f in r["features"] for r in good) for f in sums}


def test_a_picture_that_vanished_from_the_store_is_reported_in_place(
    desk: Desk, hands: Hands, library: Library, tiny_images: list[bytes]
) -> None:
    extra = tiny_images[0] + b" "
    images = [extra, *tiny_images[:3]]
    opened = desk.submit(a_set(images), images, ANN)
    library._blobs.rm(library._root, recursive=True)
    work(desk, hands, opened.id)
    _, (total, *found), _ = desk.results_page(opened.id, "", 0, ANN)
    assert (total["pictures"], total["failed"]) == (3, 1)
    assert found[0]["reason"] == "IMAGE_NOT_CACHED"


def test_each_picture_has_its_own_target(
    desk: Desk, hands: Hands, tiny_images: list[bytes]
) -> None:
    targets = tuple(Margin(index=i % 3, against=3) for i in range(16))
    spec = a_set(tiny_images).model_copy(update={"targets": targets})
    opened = desk.submit(spec, [], ANN)
    work(desk, hands, opened.id)
    _, (_, *found), _ = desk.results_page(opened.id, "", 0, ANN)
    assert [(r["index"], r["against"]) for r in found] == [(i % 3, 3) for i in range(16)]


def test_steps_of_any_size_come_to_the_same_result(
    runner: LocalRunner, library: Library, tiny_images: list[bytes]
) -> None:
    spec = a_set(tiny_images)
    tools = Tools(runner, lambda d: library.read(d, "default"), library.features, lambda c: [])

    def whole(batch: int) -> list[dict[str, Any]]:
        state: dict[str, Any] = {}
        while not complete(spec, 0, state):
            state = json.loads(json.dumps(step(spec, 0, state, tools, batch)))
        return rows(spec, 0, state)

    for one, other in zip(whole(1), whole(7), strict=True):
        assert one["image"] == other["image"] and one["features"] == other["features"]
        assert one["scores"] == pytest.approx(other["scores"], rel=1e-4, abs=1e-6)


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
    work_on(hands, dispatcher, "message", "bulk", (job, first))
    assert desk.status(opened.id, ANN).state == "done"
    assert counting.pictures == 32


def test_steps_follow_what_they_took() -> None:
    pace = Pace()
    assert pace.batch("a", 0) == FIRST_BATCH
    pace.took("a", 4, 0.02)
    assert pace.batch("a", 0) == BATCH
    assert pace.batch("a", 2) == BATCH // 4
    pace.took("b", 4, 4.0)
    assert pace.batch("b", 0) == 1 and pace.batch("b", 9) == 1
    assert pace.batch("c", 0) == FIRST_BATCH


@pytest.mark.parametrize(("pictures", "chunks", "price"), [(1, 2, 1), (16, 2, 16), (17, 3, 16)])
def test_a_set_has_chunks_of_pictures_and_a_closing_one(
    pictures: int, chunks: int, price: int
) -> None:
    spec: JobSpec = a_set([str(i).encode() for i in range(pictures)])
    found = size(spec)
    assert (found.chunks, found.pictures, found.price) == (chunks, pictures, price)
