"""Image sets whose files change while they are served, and what is left behind of them."""

import json
import shutil
from pathlib import Path
from threading import Event

import fsspec
import pytest
from fsspec import AbstractFileSystem

from services.attribution.library import Library
from services.attribution.shelf import Shelf
from services.attribution.sweeping import Copies
from steerboard.spec.digest import image_digest
from steerboard.spec.errors import ImageNotCached
from tests.attribution_service.crew import wait_for
from tests.attribution_service.test_image_sets import as_compressed_tar, opened
from tests.images.forms import as_csv, as_tar, rows


def shelf(folder: Path, **sets: dict[str, str]) -> Shelf:
    """Sets whose files are looked at whenever somebody asks."""
    fs = fsspec.filesystem("file")
    return Shelf(folder, sets, fs, str(folder / "blobs" / "sets"), 60.0, look_s=0.0)


def size(held: Shelf, name: str = "s") -> int:
    return int(held.held(name).table.num_rows)


def lines(folder: Path, count: int) -> None:
    """The set's table with so many of its rows."""
    whole = (folder / "all.csv").read_text().splitlines()
    (folder / "set.csv").write_text("\n".join(whole[: count + 1]) + "\n")


@pytest.fixture
def table(tiny_house: Path, tmp_path: Path) -> Path:
    as_csv(tiny_house, tmp_path)
    shutil.copy(tmp_path / "set.csv", tmp_path / "all.csv")
    return tmp_path


def test_a_set_that_changed_is_read_anew_when_somebody_asks_for_it(table: Path) -> None:
    held = shelf(table, s={"images": "set.csv"})
    assert size(held) == 16
    for count in (12, 15, 16):
        lines(table, count)
        wait_for(lambda count=count: size(held) == count)
    (table / "03.jpg").unlink()
    wait_for(lambda: size(held) == 15)
    assert held.held("s").broken == 1


def test_what_cannot_be_read_leaves_what_was_known(
    table: Path, caplog: pytest.LogCaptureFixture
) -> None:
    held = shelf(table, s={"images": "set.csv"})
    assert size(held) == 16
    (table / "set.csv").write_bytes(b"path\n\xff\xfe")
    wait_for(lambda: size(held) and "is served as it was" in caplog.text)
    assert size(held) == 16
    lines(table, 5)
    wait_for(lambda: size(held) == 5)


class Slow(AbstractFileSystem):  # type: ignore[misc]
    """A place that gives its pictures when it is let."""

    protocol = "unhurried"
    let = Event()
    asked = Event()
    data: bytes = b""

    def cat_file(self, path: str, *span: object, **more: object) -> bytes:
        self.asked.set()
        assert self.let.wait(120)
        return self.data + path[-6:].encode()  # JPEGs may have a tail


def test_nobody_waits_for_a_set_that_is_read_anew(tiny_house: Path, tmp_path: Path) -> None:
    Slow.data = (tiny_house / "images" / "00.jpg").read_bytes()
    fsspec.register_implementation("unhurried", Slow, clobber=True)
    line = '{{"path": "unhurried://{:02d}.jpg", "label": "cat"}}\n'.format
    (tmp_path / "set.jsonl").write_text(line(0))
    Slow.let.set()
    held = shelf(tmp_path, s={"manifest": "set.jsonl"})
    assert size(held) == 1
    Slow.let.clear()
    Slow.asked.clear()
    try:
        (tmp_path / "set.jsonl").write_text(line(0) + line(1))
        wait_for(lambda: size(held) == 1 and Slow.asked.is_set())
        assert size(held) == 1, "the set in the middle of its second reading"
        assert held.sweep({}, 0.0) == 0, "copies are being kept"
    finally:
        Slow.let.set()
    wait_for(lambda: size(held) == 2)


def test_a_worker_follows_the_door_and_never_gives_other_bytes(
    tiny_house: Path, tmp_path: Path
) -> None:
    out = tmp_path / "tars"
    out.mkdir()
    as_tar(tiny_house, out)
    own = opened(tmp_path, s={"images": "tars"})  # writes the configuration
    worker, door = own, shelf(tmp_path, s={"images": "tars"})
    wanted = [c.sha256 for c in worker.images("s")]
    assert len(wanted) == 16 == size(door)
    house = tmp_path / "house"
    shutil.copytree(tiny_house / "images", house / "images")
    some = [r for r in rows(tiny_house) if r["path"] != "00.jpg"]  # all others lie elsewhere now
    (house / "images" / "manifest.jsonl").write_text("\n".join(map(json.dumps, some)))
    other = (house / "images" / "01.jpg").read_bytes() + b"tail"
    (house / "images" / "01.jpg").write_bytes(other)
    for path in out.iterdir():
        path.unlink()
    as_tar(house, out)
    gone = {image_digest((tiny_house / "images" / f"{n}.jpg").read_bytes()) for n in ("00", "01")}
    wait_for(lambda: image_digest(other) in held_by(door))
    for sha256 in held_by(door):
        assert image_digest(worker.read(sha256, "")) == sha256
    for sha256 in gone:
        with pytest.raises(ImageNotCached):
            worker.read(sha256, "")


def held_by(found: Shelf) -> set[str]:
    return {c.sha256 for c in found.held("s").cards}


def copies(folder: Path) -> set[str]:
    """What lies in the folder of image sets besides indexes."""
    return {p.name for p in (folder / "blobs" / "sets").iterdir() if p.suffix != ".parquet"}


def test_copies_that_no_set_needs_are_swept_and_no_others(tiny_house: Path, tmp_path: Path) -> None:
    (tmp_path / "away").mkdir()
    as_compressed_tar(tiny_house, tmp_path / "away")
    place = {"images": "away/set.tar.gz"}
    held = shelf(tmp_path, s=place)
    assert size(held) == 16 and len(copies(tmp_path)) == 16
    at_once, later = Copies(held, 0.0), Copies(held)
    assert at_once.sweep() == 0

    house = tmp_path / "house"
    shutil.copytree(tiny_house / "images", house / "images")
    some = [r for r in rows(tiny_house) if r["label"] != "cat"]
    (house / "images" / "manifest.jsonl").write_text("\n".join(map(json.dumps, some)))
    (tmp_path / "away" / "set.tar.gz").unlink()
    as_compressed_tar(house, tmp_path / "away")
    wait_for(lambda: size(held) == len(some))
    assert len(copies(tmp_path)) == 16
    assert later.sweep() == 0, "a job may have been asked about them"
    assert at_once.sweep() == 16 - len(some)
    assert copies(tmp_path) == held_by(held)
    assert {image_digest(held.kept(d)) for d in held_by(held)} == held_by(held)

    twice = shelf(tmp_path, s=place, again=place)  # one place, two names
    assert Copies(twice, 0.0).sweep() == 0, "a set that is not read yet needs them"
    other = shelf(tmp_path, gone={"images": "nowhere"})
    assert Copies(other, 0.0).sweep() == len(some) + 1, "its index as well"
    assert copies(tmp_path) == set()
    assert {image_digest(d) for d in Library(configured(tmp_path), str(tmp_path / "blobs"))
            .read_all(held_by(held), "").values()} == held_by(held)  # fmt: skip


def configured(folder: Path) -> Path:
    """The same set once more, by a program that begins anew."""
    (folder / "steerboard.yaml").write_text("image_sets: {s: {images: away/set.tar.gz}}")
    return folder
