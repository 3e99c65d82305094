"""Results as Parquet files, and the command line, against the whole service as real processes."""

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event

import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from steerboard.api.job_table import digests, export, read_about
from steerboard.api.tokens import Identity, sign
from steerboard.cli import app
from steerboard.cli.job_watch import heard
from steerboard.cli.jobs import fetch_to
from steerboard.spec.digest import image_digest
from steerboard.spec.errors import InvalidRequest
from steerboard.spec.jobs import AttributeJob, AttributeSetJob, JobStatus
from tests.attribution_service.crew import PATIENCE_S, SECRET, Crew, ended, wait_for
from tests.attribution_service.test_service import distinct, many, one

pytestmark = pytest.mark.timeout(900)


@pytest.fixture(scope="module")
def crew(tiny_house: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Crew]:
    found = Crew(tmp_path_factory.mktemp("crew"), tiny_house)
    try:
        found.start()
        yield found
    finally:
        found.end()


def say(crew: Crew, *words: str) -> str:
    """What the command prints; it must succeed."""
    token = sign(Identity(subject="ann"), SECRET)
    done = CliRunner().invoke(
        app,
        ["jobs", *words],
        env={
            "STEERBOARD_JOBS": crew.door,
            "STEERBOARD_INFERENCE": crew.inference,
            "STEERBOARD_TOKEN": token,
        },
    )
    assert done.exit_code == 0, (done.output, done.exception)
    return done.stdout


def test_a_set_is_written_while_it_runs_and_again_when_it_is_done(
    crew: Crew, tiny_images: list[bytes], tmp_path: Path
) -> None:
    client = crew.client()
    images = distinct(tiny_images, 400)
    images[37] = b"no picture"
    spec = many(images, top_k=4)
    job = client.submit(spec, images).id
    wait_for(lambda: next(client.watch(job)).done >= 3)
    for process in [p := crew.process("worker"), *p.children(recursive=True)]:
        process.suspend()
    early = export(client, job, str(tmp_path / "early.parquet"))
    for process in [p := crew.process("worker"), *p.children(recursive=True)]:
        process.resume()
    assert ended(client, job).state == "done"
    late = export(client, job, str(tmp_path / "late" / "all.parquet"))
    part, whole = (
        pq.read_table(tmp_path / n).to_pylist() for n in ("early.parquet", "late/all.parquet")
    )
    assert early["state"] == "running" and 48 <= len(part) == early["pictures"] < 400
    assert late["state"] == "done" and len(whole) == late["pictures"] == 400
    by_name = {row["image"]: row for row in whole}
    assert all(by_name[row["image"]] == row for row in part)
    assert [row["image"] for row in whole] == [image_digest(data) for data in images]
    assert {row["key"] for row in whole} == {None}  # of no set that anybody knows
    assert [i for i, row in enumerate(whole) if row["error"]] == [37]
    about = read_about(str(tmp_path / "late" / "all.parquet"))
    assert AttributeSetJob.model_validate(about["spec"]) == spec
    assert about == late and about["aggregate"]["pictures"] == 399
    assert about["provenance"]["model_fingerprint"] == crew.runner().model("tiny").fingerprint
    again = client.submit(AttributeSetJob.model_validate(about["spec"]))
    assert again.cached and again.id == job
    client.close()


def test_one_picture_is_a_row_with_what_was_measured(
    crew: Crew, tiny_images: list[bytes], tmp_path: Path
) -> None:
    client = crew.client()
    spec = one(tiny_images[2], top_k=4, verify=2)
    found = client.ask(spec)
    assert client.ask(spec) == found
    job = client.submit(spec).id
    about = export(client, job, str(tmp_path / "one.parquet"))
    (row,) = pq.read_table(tmp_path / "one.parquet").to_pylist()
    assert row["image"] == image_digest(tiny_images[2])
    assert row["features"] == [u.feature for u in found.features]
    assert row["measured"][:2] == [u.measured for u in found.features[:2]]
    assert AttributeJob.model_validate(about["spec"]) == spec
    client.close()


def test_the_command_asks_lists_fetches_and_takes_back(
    crew: Crew, tiny_house: Path, tmp_path: Path
) -> None:
    images = str(tiny_house / "images" / "manifest.jsonl")
    out = str(tmp_path / "cats.parquet")
    more = ("--method", "expertise", "--positive", "label == 'cat'")
    job, *_ = say(crew, "submit", images, *more, "--out", out).split()
    assert len(read_about(out)["aggregate"]["features"]) == 48
    keys = [f"{i:02d}.jpg" for i in range(16)]
    assert pq.read_table(out)["key"].to_pylist() == keys  # as the one who asks knows them
    again = f"{tmp_path}/again.parquet"
    say(crew, "fetch", job, "--out", again)
    assert pq.read_table(again)["key"].to_pylist() == keys  # as the door knows them
    assert say(crew, "watch", job).strip() == "done"
    listed = json.loads(say(crew, "list", "--json"))
    assert listed[0]["id"] == job and listed[0]["kind"] == "attribute_set"
    assert job[:12] in say(crew, "list")
    picture = str(tiny_house / "images" / "00.jpg")
    alone = say(
        crew, "submit", picture, "--method", "shapley", "--top", "3", "--target", "logit:cat"
    )
    say(crew, "watch", alone.strip())
    fetched = json.loads(
        say(crew, "fetch", alone.strip(), "--out", f"{tmp_path}/a.parquet", "--json")
    )
    assert fetched["spec"]["method"] == "shapley" and fetched["pictures"] == 1
    assert say(crew, "cancel", alone.strip()).strip() == "done"  # what has ended stays
    heads = ("--units", "head", "--site", "head_out.1", "--tokens", "prefix")
    say(crew, "submit", images, *more, *heads, "--out", again)
    assert len(read_about(again)["aggregate"]["features"]) == 3


def test_a_place_that_cannot_be_written_is_said_in_a_sentence(
    crew: Crew, tiny_images: list[bytes], tmp_path: Path
) -> None:
    client = crew.client()
    spec = one(tiny_images[3], top_k=2)
    client.ask(spec)
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(InvalidRequest, match=r"cannot be written .*another place"):
        fetch_to(client, client.submit(spec).id, str(tmp_path / "file" / "a.parquet"))
    client.close()


def test_who_watches_outlives_a_queue_that_is_started_anew(
    crew: Crew, tiny_images: list[bytes]
) -> None:
    client, waits, seen = crew.client(), Event(), list[JobStatus]()

    def pause() -> None:
        waits.set()
        time.sleep(0.1)

    def watch(job: str) -> str:
        for status in heard(client, job, pause):
            seen.append(status)
        return seen[-1].state

    with ThreadPoolExecutor(1) as pool:
        with crew.held("worker"):
            pictures = distinct(tiny_images, 40)
            job = client.submit(many(pictures, top_k=9), pictures).id
            watching = pool.submit(watch, job)
            wait_for(lambda: bool(seen))
            crew.kill("queue")
            wait_for(waits.is_set)
            crew.start("queue")
        assert watching.result(PATIENCE_S) == "done"
    client.close()


def test_a_file_that_is_none_of_ours_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.parquet").write_text("no table")
    with pytest.raises(InvalidRequest, match="is no Parquet file"):
        read_about(str(tmp_path / "a.parquet"))


def test_the_pictures_of_a_job_are_known_however_its_door_wrote_them() -> None:
    """Results are kept for a day, and so across a change of release."""
    texts = [image_digest(b"%d" % i) for i in range(3)]
    models = [{"kind": "digest", "sha256": text} for text in texts]
    assert digests({"images": texts}) == digests({"images": models}) == set(texts)
    assert digests({"image": models[0]}) == {texts[0]}
