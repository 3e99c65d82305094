"""The whole service as real processes: Redis, inference, job door, supervisor and workers."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from pathlib import Path

import pytest

from services.attribution.records import Records
from steerboard.api.jobs_client import JobClient
from steerboard.api.speaking import speak_for
from steerboard.spec.digest import image_digest
from steerboard.spec.errors import (
    Cancelled,
    Forbidden,
    InvalidRequest,
    NotFound,
    Unauthenticated,
    Unavailable,
)
from steerboard.spec.jobs import AttributeJob, AttributeResult, AttributeSetJob
from steerboard.spec.requests import Digest, Prompts
from tests.attribution_service.crew import Crew, ended, wait_for

PROMPTS = Prompts(prompts=("cat", "dog", "horse", "boat"))
pytestmark = pytest.mark.timeout(900)


@pytest.fixture(scope="module")
def crew(tiny_house: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Crew]:
    # Of a worker that a busy machine is long in starting no job despairs.
    found = Crew(tmp_path_factory.mktemp("crew"), tiny_house, STEERBOARD_JOB_PATIENCE="240")
    try:
        found.start()
        yield found
    finally:
        found.end()


def one(data: bytes, **more: object) -> AttributeJob:
    return AttributeJob.model_validate(
        {
            "model": "tiny",
            "image": Digest(sha256=image_digest(data)),
            "classifier": PROMPTS,
            "dictionary": "middle",
            "verify": 3,
            **more,
        }
    )


def many(images: list[bytes], **more: object) -> AttributeSetJob:
    return AttributeSetJob.model_validate(
        {
            "model": "tiny",
            "images": [Digest(sha256=image_digest(data)) for data in images],
            "classifier": PROMPTS,
            "dictionary": "middle",
            "top_k": 5,
            **more,
        }
    )


def distinct(images: list[bytes], count: int) -> list[bytes]:
    """So many pictures, no two with the same bytes."""
    return [images[i % len(images)] + b" " * (1 + i // len(images)) for i in range(count)]


def test_twenty_callers_at_once_have_one_answer(crew: Crew, tiny_images: list[bytes]) -> None:
    clients = [crew.client(f"person-{i}") for i in range(20)]
    spec = one(tiny_images[0])
    with ThreadPoolExecutor(20) as pool:
        opened = list(pool.map(lambda c: c.submit(spec), clients))
        assert len({s.id for s in opened}) == 1
        assert sum(not (s.joined or s.cached) for s in opened) == 1
        assert all(s.state == "done" for s in pool.map(lambda c: ended(c, opened[0].id), clients))
        answers = list(pool.map(lambda c: list(c.result(opened[0].id)), clients))
    assert all(a == answers[0] for a in answers)
    ((found,),) = [answers[0]]
    assert isinstance(found, AttributeResult) and found.features[0].measured is not None
    assert clients[0].submit(spec).cached
    for client in clients:
        client.close()


def test_a_set_with_uploads_a_bad_picture_and_pages(crew: Crew, tiny_images: list[bytes]) -> None:
    client = crew.client()
    images = distinct(tiny_images, 70)
    images[37] = b"no picture"
    opened = client.submit(many(images), images)
    assert opened.total == 6
    assert ended(client, opened.id).state == "done"
    total, *rows = client.result(opened.id, page_size=9)
    assert isinstance(total, dict) and (total["pictures"], total["failed"]) == (69, 1)
    assert [r["image"] for r in rows] == [image_digest(d) for d in images]  # type: ignore[index]
    assert [i for i, r in enumerate(rows) if "error" in r] == [37]  # type: ignore[operator]
    client.close()


def test_a_person_with_one_job_does_not_wait_for_another_with_many(
    crew: Crew, tiny_images: list[bytes]
) -> None:
    ann, bob = crew.client("ann"), crew.client("bob")
    with crew.held("worker"):  # else it may be as fast as ann
        jobs = [ann.submit(one(d, top_k=k)).id for k in range(2, 14) for d in tiny_images]  # 192
        opened = bob.submit(one(tiny_images[0], top_k=1))
    assert ended(bob, opened.id).state == "done"
    left = sum(next(ann.watch(job)).state in ("queued", "running") for job in jobs)
    assert left > 20, f"only {left} of {len(jobs)} were left: bob waited for ann"
    for job in jobs:
        ann.cancel(job)
    ann.close()
    bob.close()


def test_people_of_one_page_are_callers_of_their_own(crew: Crew, tiny_images: list[bytes]) -> None:
    page, other = crew.client("page", speaks=True), crew.client("other")

    def caller(client: JobClient, name: str, number: int) -> str:
        speak_for(name)
        opened = client.submit(one(tiny_images[number], top_k=20))
        assert ended(client, opened.id).state == "done"
        return str(Records(crew.queue.url)._redis.hget(f"steerboard:job:{opened.id}", "caller"))

    def asked(client: JobClient, name: str, number: int) -> str:
        return copy_context().run(caller, client, name, number)

    assert asked(page, "ann", 0) == "default/page/ann"
    assert asked(page, "bob", 1) == "default/page/bob"
    assert asked(other, "ann", 2) == "default/other"  # its token speaks for nobody
    page.close()
    other.close()


def test_a_job_taken_back_stops_and_says_so(crew: Crew, tiny_images: list[bytes]) -> None:
    client = crew.client()
    images = distinct(tiny_images, 2500)  # more than one answer names as missing
    opened = client.submit(many(images, top_k=6), images)
    with pytest.raises(Forbidden):
        crew.client("eve").cancel(opened.id)
    assert client.cancel(opened.id).state == "cancelled"
    at_once = next(client.watch(opened.id)).done
    assert ended(client, opened.id).state == "cancelled"
    with pytest.raises(Cancelled):
        list(client.result(opened.id))
    other = client.submit(one(tiny_images[1], top_k=7))
    assert ended(client, other.id).state == "done"
    time.sleep(2)
    assert next(client.watch(opened.id)).done <= at_once + 2  # what was in hand at that moment
    client.close()


def test_bad_questions_have_a_status(crew: Crew, tiny_images: list[bytes]) -> None:
    client = crew.client()
    for ask in (
        lambda: next(client.watch("nothing")),
        lambda: list(client.result("nothing")),
        lambda: client.cancel("nothing"),
        lambda: client.submit(one(tiny_images[0], model="moon")),
        lambda: client.submit(one(tiny_images[0], dictionary="moon")),
    ):
        with pytest.raises(NotFound):
            ask()
    done = client.submit(one(tiny_images[0]))
    ended(client, done.id)
    with pytest.raises(InvalidRequest, match="page token"):
        client.result_page(done.id, "moon")
    away = client.submit(one(tiny_images[0], target={"kind": "logit", "index": 77}))
    status = ended(client, away.id)
    assert status.state == "failed" and status.message
    with pytest.raises(InvalidRequest):
        list(client.result(away.id))
    client._caller._metadata = ()
    with pytest.raises(Unauthenticated):
        client.submit(one(tiny_images[0]))
    client.close()


def test_a_picture_that_is_none_fails_its_job_with_a_sentence(crew: Crew) -> None:
    client = crew.client()
    data = b"no picture at all"
    opened = client.submit(one(data), [data])
    status = ended(client, opened.id)
    assert status.state == "failed"
    with pytest.raises(InvalidRequest) as caught:
        list(client.result(opened.id))
    assert caught.value.reason == "BAD_IMAGE"
    client.close()


def test_redis_away_at_submit_and_under_a_watcher(crew: Crew, tiny_images: list[bytes]) -> None:
    client = crew.client()
    before = client.submit(one(tiny_images[3], top_k=9))
    assert ended(client, before.id).state == "done"
    # A job that cannot end yet, with somebody watching.
    crew.process("worker").suspend()
    for child in crew.process("worker").children(recursive=True):
        child.suspend()
    images = distinct(tiny_images, 64)
    opened = client.submit(many(images, top_k=9), images)
    watching = client.watch(opened.id)
    assert next(watching).state == "queued"
    time.sleep(1.2)  # the append-only file is written every second
    crew.kill("queue")
    with pytest.raises(Unavailable, match=r"the queue \(Redis\) does not answer"):
        list(watching)
    with pytest.raises(Unavailable, match="does not answer"):
        client.submit(one(tiny_images[4], top_k=9))
    for child in crew.process("worker").children(recursive=True):
        child.resume()
    crew.process("worker").resume()
    crew.start("queue")
    assert ended(client, opened.id).state == "done"
    assert ended(client, client.submit(one(tiny_images[4], top_k=9)).id).state == "done"
    client.close()


def test_the_cache_away_is_told_and_heals(crew: Crew, tiny_images: list[bytes]) -> None:
    client = crew.client()
    opened = client.submit(one(tiny_images[5], top_k=9))
    assert ended(client, opened.id).state == "done"
    crew.kill("cache")
    with pytest.raises(Unavailable, match=r"the result cache \(Redis\) does not answer"):
        list(client.result(opened.id))
    crew.start("cache")
    with pytest.raises(NotFound, match="no longer kept"):
        list(client.result(opened.id))
    again = client.submit(one(tiny_images[5], top_k=9))
    assert not again.cached
    assert ended(client, again.id).state == "done"
    assert len(list(client.result(opened.id))) == 1
    client.close()


def test_a_consumer_that_lives_and_takes_nothing_is_replaced(
    crew: Crew, tiny_images: list[bytes]
) -> None:
    client = crew.client()
    (consumer,) = crew.process("worker").children()
    stuck = [consumer, *consumer.children(recursive=True)]
    for process in stuck:
        process.suspend()
    opened = client.submit(one(tiny_images[6], top_k=9))
    assert ended(client, opened.id).state == "done"
    assert "takes nothing from the queue" in crew.log("worker")
    assert not any(p.is_running() for p in stuck)
    client.close()


def test_a_dead_consumer_is_started_again_and_ends_with_its_supervisor(
    crew: Crew, tiny_images: list[bytes]
) -> None:
    client = crew.client()
    (consumer,) = crew.process("worker").children()
    consumer.kill()
    opened = client.submit(one(tiny_images[7], top_k=9))
    assert ended(client, opened.id).state == "done"
    supervisor = crew.process("worker")
    orphans = supervisor.children(recursive=True)
    supervisor.kill()
    wait_for(lambda: not any(p.is_running() for p in orphans))
    crew.kill("worker")
    crew.start("worker")
    opened = client.submit(one(tiny_images[8], top_k=9))
    assert ended(client, opened.id).state == "done"
    client.close()


def test_parts_stop_softly(crew: Crew) -> None:
    children = crew.process("worker").children(recursive=True)
    assert crew.stop("worker") == 0
    wait_for(lambda: not any(p.is_running() for p in children))
    assert crew.stop("door") == 0
    crew.start("worker", "door")
