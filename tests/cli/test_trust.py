"""``steerboard trust`` and the report of ``steerboard attribute --trust``, over the tiny house."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from steerboard.analysis.trust import trust, trust_of_set
from steerboard.cli import app
from steerboard.cli.evidence import opened
from steerboard.inprocess.runner import LocalRunner, open_local
from steerboard.spec.errors import BadImage, InvalidRequest, NotFound
from steerboard.spec.requests import Attribute, Encoded

FIGURES = ("spearman", "sign", "slope", "overlap")
CURVES = ("deletion", "insertion", "deletion_dropped", "insertion_dropped")


@pytest.fixture
def runner(tiny_house: Path) -> Iterator[LocalRunner]:
    found = open_local(tiny_house, "")
    yield found
    found.close()


def ask(command: str, what: Path | str, house: Path, *options: str) -> Any:
    return CliRunner().invoke(app, [command, str(what), "--config", str(house), *options])


def asked(runner: LocalRunner, path: Path) -> Attribute:
    info = runner.models()[0]
    return Attribute(
        model=info.id,
        images=(Encoded(data=path.read_bytes()),),
        classifier=info.classifier or pytest.fail("no classes"),
        dictionary="middle",
        top_k=20,
    )


def test_a_picture_comes_with_the_report_of_the_library(
    tiny_house: Path, runner: LocalRunner
) -> None:
    picture = tiny_house / "images" / "00.jpg"
    found = ask("attribute", picture, tiny_house, "--trust", "--json", "--top", "3")
    said, truth = json.loads(found.stdout)["trust"], trust(runner, asked(runner, picture))
    for name in FIGURES:
        assert said[name] == pytest.approx(getattr(truth, name), rel=1e-3)
    assert set(said["areas"]) == set(truth.curves)
    for ranking, areas in said["areas"].items():
        exact = [truth.curves[ranking].area(name) for name in CURVES]
        assert [areas[name] for name in CURVES] == pytest.approx(exact, rel=1e-3, abs=1e-4)
    table = ask("attribute", picture, tiny_house, "--trust", "--top", "3").stdout
    assert f"Spearman: {truth.spearman:.2f}" in table and "integrated gradients" in table


@pytest.fixture
def pictures(tiny_house: Path, tmp_path: Path) -> Path:
    """Three pictures, the first of them twice, and one that is none."""
    for i in range(3):
        shutil.copy(tiny_house / "images" / f"0{i}.jpg", tmp_path)
    shutil.copy(tmp_path / "00.jpg", tmp_path / "03.jpg")
    (tmp_path / "bad.jpg").write_bytes(b"no picture")
    return tmp_path


def test_a_set_is_told_by_medians_and_bad_pictures_are_counted(
    tiny_house: Path, runner: LocalRunner, pictures: Path
) -> None:
    found = ask("trust", pictures, tiny_house, "--json")
    said = json.loads(found.stdout)
    truth = trust_of_set(runner, [asked(runner, pictures / f"0{i}.jpg") for i in range(3)])
    assert (said["images"], said["of"], said["duplicates"]) == (3, 5, 1)
    assert [bad["picture"] for bad in said["bad"]] == ["bad.jpg"] and said["bad"][0]["why"]
    for name in FIGURES:
        assert said[name] == pytest.approx(getattr(truth, name), rel=1e-3)
    for ranking, areas in truth.areas.items():
        assert said["areas"][ranking] == pytest.approx(areas, rel=1e-3, abs=1e-4)
    table = ask("trust", pictures, tiny_house).stdout
    assert "medians over 3 pictures" in table and "1 could not be read: left out" in table


def test_some_pictures_are_drawn_the_same_ones_for_a_seed(tiny_house: Path) -> None:
    images = tiny_house / "images"
    said = [
        json.loads(ask("trust", images, tiny_house, "--json", "--count", "2", *seed).stdout)
        for seed in ((), (), ("--seed", "1"))
    ]
    assert said[0] == said[1] != said[2]
    assert (said[0]["images"], said[0]["of"]) == (2, 16)
    heading = ask("trust", images, tiny_house, "--count", "2").stdout
    assert "medians over 2 pictures, drawn from 16" in heading


def test_where_no_picture_can_be_answered_it_is_said_why(tiny_house: Path, tmp_path: Path) -> None:
    (tmp_path / "bad.jpg").write_bytes(b"no picture")
    assert isinstance(ask("trust", tmp_path, tiny_house).exception, BadImage)
    wrong = ask("trust", tiny_house / "images", tiny_house, "--dictionary", "none").exception
    assert "no dictionary" in str(wrong)
    labelled = ask("trust", tiny_house / "images", tiny_house, "--method", "probe").exception
    assert isinstance(labelled, InvalidRequest) and "jobs submit" in labelled.message


def test_opening_is_told_of_before_it_begins(tiny_house: Path, tmp_path: Path) -> None:
    said: list[tuple[str, int, int]] = []

    def tell(*words: Any) -> None:
        said.append(words)

    with pytest.raises(NotFound), opened(tmp_path / "nothing", "", "", tell):
        pass
    assert said == [("opening", 0, 1)]
    with opened(tiny_house, "", "", tell) as runner:
        assert said[1:] == [("opening", 0, 1), ("opening", 1, 1)] and runner.models()
