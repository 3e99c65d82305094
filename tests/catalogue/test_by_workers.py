"""The same catalogue by the worker pool: real Redis, Celery, gRPC; a worker that is killed."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from steerboard.catalogue.build import Built, Plan, build
from steerboard.catalogue.by_job import build_by_job, spec_of
from steerboard.catalogue.file import Catalogue
from steerboard.images.image_set import ImageSet, open_images
from steerboard.inprocess.runner import LocalRunner
from steerboard.spec.errors import Cancelled
from tests.attribution_service.crew import Crew, ended

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
    client = crew.client()
    seen: list[int] = []

    def lose_a_worker(pictures: int) -> None:
        seen.append(pictures)
        if len(seen) == 2:
            crew.kill("worker")
            crew.start("worker", wait=False)

    ours, theirs = (str(tmp_path / f"{name}.parquet") for name in ("ours", "theirs"))
    found = build_by_job(client, images, PLAN, theirs, lose_a_worker)
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


def test_a_catalogue_that_is_taken_back_stops(crew: Crew, images: ImageSet) -> None:
    client = crew.client()
    spec = spec_of(images, Plan("tiny", "last", top=7), Built(""))[0]
    job = client.submit(spec, (p.data for p in images.pictures()))
    client.cancel(job.id)
    assert ended(client, job.id).state == "cancelled"
    with pytest.raises(Cancelled):
        list(client.result(job.id))
    client.close()
