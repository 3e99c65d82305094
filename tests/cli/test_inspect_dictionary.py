"""``steerboard inspect dictionary`` as a person runs it: what was tried, and what each gave."""

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from steerboard.cli import app
from steerboard.dictionary.native import write
from steerboard.spec.errors import DictionaryMisfit, InvalidRequest, NotFound
from tests.conftest import tiny_dictionary


def words(house: Path, path: object, *more: str) -> list[str]:
    place = ["--model", str(house / "model"), "--images", str(house / "images")]
    return ["inspect", "dictionary", str(path), *place, *more]


def asked(house: Path, path: object, *more: str) -> Any:
    return CliRunner().invoke(app, words(house, path, *more))


def test_a_right_one_is_shown_with_all_that_was_tried(tiny_house: Path) -> None:
    prompts = str(tiny_house / "classes.json")
    found = asked(tiny_house, tiny_house / "middle.safetensors", "--prompts", prompts)
    assert found.exit_code == 0, found.exception
    for tried in (
        "as stated: resid_post.1",
        "site: resid_post.0",
        "site: resid_post.2",
        "input bias: not subtracted",
        "normalisation: layer_norm",
        "backbone: no other model was named",
        "zero-shot agreement with the reconstruction 1.000",
    ):
        assert tried in found.stdout
    assert "middle.safetensors fits resid_post.1 on all tokens" in found.stdout


def test_a_wrong_one_fails_with_the_same_table(tiny_house: Path, tmp_path: Path) -> None:
    halved = replace(tiny_dictionary(24, 2, "all"), tokens="all")  # two of the 24 that it needs
    write(tmp_path / "d.safetensors", halved, "resid_post.1")
    command = [sys.executable, "-m", "steerboard.cli"]
    told = subprocess.run(
        [*command, *words(tiny_house, tmp_path / "d.safetensors")],
        capture_output=True, text=True, timeout=240,
    )  # fmt: skip
    assert told.returncode == 1 and "Traceback" not in told.stderr
    assert "does not fit resid_post.1: explained variance" in told.stdout
    assert "site: resid_post.2" in told.stdout
    as_json = asked(tiny_house, tmp_path / "d.safetensors", "--json")
    report = json.loads(as_json.stdout)
    assert as_json.exit_code == 1 and report["faults"]
    assert {t["kind"] for t in report["tried"]} == {"site", "input bias", "normalisation"}


@pytest.mark.parametrize(
    ("path", "more", "kind", "said"),
    [
        ("nowhere", (), NotFound, "nowhere is missing"),
        ("images", (), DictionaryMisfit, "holds no file of weights"),
        ("model", (), DictionaryMisfit, "no format that is known here has tensors"),
        ("middle.safetensors", ("--site", "resid_post.2"), DictionaryMisfit, "not to resid_post.2"),
        ("middle.safetensors", ("--split", "none"), NotFound, "no picture of split 'none'"),
        ("middle.safetensors", ("--prompts", "nowhere.json"), NotFound, "prompts are a JSON file"),
        ("middle.safetensors", ("--probe", "nowhere"), NotFound, "a safetensors file with weight"),
    ],
)
def test_what_cannot_be_is_one_sentence(
    tiny_house: Path, path: str, more: tuple[str, ...], kind: type, said: str
) -> None:
    error = asked(tiny_house, tiny_house / path, *more).exception
    assert isinstance(error, kind) and said in str(error)


def test_pictures_that_cannot_be_read_are_left_out_and_named(
    tiny_house: Path, tmp_path: Path
) -> None:
    images = tmp_path / "images"
    shutil.copytree(tiny_house / "images", images)
    files = sorted(images.glob("*.jpg"))
    files[0].write_bytes(b"no picture")
    files[1].write_bytes(files[1].read_bytes()[:300])
    path = tiny_house / "middle.safetensors"
    told = asked(tiny_house, path, "--images", str(images))
    assert told.exit_code == 0 and told.stderr.count("skipped") == 2
    assert "00.jpg is not a picture" in told.stderr and "01.jpg is damaged" in told.stderr
    for file in files[7:]:
        file.write_bytes(b"")
    error = asked(tiny_house, path, "--images", str(images)).exception
    assert isinstance(error, InvalidRequest) and "5 of 16 pictures can be read" in error.message


def test_a_site_of_no_such_model_is_refused(tiny_house: Path, tmp_path: Path) -> None:
    write(tmp_path / "d.safetensors", tiny_dictionary(24, 24, "all"), "resid_post.9")
    error = asked(tiny_house, tmp_path / "d.safetensors").exception
    assert isinstance(error, DictionaryMisfit | InvalidRequest)
    assert "resid_post.9, a site that this model does not have" in str(error)
