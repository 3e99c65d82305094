"""What the door says, over a real Redis, without a worker."""

import json
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from celery.exceptions import SoftTimeLimitExceeded

from services.attribution.desk import MAX_NAMED, Desk, page
from services.attribution.dispatch import Reconciler
from services.attribution.job_files import JobFiles
from services.attribution.picture_set import CHUNK
from services.attribution.sweeping import Sweeper
from steerboard.api.tokens import Identity
from steerboard.spec.digest import image_digest
from steerboard.spec.errors import (
    Cancelled,
    Forbidden,
    ImageNotCached,
    InvalidRequest,
    NotFound,
    Overloaded,
    Unavailable,
)
from steerboard.spec.jobs import AttributeJob, AttributeSetJob, JobStatus
from steerboard.spec.requests import Digest, Margin, Prompts
from tests.attribution_service.conftest import RunningRedis

PROMPTS = Prompts(prompts=("cat", "dog", "horse", "boat"))
ANN, BOB = Identity(subject="ann"), Identity(subject="bob")


@pytest.fixture
def job(tiny_images: list[bytes]) -> AttributeJob:
    return AttributeJob(
        model="tiny",
        image=Digest(sha256=image_digest(tiny_images[0])),
        classifier=PROMPTS,
        dictionary="middle",
        verify=2,
    )


def a_set(images: list[bytes], **more: object) -> AttributeSetJob:
    return AttributeSetJob.model_validate(
        {
            "model": "tiny",
            "images": [Digest(sha256=image_digest(data)) for data in images],
            "classifier": PROMPTS,
            "dictionary": "middle",
            **more,
        }
    )


def submit(desk: Desk, job: AttributeJob | AttributeSetJob, who: Identity = ANN) -> JobStatus:
    return desk.submit(job, [], who)


def messages(desk: Desk, lane: str = "interactive") -> int:
    return int(desk.records._redis.llen(lane))


def test_twenty_at_once_are_one_computation(desk: Desk, job: AttributeJob) -> None:
    with ThreadPoolExecutor(20) as pool:
        found = list(pool.map(lambda _: submit(desk, job), range(20)))
    assert len({s.id for s in found}) == 1
    assert sum(not s.joined for s in found) == 1
    assert messages(desk) == 1  # for twenty callers


def test_of_two_hundred_jobs_few_are_in_celerys_hands(desk: Desk, job: AttributeJob) -> None:
    for top_k in range(1, 201):
        submit(desk, job.model_copy(update={"top_k": top_k}))
    assert messages(desk) == 2
    opened = submit(desk, job.model_copy(update={"top_k": 201}), BOB)
    first = desk.records._redis.lrange("steerboard:turn:interactive", 0, 0)
    assert first in (["default/ann"], ["default/bob"])
    for message in list(desk.records._redis.zrange("steerboard:out:interactive", 0, -1)):
        desk.records.finish(*message.rsplit(":", 1))
    submit(desk, job)  # whoever comes next hands out what is due
    assert opened.id in {m.split(":")[0] for m in out(desk)}


def test_what_was_to_be_sent_when_the_time_ran_out_goes_back(
    desk: Desk, job: AttributeJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cut_off(*arguments: object) -> None:
        raise SoftTimeLimitExceeded

    with monkeypatch.context() as patch:
        patch.setattr("services.attribution.dispatch.send_chunk", cut_off)
        with pytest.raises(SoftTimeLimitExceeded):
            submit(desk, job)
    assert out(desk) == []
    assert submit(desk, job).joined and messages(desk) == 1


def out(desk: Desk) -> list[str]:
    return list(desk.records._redis.zrange("steerboard:out:interactive", 0, -1))


def test_the_address_changes_with_the_question_and_with_who_may_see_it(
    desk: Desk, job: AttributeJob
) -> None:
    other = Identity(subject="ann", tenant="another")
    addresses = {
        desk.address(job, ANN),
        desk.address(job.model_copy(update={"top_k": 3}), ANN),
        desk.address(job.model_copy(update={"dictionary": "last"}), ANN),
        desk.address(job, other),
    }
    assert len(addresses) == 4
    assert desk.address(job, BOB) == desk.address(job, ANN)


def test_without_a_worker_the_status_says_so(desk: Desk, job: AttributeJob) -> None:
    assert "no worker is running" in submit(desk, job).message
    desk.records.beat("w", 1, time.time())
    assert submit(desk, job).message == ""


def test_without_a_worker_for_too_long_the_job_fails(desk: Desk, job: AttributeJob) -> None:
    opened = submit(desk, job)
    reconciler = Reconciler(desk.records, desk._dispatcher, patience_s=0.3)
    reconciler.tick()
    assert desk.status(opened.id, ANN).state == "queued"
    time.sleep(0.5)
    reconciler.tick()
    assert desk.status(opened.id, ANN).state == "failed"
    with pytest.raises(Unavailable, match="no worker has taken anything"):
        desk.results_page(opened.id, "", 0, ANN)
    assert submit(desk, job).state == "queued"


def test_redis_away_judges_nobody(desk: Desk, job: AttributeJob, server: RunningRedis) -> None:
    opened = submit(desk, job)
    reconciler = Reconciler(desk.records, desk._dispatcher, patience_s=60)
    reconciler._seen -= 1000  # as if no worker had been heard of for long
    desk.records._write_down()
    server.kill()
    reconciler.tick()
    server.start()
    reconciler.tick()
    assert desk.status(opened.id, ANN).state == "queued"


def test_an_answer_that_is_there_is_given_and_one_that_was_evicted_is_computed_again(
    desk: Desk, job: AttributeJob
) -> None:
    opened = submit(desk, job)
    desk.results.store(opened.id, 0, [{"answer": 1}])
    desk.records.finish(opened.id, 0)
    assert submit(desk, job).cached
    desk.results._redis.delete(f"steerboard:result:{opened.id}:0")
    with pytest.raises(NotFound, match="no longer kept"):
        desk.results_page(opened.id, "", 0, ANN)
    with ThreadPoolExecutor(10) as pool:
        found = list(pool.map(lambda _: submit(desk, job), range(10)))
    assert sum(not s.joined and not s.cached for s in found) == 1


def test_cancel_is_for_those_who_asked_and_waits_for_the_last(
    desk: Desk, job: AttributeJob
) -> None:
    opened = submit(desk, job)
    submit(desk, job, BOB)
    with pytest.raises(Forbidden, match="not submitted by you"):
        desk.cancel(opened.id, Identity(subject="eve"))
    kept = desk.cancel(opened.id, ANN)
    assert kept.state == "queued" and "others wait" in kept.message
    assert desk.cancel(opened.id, BOB).state == "cancelled"
    assert desk.cancel(opened.id, BOB).state == "cancelled"
    with pytest.raises(Cancelled, match="submit it again"):
        desk.results_page(opened.id, "", 0, ANN)
    again = submit(desk, job)
    assert (again.state, again.joined, again.cached) == ("queued", False, False)
    assert desk.cancel(opened.id, Identity(subject="root", role="admin")).state == "cancelled"


def test_a_job_that_failed_gives_its_own_error(desk: Desk, job: AttributeJob) -> None:
    opened = submit(desk, job)
    error = ImageNotCached("gone", field="images", details={"digests": "0"}, retry_after_s=1.5)
    desk.records.end(opened.id, "failed", error)
    status = desk.status(opened.id, ANN)
    assert (status.state, status.message) == ("failed", "gone")
    with pytest.raises(ImageNotCached) as caught:
        desk.results_page(opened.id, "", 0, ANN)
    assert vars(caught.value) == vars(error)


def test_an_unknown_job_is_named(desk: Desk) -> None:
    for ask in (
        lambda: desk.status("nothing", ANN),
        lambda: desk.results_page("nothing", "", 0, ANN),
        lambda: desk.cancel("nothing", ANN),
    ):
        with pytest.raises(NotFound, match=r"no job 'nothing'") as caught:
            ask()
        assert caught.value.details == {"name": "nothing"}


def test_redis_away_is_a_sentence_and_heals(
    desk: Desk, job: AttributeJob, server: RunningRedis
) -> None:
    opened = submit(desk, job)
    time.sleep(1.2)  # the append-only file is written every second
    server.kill()
    began = time.monotonic()
    with pytest.raises(Unavailable, match="does not answer") as caught:
        submit(desk, job)
    assert caught.value.retry_after_s
    assert time.monotonic() - began < 30
    server.start()
    assert submit(desk, job).id == opened.id
    new = submit(desk, job.model_copy(update={"top_k": 3}))
    assert new.state == "queued" and messages(desk) == 2


def test_a_redis_that_fills_up_takes_no_new_jobs_and_ends_the_old_ones(
    desk: Desk, job: AttributeJob
) -> None:
    opened = submit(desk, job)
    used = desk.records._redis.info("memory")["used_memory"]
    desk.records._redis.config_set("maxmemory", int(used / 0.85))
    with pytest.raises(Overloaded, match=r"the queue \(Redis\) is full"):
        submit(desk, job.model_copy(update={"top_k": 3}))
    desk.results.store(opened.id, 0, [{"answer": 1}])
    desk.records.finish(opened.id, 0)
    assert desk.status(opened.id, ANN).state == "done"
    desk.records._redis.config_set("maxmemory", 1)
    with pytest.raises(Overloaded, match=r"the queue \(Redis\) is full"):
        desk.records.beat("w", 1, 1.0)
    desk.records._redis.config_set("maxmemory", 0)
    assert submit(desk, job.model_copy(update={"top_k": 3})).state == "queued"


def test_jobs_of_another_tenant_are_as_if_they_were_not_there(
    desk: Desk, job: AttributeJob
) -> None:
    opened = submit(desk, job)
    other = Identity(subject="ann", tenant="another", role="admin")
    for ask in (
        lambda: desk.status(opened.id, other),
        lambda: desk.results_page(opened.id, "", 0, other),
        lambda: desk.cancel(opened.id, other),
    ):
        with pytest.raises(NotFound, match="there is no job"):
            ask()


def test_pictures_that_are_missing_are_listed_and_those_sent_are_kept_by_tenant(
    desk: Desk, job: AttributeJob
) -> None:
    data = b"not yet known"
    asked = job.model_copy(update={"image": Digest(sha256=image_digest(data))})
    with pytest.raises(ImageNotCached) as caught:
        submit(desk, asked)
    assert caught.value.details == {"digests": image_digest(data)}
    assert desk.submit(asked, [data], ANN).state == "queued"
    assert submit(desk, asked, BOB).joined
    with pytest.raises(ImageNotCached):
        submit(desk, asked, Identity(subject="ann", tenant="another"))
    with pytest.raises(InvalidRequest, match="does not name"):
        desk.submit(asked, [b"something else"], ANN)


def test_a_list_of_missing_pictures_fits_into_a_status(desk: Desk) -> None:
    many = a_set([str(i).encode() for i in range(MAX_NAMED + 500)])
    with pytest.raises(ImageNotCached, match=f"{MAX_NAMED + 500} pictures") as caught:
        submit(desk, many)
    assert caught.value.details["digests"].count(",") == MAX_NAMED - 1


def test_targets_are_one_or_as_many_as_pictures(desk: Desk, tiny_images: list[bytes]) -> None:
    with pytest.raises(InvalidRequest, match="2 targets for 16 pictures"):
        submit(desk, a_set(tiny_images, targets=(Margin(), Margin())))


def test_a_lane_that_the_token_lacks_is_refused(desk: Desk, job: AttributeJob) -> None:
    with pytest.raises(Forbidden, match="lane 'interactive'"):
        submit(desk, job, Identity(subject="ann", lanes=("bulk",)))


def test_a_set_is_paged_in_order_and_only_what_is_needed_is_read(
    desk: Desk, tiny_images: list[bytes]
) -> None:
    asked = a_set(tiny_images * 3)  # 48 pictures, three chunks
    opened = submit(desk, asked)
    files = JobFiles(desk.library.folder(ANN.tenant, opened.id))
    rows = [{"image": i.sha256, "at": n} for n, i in enumerate(asked.images)]
    for chunk in (0, 2):
        files.store(chunk, rows[chunk * CHUNK : (chunk + 1) * CHUNK])
        desk.records.finish(opened.id, chunk)
    for count in (1, 7, 16, 0):  # what is done can be read while the rest is at work
        assert all_pages(desk, opened.id, count) == [*rows[:16], *rows[32:]], count
    files.store(1, rows[16:32])
    desk.records.finish(opened.id, 1)
    files.store(3, [{"pictures": 48}])
    desk.records.finish(opened.id, 3)
    whole = [{"pictures": 48}, *rows]
    for count in (1, 2, 7, 15, 16, 17, 48, 49, 50, 0):
        assert all_pages(desk, opened.id, count) == whole, count
    assert desk.results_page(opened.id, "49", 5, ANN)[1:] == ([], "")
    assert desk.results_page(opened.id, "99999", 5, ANN)[1:] == ([], "")
    about = json.loads(desk.about(desk.status(opened.id, ANN), ANN))
    assert AttributeSetJob.model_validate(about["spec"]) == asked
    assert about["provenance"]["model_fingerprint"] == desk._model("tiny").fingerprint
    files._fs.rm(files._path(2))
    assert desk.results_page(opened.id, "1", 32, ANN)[1] == rows[:32]
    with pytest.raises(NotFound, match="no longer kept"):
        desk.results_page(opened.id, "1", 33, ANN)


def test_callers_see_their_own_jobs_the_latest_first(desk: Desk, job: AttributeJob) -> None:
    first = submit(desk, job)
    second = submit(desk, job.model_copy(update={"top_k": 3}))
    submit(desk, job.model_copy(update={"top_k": 4}), BOB)
    submit(desk, job, BOB)  # joins
    assert [j.id for j in desk.mine(0, ANN)] == [second.id, first.id]
    assert all("no worker is running" in j.message for j in desk.mine(0, ANN))
    desk.records.beat("w", 1, 1.0)
    assert not any(j.message for j in desk.mine(0, ANN))
    assert desk.mine(1, ANN)[0].kind == "attribute"
    assert len(desk.mine(0, BOB)) == 2 and desk.mine(0, Identity(subject="eve")) == []
    with pytest.raises(InvalidRequest, match="at least one"):
        desk.mine(-1, ANN)


def test_folders_of_jobs_go_with_their_records_and_when_taken_back(
    desk: Desk, server: RunningRedis, tiny_images: list[bytes], tmp_path: Path
) -> None:
    taken, kept, expired = (submit(desk, a_set(tiny_images, top_k=k)).id for k in (2, 3, 4))
    sweeper = Sweeper(desk.records, str(tmp_path / "blobs"))
    assert len(sweeper.folders()) == 3
    desk.cancel(taken, ANN)
    desk.records._redis.delete(f"steerboard:job:{expired}")
    assert sweeper.sweep() == 0  # a step may be in hand
    assert sweeper.sweep() == 2
    assert [f.rpartition("/")[2] for f in sweeper.folders()] == [kept]
    again = submit(desk, a_set(tiny_images, top_k=2))
    assert (again.id, again.state) == (taken, "queued")
    assert sweeper.sweep() == sweeper.sweep() == 0
    server.kill()
    with pytest.raises(Unavailable):
        sweeper.sweep()
    assert len(sweeper.folders()) == 2


@pytest.mark.parametrize("priority", [2, -2])
def test_a_priority_that_is_none_is_refused(desk: Desk, job: AttributeJob, priority: int) -> None:
    with pytest.raises(InvalidRequest, match="is no priority"):
        desk.submit(job, [], ANN, priority)


def all_pages(desk: Desk, job: str, count: int) -> list[object]:
    found: list[object] = []
    token = ""
    for _ in range(100):
        _, rows, token = desk.results_page(job, token, count, ANN)
        found += rows
        if not token:
            return found
    raise AssertionError("the pages do not end")


@pytest.mark.parametrize(
    ("token", "count"), [("x", 0), ("-1", 0), ("1" * 40, 0), ("²", 0), ("", -1)]
)
def test_a_page_that_cannot_be_is_refused(token: str, count: int) -> None:
    with pytest.raises(InvalidRequest, match="page"):
        page(token, count)


def test_what_is_on_the_queue_is_json_and_says_nothing_but_job_and_chunk(
    desk: Desk, job: AttributeJob
) -> None:
    opened = submit(desk, job)
    (message,) = desk.records._redis.lrange("interactive", 0, -1)
    assert json.loads(message)["content-type"] == "application/json"
    assert opened.id in json.loads(message)["headers"]["argsrepr"]
