"""The same catalogue by the worker pool: real Redis, Celery, gRPC; a worker that is killed."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest

from steerboard.api.tokens import Identity, sign
from steerboard.catalogue.build import Built, Plan, build
from steerboard.catalogue.by_job import build_by_job, spec_of
from steerboard.catalogue.file import Catalogue
from steerboard.images.image_set import ImageSet, open_images
from steerboard.inprocess.runner import LocalRunner
from steerboard.spec.errors import Cancelled
from steerboard.spec.jobs import JobStatus
from tests.attribution_service.crew import SECRET, Crew, ended, wait_for

pytestmark = pytest.mark.timeout(900)
PLAN = Plan("tiny", "middle", top=5)


@pytest.fixture(scope="module")
def crew(tiny_house: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Crew]:
    found = Crew(tmp_path_factory.mktemp("crew"), tiny_house)
    try:
        found.start()
        yield found
    finally:
        found.end()


def test_workers_build_what_this_process_builds(
    crew: Crew, runner: LocalRunner, images: ImageSet, tmp_path: Path
) -> None:
    """Whoever began is killed while the model keeps it waiting; another worker ends the job."""
    client = crew.client()
    seen: list[int] = []
    lost: list[JobStatus] = []

    def lose_the_worker(job: str) -> None:
        with crew.held("inference"):  # so that no chunk can be done before the kill
            holding.close()
            wait_for(lambda: next(client.watch(job)).state == "running")
            crew.kill("worker")
            lost.append(next(client.watch(job)))
        crew.start("worker", wait=False)

    ours, theirs = (str(tmp_path / f"{name}.parquet") for name in ("ours", "theirs"))
    with ExitStack() as holding:
        holding.enter_context(crew.held("worker"))  # so that none can be before the model is held
        found = build_by_job(client, images, PLAN, theirs, seen.append, lose_the_worker)
    assert [(one.state, one.done) for one in lost] == [("running", 0)]
    build(runner, images, PLAN, ours, str(tmp_path / "work"))
    a, b = Catalogue(ours), Catalogue(theirs)
    assert found.features == len(a) == len(b) and seen[-1] == 64
    assert {k: v for k, v in a.about.items() if k != "label_floor"} == {
        k: v for k, v in b.about.items() if k != "label_floor"
    }
    for one, other in zip(a.cards(range(100)), b.cards(range(100)), strict=True):
        assert one.firing_rate == other.firing_rate and one.label == other.label
        assert other.mean == pytest.approx(one.mean, rel=1e-5)
        assert [r.image for r in other.references] == [r.image for r in one.references]
        np.testing.assert_allclose(
            [c.ap for c in other.classes], [c.ap for c in one.classes], atol=1e-5
        )
        assert other.clarity == pytest.approx(one.clarity, abs=1e-5)
        assert other.redundancy == pytest.approx(one.redundancy, abs=1e-6)
        assert [n.feature for n in other.neighbours] == [n.feature for n in one.neighbours]
    assert set(a.thumbnails(r.image for r in one.references)) == {r.image for r in one.references}
    again = client.submit(spec_of(images, PLAN, Built(theirs))[0])
    assert again.cached
    client.close()


def test_a_picture_that_is_none_is_left_out_and_named(
    crew: Crew, pictures: Path, tmp_path: Path
) -> None:
    for i in range(10):
        (tmp_path / f"{i:02d}.png").write_bytes((pictures / f"{i:02d}.png").read_bytes())
    (tmp_path / "04.png").write_bytes(b"no picture at all")
    images = ImageSet(open_images(str(tmp_path)), decode=False)
    client = crew.client()
    found = build_by_job(client, images, PLAN, str(tmp_path / "c.parquet"), lambda pictures: None)
    assert (found.report.pictures, [b.key for b in found.report.named]) == (9, ["04.png"])
    assert Catalogue(str(tmp_path / "c.parquet")).about["pictures"] == 9
    client.close()


def test_who_stops_looking_on_is_told_the_job_and_takes_it_up_again(
    crew: Crew, pictures: Path, tmp_path: Path
) -> None:
    """Ctrl-C in a real process; and none of this opens the model, which its machine lacks."""
    (tmp_path / "steerboard.yaml").write_text(
        "models:\n  tiny:\n    path: nowhere\n    dictionaries:\n      last: {path: nowhere}\n"
        "    calibration: {images: nowhere, manifest: nowhere}\n"
    )
    command = [
        "env", "--default-signal=INT", sys.executable, "-m", "steerboard.cli", "catalogue",
        "build", "--jobs", crew.door, "--config", str(tmp_path), "--images",
        str(pictures / "manifest.jsonl"), "--split", "",
    ]  # fmt: skip
    environment = {**crew.environment, "STEERBOARD_TOKEN": sign(Identity(subject="ann"), SECRET)}
    client = crew.client()
    crew.complete()
    with (
        crew.held("worker"),  # so that it cannot end before
        subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as running,
    ):
        assert running.stderr is not None
        try:
            line = next(one for one in running.stderr if one.startswith("job "))
            running.send_signal(signal.SIGINT)
            said = running.communicate(timeout=120)[1]
        finally:
            running.kill()
        assert running.returncode != 0
        job = line.split()[1]
        assert f"steerboard jobs cancel {job}" in said and "takes it up again" in said
        assert next(client.watch(job)).state in ("queued", "running")
    assert ended(client, job).state == "done"
    again = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert again.returncode == 0 and f"job {job}" in again.stderr, again.stderr
    assert Catalogue(str(tmp_path / "catalogue" / "last.parquet")).about["pictures"] == 64
    client.close()


def test_a_catalogue_that_is_taken_back_stops(crew: Crew, images: ImageSet) -> None:
    client = crew.client()
    spec = spec_of(images, Plan("tiny", "last", top=7), Built(""))[0]
    job = client.submit(spec, (p.data for p in images.pictures()))
    client.cancel(job.id)
    assert ended(client, job.id).state == "cancelled"
    with pytest.raises(Cancelled):
        list(client.result(job.id))
    client.close()
