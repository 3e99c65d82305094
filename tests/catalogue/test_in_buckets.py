"""Pictures read from, and a catalogue stored in, a bucket: real HTTP, S3's own words."""

import os
from collections.abc import Iterator
from pathlib import Path

import fsspec
import pytest

from services.attribution.catalogues import Catalogues
from services.attribution.library import Library
from steerboard.catalogue.build import Plan, build
from steerboard.catalogue.compare import compare, read_responses
from steerboard.catalogue.file import Catalogue
from steerboard.catalogue.folder import Folder
from steerboard.catalogue.opening import open_catalogue
from steerboard.images.image_set import ImageSet, Report, open_images
from steerboard.inprocess.runner import LocalRunner
from steerboard.spec.errors import NotFound, Unavailable
from tests.images.bucket_server import Bucket, bucket

PLAN, COUNT = Plan("tiny", "middle", top=5), 24
KEYS = {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_REGION": "us-east-1"}
ELSEWHERE = "STEERBOARD_TEST_S3"  # a server of another make, such as MinIO's, with a bucket `house`


@pytest.fixture(scope="module")
def server() -> Iterator[Bucket]:
    with bucket() as found:
        yield found


@pytest.fixture
def place(server: Bucket, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A folder of the bucket; nothing of it is known from an earlier test."""
    for name, value in KEYS.items():
        monkeypatch.setenv(name, value)
    given = os.environ.get(ELSEWHERE, f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setenv("AWS_ENDPOINT_URL", given)
    fsspec.get_filesystem_class("s3").clear_instance_cache()
    yield "s3://house/pictures"
    fsspec.get_filesystem_class("s3").clear_instance_cache()


def test_a_set_in_a_bucket_gives_the_catalogue_of_the_same_set_on_disk(
    place: str, server: Bucket, runner: LocalRunner, pictures: Path, tmp_path: Path
) -> None:
    fs, root = fsspec.core.url_to_fs(place)
    some = (pictures / "manifest.jsonl").read_text().splitlines()[:COUNT]
    fs.pipe_file(f"{root}/manifest.jsonl", "\n".join(some).encode())
    for path in sorted(pictures.glob("*.png"))[:COUNT]:
        fs.pipe_file(f"{root}/{path.name}", path.read_bytes())
    report = Report()
    there = ImageSet(open_images(f"{place}/manifest.jsonl"), decode=False)
    assert len(list(there.pictures(report))) == COUNT == report.pictures
    assert len(list(ImageSet(open_images(place)))) == COUNT  # as a plain folder

    here = ImageSet(
        open_images(str(pictures / "manifest.jsonl")), f"size < {COUNT / 64}", decode=False
    )
    target, work = "s3://house/catalogues/middle.parquet", "s3://house/catalogues/work"
    build(runner, there, PLAN, target, work)
    build(runner, here, PLAN, str(tmp_path / "middle.parquet"), str(tmp_path / "work"))
    assert not fs.find("house/catalogues/work")
    assert (
        fs.cat_file("house/catalogues/middle.parquet") == (tmp_path / "middle.parquet").read_bytes()
    )
    assert {Path(name).name for name in fs.find("house/catalogues")} == {
        p.name for p in tmp_path.iterdir()
    }

    before = server.read
    catalogue = open_catalogue(target)
    assert isinstance(catalogue, Catalogue) and len(catalogue) > 20
    (card,) = catalogue.cards([int(catalogue.columns("feature").column(0)[3].as_py())])
    found = catalogue.thumbnails([card.references[0].image])
    assert found[card.references[0].image].startswith(b"\xff\xd8")
    assert ELSEWHERE in os.environ or server.read > before
    assert compare(read_responses(target), read_responses(target)).pictures == COUNT


def test_the_door_finds_and_reads_catalogues_in_a_bucket(
    place: str, runner: LocalRunner, pictures: Path, tmp_path: Path
) -> None:
    config, shelf = tmp_path / "steerboard.yaml", "s3://house/shelf"
    config.write_text(f"catalogue: {shelf}\n")
    library = Library(config, str(tmp_path / "blobs"))
    door = Catalogues(library, runner)
    assert door.infos() == [] and library.features("middle", [0]) == []
    with pytest.raises(NotFound, match="there is no catalogue of dictionary 'middle' here"):
        door.index("middle")

    images = ImageSet(open_images(str(pictures / "manifest.jsonl")), decode=False)
    target, work = f"{shelf}/middle.parquet", str(tmp_path / "work")
    build(runner, images, PLAN, target, work)
    library._catalogue = Folder(shelf, trusted_s=0)
    assert [(i.dictionary, i.pictures) for i in door.infos()] == [("middle", 64)]
    index = door.index("middle")
    feature = int(index.features[0])
    (card,) = library.features("middle", [feature])
    (name, *_) = (r.image for r in card.references)
    assert door.thumbnails("middle", [name], "")[name].startswith(b"\xff\xd8")
    assert door.index("middle") is index  # read once
    build(runner, ImageSet(images.source, "size < 0.4", decode=False), PLAN, target, work)
    assert door.index("middle").info.pictures < 64


def test_a_bucket_out_of_reach_is_no_empty_folder(
    place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    fsspec.get_filesystem_class("s3").clear_instance_cache()
    folder = Folder("s3://house/shelf")
    with pytest.raises(Unavailable, match="catalogues at s3://house/shelf are out of reach"):
        folder.names()
    with pytest.raises(Unavailable, match="out of reach"):
        folder.version("middle")


def test_what_is_not_in_a_bucket_is_a_sentence(place: str) -> None:
    with pytest.raises(NotFound, match="there is nothing at s3://house/none"):
        open_images("s3://house/none")
    with pytest.raises(NotFound, match="build one first"):
        Catalogue("s3://house/none.parquet")
