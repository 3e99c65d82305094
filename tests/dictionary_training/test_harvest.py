"""From picture files to rows: nothing is lost, and what cannot be read is named."""

import json
import shutil
from pathlib import Path

import pytest
import torch

from steerboard.dictionary.training.harvest import harvest, read_site
from steerboard.dictionary.training.pictures import find_pictures
from steerboard.dictionary.training.plan import Plan
from steerboard.dictionary.training.run import Pictures, choose, train
from steerboard.model.load import LoadedModel, load
from steerboard.spec.errors import InvalidRequest, NotFound


@pytest.fixture(scope="module")
def model(tiny_house: Path) -> LoadedModel:
    return load(tiny_house / "model")


def test_rows_are_those_of_a_whole_pass_and_broken_files_are_named(
    model: LoadedModel, tiny_house: Path, tmp_path: Path
) -> None:
    files = find_pictures(tiny_house / "images")
    (tmp_path / "broken.jpg").write_bytes(b"no picture")
    store = harvest(model, "resid_post.1", "all", [*files, tmp_path / "broken.jpg"], tmp_path / "s")
    (broken,) = store.record["broken"]
    assert "broken.jpg" in broken and store.record["pictures"] == 16
    pixels = torch.stack([model.pixels(path.read_bytes()) for path in files])
    seen: dict[str, torch.Tensor] = {}
    with torch.inference_mode():
        model.tower.run(model.tower.start(pixels), 0, lambda s, x: seen.setdefault(s, x))
    assert torch.equal(read_site(model.tower, pixels, "resid_post.1"), seen["resid_post.1"])
    for part, rows in (
        ("prefix", seen["resid_post.1"][:, :1]),
        ("patches", seen["resid_post.1"][:, 1:]),
    ):
        ours = store.sample(part, 10_000)
        want = rows.flatten(0, 1).half().float()
        assert sorted(ours.sum(1).tolist()) == pytest.approx(sorted(want.sum(1).tolist()))


def test_a_site_that_is_not_there_and_pictures_that_are_none_are_refused(
    model: LoadedModel, tmp_path: Path
) -> None:
    with pytest.raises(InvalidRequest, match=r"no site 'resid_post\.9'"):
        harvest(model, "resid_post.9", "all", [], tmp_path / "s")
    (tmp_path / "a.jpg").write_bytes(b"")
    with pytest.raises(InvalidRequest, match=r"none of 1 pictures.*a\.jpg"):
        harvest(model, "resid_post.1", "all", [tmp_path / "a.jpg"], tmp_path / "s")


def test_folders_folders_of_classes_and_manifests(tiny_house: Path, tmp_path: Path) -> None:
    images = tmp_path / "images"
    shutil.copytree(tiny_house / "images", images / "cats")
    assert len(find_pictures(images)) == 16
    assert len(find_pictures(images / "cats" / "manifest.jsonl", "validation")) == 16
    with pytest.raises(NotFound, match="no picture of split 'x'"):
        find_pictures(images / "cats", "x")
    with pytest.raises(InvalidRequest, match="has no manifest"):
        find_pictures(images, "validation")
    (images / "bad.jsonl").write_text('{"path": "a"}\n{"x": 1}\n')
    with pytest.raises(InvalidRequest, match="line 2"):
        find_pictures(images / "bad.jsonl")


class Watcher:
    def harvested(self, done: int, pictures: int) -> None:
        assert done <= pictures

    def stepped(self, tick: object) -> None:
        pass


def test_from_pictures_to_a_report(model: LoadedModel, tiny_house: Path, tmp_path: Path) -> None:
    pictures = choose(tiny_house / "images", "", "", 0.2)
    assert not set(pictures.training) & set(pictures.held_out)
    plan = Plan(size=48, k=8, steps=20, batch=64, views=2)
    report = train(model, "resid_post.1", pictures, plan, tmp_path / "out", Watcher())
    assert report is not None
    assert {q.tokens for q in report.quality} == {"prefix", "patches"}
    told = json.loads((tmp_path / "out" / "report.json").read_text())
    assert told["together"]["explained_variance"] == report.together.explained_variance
    assert (tmp_path / "out" / "report.png").read_bytes()[:4] == b"\x89PNG"
    with pytest.raises(InvalidRequest, match="add --resume"):
        train(model, "resid_post.1", pictures, plan, tmp_path / "out", Watcher())
    fewer = Pictures(pictures.training[:3], pictures.held_out)
    with pytest.raises(InvalidRequest, match="activations are others"):
        train(model, "resid_post.1", fewer, plan, tmp_path / "out", Watcher(), resume=True)
