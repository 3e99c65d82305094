"""Parts are killed while jobs run: nothing that was accepted is lost, and nothing hangs.

The seed of what is killed is fixed (STEERBOARD_CHAOS_SEED chooses another); where within a job it
dies depends on the machine, so that each run is one of many. Everything is bounded by the patience
of ``crew``, and stops by itself.
"""

import os
import random
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import redis

from steerboard.api.jobs_client import JobClient
from steerboard.spec.digest import image_digest
from steerboard.spec.errors import Unavailable
from steerboard.spec.jobs import AttributeJob, AttributeSetJob, JobStatus
from steerboard.spec.requests import Digest, Prompts
from tests.attribution_service.crew import PATIENCE_S, Crew, wait_for

PROMPTS = Prompts(prompts=("cat", "dog", "horse", "boat"))
PICTURES = 960
pytestmark = pytest.mark.timeout(1800)


@pytest.fixture
def images(tiny_images: list[bytes], request: pytest.FixtureRequest) -> list[bytes]:
    """No two with the same bytes, nor those of another test, so that no cache makes them free."""
    test = request.node.name.encode()
    return [tiny_images[i % 16] + test + b" " * (i // 16) for i in range(PICTURES)]


def a_set(images: list[bytes], top_k: int = 5) -> AttributeSetJob:
    digests = tuple(Digest(sha256=image_digest(data)) for data in images)
    return AttributeSetJob(
        model="tiny", images=digests, classifier=PROMPTS, dictionary="middle", top_k=top_k
    )


def under_way(client: JobClient, job: str, chunks: int = 2) -> None:
    """Wait until some chunks are done, and others are not."""

    def begun() -> bool:
        status = now(client, job)
        assert status.state in ("queued", "running"), status
        return status.done >= chunks

    wait_for(begun)


def now(client: JobClient, job: str) -> JobStatus:
    return next(client.watch(job))


def persevering(client: JobClient, job: str) -> JobStatus:
    """The last state of a job, for a watcher who comes back where the door lost Redis."""
    limit = time.monotonic() + PATIENCE_S
    while time.monotonic() < limit:
        try:
            for status in client.watch(job, PATIENCE_S):
                last = status
            return last
        except Unavailable as error:
            assert "does not answer" in error.message or "is it running" in error.message
            time.sleep(0.3)
    raise AssertionError("the job hangs")


def check_whole(client: JobClient, job: str, images: list[bytes]) -> None:
    """Every picture is there once, in its place, with an answer."""
    total, *rows = client.result(job, page_size=500)
    assert isinstance(total, dict)
    assert (total["pictures"], total["failed"]) == (len(images), 0)
    assert [r["image"] for r in rows] == [image_digest(d) for d in images]  # type: ignore[index]


def check_nothing_is_left(crew: Crew) -> None:
    """No message waits, none is in hand, no job is open."""
    link = redis.Redis.from_url(crew.queue.url)

    def empty() -> bool:
        lists = (link.llen("bulk"), link.llen("interactive"), link.hlen("unacked"))
        sets = (link.zcard("steerboard:out:bulk"), link.scard("steerboard:open"))
        return not any((*lists, *sets))

    wait_for(empty, lambda: {k: link.type(k) for k in link.keys("*")})
    link.close()


def test_a_killed_worker_is_replaced_and_its_chunks_are_taken_up(
    crew: Crew, images: list[bytes]
) -> None:
    client = crew.client()
    job = client.submit(a_set(images), images).id
    under_way(client, job)
    crew.kill("worker")
    left = now(client, job)
    assert left.state == "running" and left.done < left.total
    joined = client.submit(a_set(images))
    assert joined.joined and joined.id == job
    crew.start("worker")
    assert persevering(client, job).state == "done"
    check_whole(client, job, images)
    assert client.submit(a_set(images)).cached
    check_nothing_is_left(crew)
    client.close()


def test_a_killed_child_of_the_pool_costs_nothing(crew: Crew, images: list[bytes]) -> None:
    client = crew.client()
    job = client.submit(a_set(images), images).id
    under_way(client, job)
    (consumer,) = crew.process("worker").children()
    for child in consumer.children():
        child.kill()
    assert persevering(client, job).state == "done"
    check_whole(client, job, images)
    client.close()


def test_a_killed_redis_comes_back_with_what_it_held(crew: Crew, images: list[bytes]) -> None:
    client = crew.client()
    job = client.submit(a_set(images), images).id
    under_way(client, job)
    time.sleep(1.2)  # the append-only file is written every second
    crew.kill("queue")
    with pytest.raises(Unavailable):
        now(client, job)
    crew.start("queue")
    assert persevering(client, job).state == "done"
    check_whole(client, job, images)
    check_nothing_is_left(crew)
    client.close()


def test_a_killed_inference_is_waited_out(crew: Crew, images: list[bytes]) -> None:
    client = crew.client()
    job = client.submit(a_set(images), images).id
    under_way(client, job)
    crew.kill("inference")
    time.sleep(5)
    assert now(client, job).state == "running"
    crew.start("inference")
    assert persevering(client, job).state == "done"
    check_whole(client, job, images)
    client.close()


def test_everything_at_random(crew: Crew, images: list[bytes]) -> None:
    """Kills without pause, while five people ask for sets and single pictures, some the same."""
    dice = random.Random(int(os.environ.get("STEERBOARD_CHAOS_SEED", "7")))
    clients = [crew.client(f"person-{i}") for i in range(5)]
    sets = [a_set(images[i * 160 : i * 160 + 320], top_k=3) for i in range(5)]
    for i, (client, spec) in enumerate(zip(clients, sets, strict=True)):
        client.submit(spec, images[i * 160 : i * 160 + 320])
    with ThreadPoolExecutor(len(clients)) as pool:
        found = [pool.submit(ask_until_done, c, s) for c, s in zip(clients, sets, strict=True)]
        for _ in range(6):
            part = dice.choice(["worker", "queue", "inference", "door", "cache"])
            time.sleep(dice.uniform(0.5, 3))
            crew.kill(part)
            time.sleep(dice.uniform(0, 2))
            crew.start(part)
        for future in found:
            assert future.result(PATIENCE_S * 2)
    for i, (client, spec) in enumerate(zip(clients, sets, strict=True)):
        job = ask_until_done(client, spec)
        check_whole(client, job, images[i * 160 : i * 160 + 320])
        one = AttributeJob(
            model="tiny", image=spec.images[0], classifier=PROMPTS, dictionary="middle"
        )
        assert persevering(client, client.submit(one).id).state == "done"
        client.close()
    check_nothing_is_left(crew)


def ask_until_done(client: JobClient, spec: AttributeSetJob) -> str:
    """Ask as a person would: again, when told that a part is away or that the job failed."""
    limit = time.monotonic() + PATIENCE_S * 2
    while time.monotonic() < limit:
        try:
            opened = client.submit(spec)
            status = persevering(client, opened.id)
        except Unavailable:
            time.sleep(0.5)
            continue
        if status.state == "done":
            return opened.id
        assert status.state == "failed" and status.message, status
    raise AssertionError("it is never done")
