"""Which pictures a job is asked about, and what a person hears where that is none."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from steerboard.cli import app
from steerboard.cli.job_pictures import image_sets, labels, pictures
from steerboard.spec.errors import InvalidRequest, NotFound


def test_sets_of_the_configuration_folders_and_files_are_found(tiny_house: Path) -> None:
    (name,) = image_sets(tiny_house)
    whole = pictures(name, tiny_house, "", "")
    alone = pictures(str(tiny_house / "images" / "00.jpg"), tiny_house, "", "")
    assert len(whole) == 16 and [p.sha256 for p in alone] == [whole[0].sha256]
    cats = pictures(name, tiny_house, "label = cat", "")
    assert 0 < len(cats) < 16
    assert sum(labels(whole, "label = cat")) == len(cats)


@pytest.mark.parametrize(
    ("where", "split", "words"),
    [
        ("", "nope", "has no split 'nope'; it has "),
        (
            "label = dragon",
            "",
            "of 16 pictures of .* none fits 'label = dragon'; ",
        ),
        ("colour = red", "", "asked about is .*label"),
    ],
)
def test_where_no_picture_fits_it_is_said_what_there_is(
    tiny_house: Path, where: str, split: str, words: str
) -> None:
    (name,) = image_sets(tiny_house)
    with pytest.raises(InvalidRequest, match=words):
        pictures(name, tiny_house, where, split)


def test_an_empty_folder_and_a_name_of_nothing(tiny_house: Path, tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest, match="holds no picture"):
        pictures(str(tmp_path), tiny_house, "", "")
    with pytest.raises(NotFound, match=f"names {', '.join(image_sets(tiny_house))}"):
        pictures("nothing", tiny_house, "", "")
    assert image_sets(tmp_path) == {}


def test_a_folder_that_holds_a_manifest_says_that_it_is_passed_over(
    tiny_house: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copy(tiny_house / "images" / "00.jpg", tmp_path)
    pictures(str(tmp_path), tiny_house, "", "")
    assert capsys.readouterr().err == ""
    row = {"path": "00.jpg", "label": "cat"}
    (tmp_path / "manifest.jsonl").write_text(json.dumps(row) + "\n")
    (plain,) = pictures(str(tmp_path), tiny_house, "", "")
    said = capsys.readouterr().err
    assert plain.label == "" and f"name {tmp_path / 'manifest.jsonl'}" in said
    (told,) = pictures(str(tmp_path / "manifest.jsonl"), tiny_house, "", "")
    assert told.label == "cat" and capsys.readouterr().err == ""


@pytest.mark.parametrize(
    "text", ["image_sets: [1", "image_sets: {a: b}", "image_sets: {a: {}}", "- a", ""]
)
def test_a_configuration_that_cannot_be_read(tmp_path: Path, text: str) -> None:
    (tmp_path / "steerboard.yaml").write_text(text)
    with pytest.raises(InvalidRequest, match="check config"):
        image_sets(tmp_path)


def test_a_result_is_a_parquet_file(tiny_house: Path) -> None:
    for asked in (("submit", "tiny"), ("fetch", "a-job")):
        said = CliRunner().invoke(app, ["jobs", *asked, "--out", "table.csv"])
        assert said.exit_code != 0
        assert isinstance(said.exception, InvalidRequest)
        assert "end in .parquet" in str(said.exception)


def test_choosing_pictures_needs_no_torch(tiny_house: Path) -> None:
    (name,) = image_sets(tiny_house)
    code = (
        "import sys; from pathlib import Path; from steerboard.cli.job_pictures import pictures;"
        f" pictures({name!r}, Path({str(tiny_house)!r}), '', ''); assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
