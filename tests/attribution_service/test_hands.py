"""What a chunk comes to: each picture once, in its place, whatever the steps."""

import json
from typing import Any

import pytest

from services.attribution.compute import complete, rows, size, step, written
from services.attribution.desk import Desk
from services.attribution.hands import BATCH, FIRST_BATCH, Hands, Pace
from services.attribution.library import Library
from services.attribution.tools import Tools
from steerboard.inprocess.runner import LocalRunner
from steerboard.spec.jobs import AttributeJob, JobSpec
from steerboard.spec.requests import Attribute, Encoded, Margin
from tests.attribution_service.pool import ANN, PROMPTS, Counting, a_set, work


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
    extra = tiny_images[0] + b" of which the runner has never heard"
    images = [extra, *tiny_images[:3]]
    opened = desk.submit(a_set(images), images, ANN)
    library._blobs.rm(library._root, recursive=True)
    work(desk, hands, opened.id)
    _, (total, *found), _ = desk.results_page(opened.id, "", 0, ANN)
    assert (total["pictures"], total["failed"]) == (3, 1)
    assert found[0]["reason"] == "IMAGE_NOT_CACHED"


def test_the_bytes_of_a_picture_that_the_runner_holds_are_not_read(
    desk: Desk, hands: Hands, counting: Counting, library: Library, tiny_images: list[bytes]
) -> None:
    images = [data + b" seen once" for data in tiny_images]
    work(desk, hands, desk.submit(a_set(images), images, ANN).id)
    assert kinds(counting.asked) == {"encoded"}
    counting.asked.clear()
    another = a_set(images).model_copy(update={"top_k": 4})
    opened = desk.submit(another, [], ANN)
    library._blobs.rm(library._root, recursive=True)
    work(desk, hands, opened.id)
    assert kinds(counting.asked) == {"digest"}
    _, (total, *_), _ = desk.results_page(opened.id, "", 0, ANN)
    assert (total["pictures"], total["failed"]) == (16, 0)


def kinds(asked: list[Any]) -> set[str]:
    """How the pictures of questions travelled."""
    return {image.kind for request in asked for image in request.images}


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
            state = written(spec, step(spec, 0, state, tools, batch))
            state = json.loads(json.dumps(state))
        return rows(spec, 0, state)

    for one, other in zip(whole(1), whole(7), strict=True):
        assert one["image"] == other["image"] and one["features"] == other["features"]
        assert one["scores"] == pytest.approx(other["scores"], rel=1e-4, abs=1e-6)


def test_steps_follow_what_they_took() -> None:
    pace = Pace()
    assert pace.batch("a", 0) == FIRST_BATCH
    pace.took("a", 4, 0.02)
    assert pace.batch("a", 0) == BATCH
    assert pace.batch("a", 2) == BATCH // 4
    pace.took("b", 4, 4.0)
    assert pace.batch("b", 0) == 1 and pace.batch("b", 9) == 1
    pace.took("b", 1, 0.1)  # what goes by ones is learned from ones
    assert pace.batch("b", 0) == 1
    pace.took("b", 1, 0.1)
    assert pace.batch("b", 0) > 1
    assert pace.batch("c", 0) == FIRST_BATCH


def test_a_remnant_that_was_slow_makes_no_small_steps_of_the_next() -> None:
    pace = Pace()
    pace.took("a", BATCH, BATCH * 0.05)
    assert pace.batch("a", 0) == BATCH
    pace.took("a", 1, 0.4)  # one costs nearly what some together do
    assert pace.batch("a", 0) > BATCH // 2


@pytest.mark.parametrize(("pictures", "chunks", "price"), [(1, 2, 1), (16, 2, 16), (17, 3, 16)])
def test_a_set_has_chunks_of_pictures_and_a_closing_one(
    pictures: int, chunks: int, price: int
) -> None:
    spec: JobSpec = a_set([str(i).encode() for i in range(pictures)])
    found = size(spec)
    assert (found.chunks, found.pictures, found.price) == (chunks, pictures, price)
