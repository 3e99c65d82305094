"""What a set of ``steerboard.yaml`` may be, through the library and through a real door."""

import json
import os
import tarfile
from collections.abc import Iterator
from pathlib import Path
from threading import Event

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from fsspec import AbstractFileSystem

from services.attribution.library import Library
from steerboard.images.image_set import open_images
from steerboard.images.picture import Entry
from steerboard.spec.digest import image_digest
from steerboard.spec.errors import ImageNotCached, InvalidRequest, NotFound, Unavailable
from tests.attribution_service.crew import Crew, wait_for
from tests.images.forms import FORMS, add, as_arrow, as_csv, as_tar, rows

CLASSES = ("cat", "dog", "horse", "boat")


def as_folders(house: Path, out: Path) -> str:
    for row in rows(house):
        folder = out / "validation" / str(row["label"])
        folder.mkdir(parents=True, exist_ok=True)
        (folder / str(row["path"])).write_bytes((house / "images" / str(row["path"])).read_bytes())
    return str(out)


def as_folder_of_tars(house: Path, out: Path) -> str:
    as_tar(house, out)
    return str(out)


def as_compressed_tar(house: Path, out: Path) -> str:
    with tarfile.open(out / "set.tar.gz", "w:gz") as tar:
        for row in rows(house):
            stem = str(row["path"]).removesuffix(".jpg")
            add(tar, f"{stem}.jpg", (house / "images" / f"{stem}.jpg").read_bytes())
            facts = {k: row[k] for k in ("split", "group", "label", "size")}
            add(tar, f"{stem}.json", json.dumps(facts).encode())
    return str(out / "set.tar.gz")


def in_memory(house: Path, out: Path) -> str:
    memory = fsspec.filesystem("memory")
    for path in (house / "images").iterdir():
        memory.pipe_file(f"{out}/{path.name}", path.read_bytes())
    return f"memory:/{out}/manifest.jsonl"


def opened(folder: Path, wait_s: float | None = None, **sets: dict[str, str]) -> Library:
    """A library over such sets; one opened later knows what one before it wrote down."""
    (folder / "steerboard.yaml").write_text(yaml.safe_dump({"image_sets": sets}))
    return Library(folder, str(folder / "blobs"), wait_s)


@pytest.fixture
def away(tmp_path: Path) -> Path:
    (tmp_path / "away").mkdir()
    return tmp_path / "away"


@pytest.mark.parametrize(
    "form", [*FORMS, as_folders, as_folder_of_tars, as_compressed_tar, in_memory]
)
def test_the_library_gives_every_form_picture_by_picture(
    form, tiny_house: Path, tmp_path: Path, away: Path
) -> None:
    place = form(tiny_house, away)
    wanted = {
        image_digest((tiny_house / "images" / str(r["path"])).read_bytes()): r["label"]
        for r in rows(tiny_house)
    }
    for _ in range(2):  # read, and known from before
        library = opened(tmp_path, s={"images": place})
        (told,) = library.image_sets()
        assert (told.title, told.size, told.splits) == ("s", 16, ("validation",))
        assert {c.sha256: c.label for c in library.images("s")} == wanted
        assert {image_digest(d) for d in library.read_all(wanted, "").values()} == set(wanted)
        alone = opened(tmp_path, s={"images": place})  # as a worker, who never lists a set
        assert alone.missing([*wanted, "0" * 64], "") == ["0" * 64]
    with pytest.raises(NotFound, match="there is no image set 'none'; there is s"):
        library.images("none")


def test_paths_are_seen_from_the_file_and_from_the_folder_named(
    tiny_house: Path, tmp_path: Path, away: Path
) -> None:
    as_csv(tiny_house, away)
    (tmp_path / "tables").mkdir()
    (away / "set.csv").rename(tmp_path / "tables" / "set.csv")
    library = opened(
        tmp_path,
        apart={"images": "away", "manifest": "tables/set.csv"},
        plain={"images": "away"},
        lost={"manifest": "tables/set.csv"},
    )
    assert {s.id: s.size for s in library.image_sets()} == {"apart": 16, "plain": 16, "lost": 0}


def test_what_is_broken_is_counted_named_and_skipped(
    tiny_house: Path, tmp_path: Path, away: Path, caplog: pytest.LogCaptureFixture
) -> None:
    as_csv(tiny_house, away)
    (away / "03.jpg").unlink()
    whole = (away / "04.jpg").read_bytes()
    (away / "04.jpg").write_bytes(whole[: len(whole) // 2])
    (away / "bad.parquet").write_bytes(b"no table")
    library = opened(
        tmp_path, s={"images": "away/set.csv"}, bad={"images": "away/bad.parquet"},
        none={"images": "away/none"},
    )  # fmt: skip
    found = {s.id: s for s in library.image_sets()}
    assert next(iter(found)) == "s" and found["s"].size == 14
    assert found["s"].title == "s (2 broken pictures left out)"
    assert "2 of 16 pictures cannot be read: 03.jpg: there is no such file; 04.jpg" in caplog.text
    assert "cannot be read as Parquet" in found["bad"].title
    assert "there is nothing at" in found["none"].title
    with pytest.raises(InvalidRequest, match="cannot be read as Parquet"):
        library.images("bad")
    assert library.missing([c.sha256 for c in library.images("s")], "") == []
    again = {s.id: s for s in opened(tmp_path, s={"images": "away/set.csv"}).image_sets()}
    assert again["s"] == found["s"]


def test_a_picture_is_read_again_only_where_its_file_has_changed(
    tiny_house: Path, tmp_path: Path, away: Path
) -> None:
    as_folders(tiny_house, away)
    (path,) = away.rglob("00.jpg")
    before, times = path.read_bytes(), path.stat()
    (old,) = (
        c.sha256
        for c in opened(tmp_path, s={"images": "away"}).images("s")
        if c.path.endswith("00.jpg")
    )
    other = before[:13] + b"\x01" + before[14:]  # another unit of its density
    path.write_bytes(other)
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))  # nothing tells that it is another
    assert old in {c.sha256 for c in opened(tmp_path, s={"images": "away"}).images("s")}
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns + 10**9))
    anew = {c.sha256 for c in opened(tmp_path, s={"images": "away"}).images("s")}
    assert old not in anew and image_digest(other) in anew


class Slow(AbstractFileSystem):  # type: ignore[misc]
    """A place that gives its one picture when it is let."""

    protocol = "slow"
    let = Event()
    data = b""

    def cat_file(self, path: str, *span: object, **more: object) -> bytes:
        self.let.wait()
        return self.data


def test_who_asks_for_a_set_in_the_middle_of_its_first_reading_is_told_so(
    tiny_house: Path, tmp_path: Path
) -> None:
    Slow.data = (tiny_house / "images" / "00.jpg").read_bytes()
    fsspec.register_implementation("slow", Slow, clobber=True)
    (tmp_path / "set.jsonl").write_text('{"path": "slow://00.jpg", "label": "cat"}')
    library = opened(tmp_path, 0.01, s={"manifest": "set.jsonl"})
    try:
        library.prepare(0.01)
        with pytest.raises(Unavailable, match="are being read for the first time, 0 until now"):
            library.images("s")
        (told,) = library.image_sets()
        assert told.size == 0 and "being read" in told.title
        kept = library.keep(b"upload", "ann")
        assert library.read(kept, "ann") == b"upload"
        with pytest.raises(ImageNotCached):
            library.read(image_digest(Slow.data), "ann")
    finally:
        Slow.let.set()
    wait_for(lambda: library.missing([image_digest(Slow.data)], "") == [])
    assert [c.label for c in library.images("s")] == ["cat"]


def test_rows_without_bytes_name_files_of_this_machine(
    tiny_house: Path, tmp_path: Path, away: Path
) -> None:
    image = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    schema = pa.schema([("image", image), ("label", pa.string())])
    held = [
        {"image": {"bytes": None, "path": str(tiny_house / "images" / str(r["path"]))}}
        for r in rows(tiny_house)
    ]
    pq.write_table(pa.Table.from_pylist(held, schema=schema), away / "set.parquet")
    entries = list(open_images(str(away / "set.parquet")).entries())
    assert all(isinstance(e, Entry) and e.read().startswith(b"\xff\xd8") for e in entries)
    (told,) = opened(tmp_path, s={"images": "away/set.parquet"}).image_sets()
    assert told.size == 16


@pytest.fixture
def crew(tiny_house: Path, tmp_path: Path) -> Iterator[Crew]:
    for name in ("arrow", "tars"):
        (tmp_path / name).mkdir()
    as_arrow(tiny_house, tmp_path / "arrow")
    as_tar(tiny_house, tmp_path / "tars")
    config = yaml.safe_load((tiny_house / "steerboard.yaml").read_text())
    config["image_sets"] = {
        "arrow": {"images": "arrow"},
        "tars": {"images": "tars"},
        "lost": {"images": "lost"},
    }
    (tmp_path / "steerboard.yaml").write_text(yaml.safe_dump(config))
    found = Crew(tmp_path, tmp_path)
    try:
        found.start("queue", "cache", "door")
        yield found
    finally:
        found.end()


@pytest.mark.timeout(900)
def test_a_real_door_serves_sets_of_any_form_beside_one_that_is_not_there(
    crew: Crew, tiny_images: list[bytes]
) -> None:
    library = crew.library()
    sizes = {s.id: s.size for s in library.image_sets()}
    assert sizes == {"arrow": 16, "tars": 16, "lost": 0}
    for name in ("arrow", "tars"):
        cards = library.images(name, split="validation", page_size=16).items
        assert {c.label for c in cards} == set(CLASSES)
        assert set(library.get_images([c.sha256 for c in cards]).values()) == set(tiny_images)
    assert "there is nothing at" in crew.log("door")
