"""The same sixteen pictures through every form that a set can have."""

import contextlib
from collections import Counter
from pathlib import Path
from typing import Any

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from steerboard.images.conditions import condition
from steerboard.images.image_set import ImageSet, Report, open_images
from steerboard.images.picture import Picture
from steerboard.images.splits import HashSplit, read_shares
from steerboard.spec.digest import image_digest
from steerboard.spec.errors import InvalidRequest, NotFound, Unavailable
from tests.images.forms import FORMS, as_csv, as_parquet, as_tar, rows


@pytest.mark.parametrize("form", FORMS)
def test_every_form_gives_the_same_pictures(form, tiny_house: Path, tmp_path: Path) -> None:
    place = form(tiny_house, tmp_path)
    report = Report()
    found = list(ImageSet(open_images(place)).pictures(report))
    wanted = [
        (
            image_digest((tiny_house / "images" / str(r["path"])).read_bytes()),
            r["label"],
            "validation",
            "clean",
            float(str(r["size"])),
        )
        for r in rows(tiny_house)
    ]
    told = [
        (p.sha256, p.label, p.split, p.attributes["group"], float(str(p.attributes["size"])))
        for p in found
    ]
    assert told == wanted
    assert report == Report(pictures=16)
    some = ImageSet(open_images(place), where="label in (cat, dog) and size >= 0.5")
    assert [p.sha256 for p in some] == [
        w[0] for w in wanted if w[1] in ("cat", "dog") and float(str(w[4])) >= 0.5
    ]


def test_folders_name_split_and_class(tiny_house: Path, tmp_path: Path) -> None:
    for r in rows(tiny_house):
        folder = tmp_path / ("train" if float(str(r["size"])) < 0.8 else "test") / str(r["label"])
        folder.mkdir(parents=True, exist_ok=True)
        (folder / str(r["path"])).write_bytes((tiny_house / "images" / str(r["path"])).read_bytes())
    found = list(ImageSet(open_images(str(tmp_path))))
    assert Counter((p.split, p.label) for p in found) == Counter(
        {(s, c): 2 for s in ("train", "test") for c in ("cat", "dog", "horse", "boat")}
    )
    (flat,) = {p.label for p in ImageSet(open_images(str(tiny_house / "images"), kind="folder"))}
    assert flat == ""


def test_any_file_system_will_do(tiny_house: Path) -> None:
    memory = fsspec.filesystem("memory")
    for path in (tiny_house / "images").iterdir():
        memory.pipe_file(f"/a-set/{path.name}", path.read_bytes())
    found = list(ImageSet(open_images("memory://a-set/manifest.jsonl")))
    assert len(found) == 16
    memory.rm("/a-set", recursive=True)


def test_what_is_broken_is_counted_named_and_skipped(tiny_house: Path, tmp_path: Path) -> None:
    place = Path(as_csv(tiny_house, tmp_path))
    whole = (tmp_path / "00.jpg").read_bytes()
    (tmp_path / "01.jpg").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "02.jpg").write_bytes(b"")
    (tmp_path / "03.jpg").unlink()
    (tmp_path / "04.jpg").write_text("no picture")
    (tmp_path / "05.jpg").write_bytes(whole)
    with open(place, "a") as file:
        file.write(",cat,validation,clean,1\n")
    report = Report()
    found = list(ImageSet(open_images(str(place))).pictures(report))
    assert (len(found), report.pictures, report.broken, report.duplicates) == (11, 11, 5, 1)
    assert [b.key for b in report.named] == ["01.jpg", "02.jpg", "03.jpg", "04.jpg", "row 17"]
    assert "no such file" in report.named[2].why


def test_an_archive_that_is_cut_short_gives_what_came_before(
    tiny_house: Path, tmp_path: Path
) -> None:
    as_tar(tiny_house, tmp_path)
    first = tmp_path / "shard-0.tar"
    first.write_bytes(first.read_bytes()[: first.stat().st_size // 2])
    report = Report()
    found = list(ImageSet(open_images(str(tmp_path / "shard-*.tar"))).pictures(report))
    assert 8 < len(found) < 16 and report.broken == 1
    assert "shard-0.tar" in report.named[0].key and "cut short" in report.named[0].why


def test_nothing_is_read_before_it_is_asked_for(tiny_house: Path, tmp_path: Path) -> None:
    place = as_csv(tiny_house, tmp_path)
    pictures = iter(ImageSet(open_images(place)))
    next(pictures)
    (tmp_path / "15.jpg").write_bytes(b"changed meanwhile")
    report = Report()
    assert len(list(ImageSet(open_images(place), where="size < 1.5").pictures(report))) == 15
    assert report.broken == 0


def test_a_place_that_is_no_set_says_so(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="there is nothing at"):
        open_images(str(tmp_path / "none"))
    (tmp_path / "notes.txt").write_text("hello")
    with pytest.raises(InvalidRequest, match="is no image set"):
        open_images(str(tmp_path / "notes.txt"))
    pq.write_table(pa.table({"a": [1]}), tmp_path / "a.parquet")
    with pytest.raises(InvalidRequest, match=r"no column of a\.parquet holds pictures"):
        list(ImageSet(open_images(str(tmp_path / "a.parquet"))))
    with pytest.raises(NotFound, match="no manifest"):
        list(ImageSet(open_images(str(tmp_path / "none.csv"), kind="manifest")))


def test_a_table_that_is_damaged_and_a_bucket_out_of_reach_are_sentences(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.parquet").write_bytes(b"no table")
    with pytest.raises(InvalidRequest, match=r"a\.parquet cannot be read as Parquet"):
        open_images(str(tmp_path / "a.parquet"))
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "wrong")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    fsspec.get_filesystem_class("s3").clear_instance_cache()
    with pytest.raises(Unavailable, match="s3://house/set cannot be reached") as told:
        open_images("s3://house/set")
    assert "\n" not in told.value.message
    fsspec.get_filesystem_class("s3").clear_instance_cache()


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"split": "validatoin"}, r"no picture is of split 'validatoin': there are 16 pictures,"),
        ({"split": "test"}, r"splits: validation \(16\)"),
        (
            {"where": "sizze > 1"},
            r"no picture has 'sizze'; a condition may ask about .*size, split",
        ),
        ({"where": "size > 100"}, r"of 16 pictures none fits 'size > 100'$"),
        (
            {"where": "size > 100", "split": "a", "splits": HashSplit({"a": 1.0})},
            "of 16 pictures none of split 'a' fits",
        ),
    ],
)
def test_what_keeps_every_picture_out_is_said_with_what_there_is(
    asked: dict[str, Any], said: str, tiny_house: Path, tmp_path: Path
) -> None:
    report = Report()
    images = ImageSet(open_images(as_csv(tiny_house, tmp_path)), **asked)
    assert not list(images.pictures(report))
    with pytest.raises(InvalidRequest, match=said):
        raise report.nothing()


def test_an_attribute_that_no_picture_has_is_told_though_pictures_fit(
    tiny_house: Path, tmp_path: Path
) -> None:
    report = Report()
    source = open_images(as_csv(tiny_house, tmp_path))
    assert len(list(ImageSet(source, "sizze != 1 or size = 0").pictures(report))) == 16
    assert "no picture has 'sizze'" in report.seen.unknown()


def test_pictures_beside_a_table_that_names_them_are_a_folder(
    tiny_house: Path, tmp_path: Path
) -> None:
    as_parquet(tiny_house, tmp_path)
    assert len(list(ImageSet(open_images(str(tmp_path))))) == 16


FACTS = {"label": "owl", "size": 0.5, "attack": None, "n": "12", "name": "a b", "held": True}


@pytest.mark.parametrize(
    ("text", "fits"),
    [
        ("", True),
        ("label = owl", True),
        ("label == owl and size != 0.5", False),
        ("label = cat or size >= 0.5", True),
        ("label = cat and size = 1 or n = 12.0", True),  # and binds closer
        ("label = cat and (size = 1 or n = 12)", False),
        ("not label in (cat, dog)", True),
        ("label not in (cat, owl)", False),
        ("attack = null", True),
        ("attack != null", False),
        ("unknown = 1", False),
        ("unknown < 1", False),
        ("n > 2", True),  # as a number, and not as text
        ("name = 'a b'", True),
        ('name in ("a b", c)', True),
        ("held = true", True),
        ("label < 3", False),
    ],
)
def test_conditions(text: str, fits: bool) -> None:
    assert condition(text)(FACTS) is fits


@pytest.mark.parametrize(
    "text",
    ["label", "label =", "= owl", "label = owl cat", "size < many", "a in", "a in ()", "a in (b",
     "(a = 1", "a = 1 and", "a = 'b", "not " * 60 + "a = 1", "__import__('os')", "a" * 3000],
)  # fmt: skip
def test_a_condition_that_cannot_be_is_refused_in_words(text: str) -> None:
    with pytest.raises(InvalidRequest, match=r"condition|followed by no number"):
        condition(text)


@given(st.text(max_size=60))
def test_no_text_does_worse_to_a_condition(text: str) -> None:
    with contextlib.suppress(InvalidRequest):
        condition(text)(FACTS)


def picture(number: int, scene: int) -> Picture:
    data = str(number).encode()
    return Picture(f"{number}", data, image_digest(data), attributes={"scene": float(scene)})


def test_a_split_by_hash_is_fixed_and_keeps_its_shares() -> None:
    split = HashSplit(read_shares("train=0.8,test=0.2"))
    found = [split.split(picture(i, 0)) for i in range(4000)]
    # 4000 draws of 0.2: a standard deviation is 25.
    assert abs(found.count("test") - 800) < 125
    alone = [split.split(picture(i, 0)) for i in reversed(range(4000))]
    assert alone == found[::-1]
    other = HashSplit(read_shares("train=0.8,test=0.2"), salt="another")
    assert [other.split(picture(i, 0)) for i in range(4000)] != found


def test_a_split_by_scene_keeps_scenes_together() -> None:
    split = HashSplit({"a": 0.5, "b": 0.5}, by="scene")
    by_scene = [{split.split(picture(i, s)) for i in range(20)} for s in range(40)]
    assert all(len(found) == 1 for found in by_scene)
    assert set.union(*by_scene) == {"a", "b"}


def test_shares_that_cannot_be_are_refused() -> None:
    with pytest.raises(InvalidRequest, match="add up to 1"):
        HashSplit({"train": 0.9, "test": 0.2})
    with pytest.raises(InvalidRequest, match=r"write train=0\.8"):
        read_shares("train:0.8")


def test_a_set_is_split_by_hash_in_place_of_its_own_splits(tiny_house: Path) -> None:
    source = open_images(str(tiny_house / "images" / "manifest.jsonl"))
    halves = HashSplit({"a": 0.5, "b": 0.5})
    parts = [list(ImageSet(source, split=s, splits=halves)) for s in ("a", "b")]
    assert sum(map(len, parts)) == 16 and all(parts)
    assert not {p.sha256 for p in parts[0]} & {p.sha256 for p in parts[1]}
    assert {p.split for p in parts[0]} == {"a"}
