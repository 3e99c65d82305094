"""Every fault of a steerboard.yaml is found at its line and field, before anything is loaded."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from safetensors.torch import save_file

from steerboard.dictionary.native import read, write
from steerboard.inprocess.config import read_config
from steerboard.inprocess.config_check import check
from steerboard.spec.errors import InvalidRequest
from tests.conftest import tiny_dictionary

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def house(tiny_house: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_house, tmp_path / "house"))


def faults(house: Path, old: str = "", new: str = "") -> list[tuple[int, str, str]]:
    path = house / "steerboard.yaml"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    found = [(f.line, f.field, f.message) for f in check(path)]
    path.write_text(text)
    return found


def line_of(house: Path, text: str) -> int:
    lines = (house / "steerboard.yaml").read_text().splitlines()
    return next(i for i, line in enumerate(lines, 1) if text in line)


@pytest.mark.parametrize("folder", ["", "demo"])
def test_what_is_in_order_has_no_fault(house: Path, folder: str) -> None:
    assert check((ROOT / folder if folder else house) / "steerboard.yaml") == []


@pytest.mark.parametrize(
    ("old", "new", "at", "field", "said"),
    [
        ("    path: model", "    pth: model", "pth", "models.tiny.pth", "Extra inputs"),
        ("    path: model\n", "", "  tiny:", "models.tiny.path", "Field required"),
        ("count: 16", "count: 3", "calibration", "models.tiny.calibration.count", "greater"),
        ("count: 16", "count: many", "calibration", "models.tiny.calibration.count", "integer"),
        ("catalogue: catalogue", "models: {}", "models: {}", "models", "stands twice, first in"),
        ("path: model", "path: elsewhere", "elsewhere", "models.tiny.path", "is not there"),
        ("path: model", "path: images", "path: images", "models.tiny.path", "a model folder holds"),
        ("path: model", "path: ViT-B-32/no", "ViT-B", "models.tiny.path", "no weights 'no' for"),
        ("path: model", "path: classes.json", "classes", "models.tiny.path", "no file of weights"),
        (
            "path: model",
            "path: classes.json\n    architecture: ViT-33",
            "ViT-33",
            "models.tiny.architecture",
            "no architecture 'ViT-33': did you mean",
        ),
        ("classes.json", "klasses.json", "klasses", "models.tiny.prompts", "is missing"),
        ("path: last.", "path: lost.", "lost", "models.tiny.dictionaries.last.path", "not there"),
        ("images: images", "images: img", "img", "models.tiny.calibration.images", "no folder"),
        ("count: 16", "split: none", "none", "models.tiny.calibration.split", "no picture of"),
        (
            "path: last.safetensors",
            "path: last.safetensors, tokens: all",
            "tokens",
            "models.tiny.dictionaries.last.tokens",
            "says prefix, not all",
        ),
    ],
)
def test_a_fault_is_found_at_its_line_and_field(
    house: Path, old: str, new: str, at: str, field: str, said: str
) -> None:
    path = house / "steerboard.yaml"
    changed = path.read_text().replace(old, new, 1)
    want = next(i for i, line in enumerate(changed.splitlines(), 1) if at in line)
    assert [(f[0], f[1]) for f in faults(house, old, new) if said in f[2]] == [(want, field)]


def test_all_faults_come_at_once_in_their_order(house: Path) -> None:
    text = (house / "steerboard.yaml").read_text()
    found = faults(house, text, text.replace("path: m", "path: n").replace("classes", "none"))
    assert [f[1] for f in found] == [
        "models.tiny.path",
        "models.tiny.prompts",
        "models.tiny.dictionaries.middle.path",
    ]


def test_a_dictionary_of_another_width_or_depth_is_told_from_its_header(house: Path) -> None:
    line = line_of(house, "middle:")
    for width, site, said in ((20, "resid_post.1", "20 wide"), (24, "resid_post.7", "3 blocks")):
        write(house / "middle.safetensors", tiny_dictionary(width, 0, "all"), site)
        ((found, field, message),) = faults(house)
        assert (found, field) == (line, "models.tiny.dictionaries.middle.path") and said in message


def test_a_folder_of_two_dictionaries_is_told_before_anything_is_loaded(house: Path) -> None:
    for name in ("a", "b"):
        (house / "two").mkdir(exist_ok=True)
        write(house / "two" / f"{name}.safetensors", tiny_dictionary(24, 0, "all"), "resid_post.1")
    ((_, field, message),) = faults(house, "middle.safetensors", "two")
    assert field.endswith("middle.path") and "a.safetensors, b.safetensors): name one" in message


def test_another_projects_dictionary_is_read_and_what_it_leaves_unsaid_is_asked_for(
    house: Path,
) -> None:
    (house / "sae").mkdir()
    sae = read(house / "middle.safetensors").sae
    save_file(sae.tensors(), house / "sae" / "sae_weights.safetensors")

    def told(**other: object) -> str:
        config = {"architecture": "topk", "k": 24, "d_in": 24, "d_sae": 48, **other}
        (house / "sae" / "cfg.json").write_text(json.dumps(config))
        found = faults(house, "middle.safetensors", "sae")
        assert all(field == "models.tiny.dictionaries.middle.path" for _, field, _ in found)
        return "; ".join(message for *_, message in found)

    assert told(metadata={"hook_name": "blocks.1.hook_resid_post"}) == ""
    assert "Name it, such as site: resid_post.9" in told()
    assert "3 blocks" in told(metadata={"hook_name": "blocks.7.hook_resid_post"})
    assert "k is None" in told(k=None)
    assert "transcoder" in told(architecture="transcoder")


def test_missing_pictures_and_damaged_manifests_are_named(house: Path) -> None:
    (house / "images" / "03.jpg").unlink()
    assert all("1 of 16 pictures" in f[2] and "03.jpg" in f[2] for f in faults(house))
    (house / "images" / "manifest.jsonl").write_text('{"path": "00.jpg"}\n{"path":\n')
    calibration, images = sorted(faults(house))
    assert calibration[1] == "models.tiny.calibration.manifest"
    assert all("1 of 2 pictures" in f[2] and "row 2" in f[2] for f in (calibration, images))


def test_sets_of_any_form_are_checked_picture_by_picture(house: Path) -> None:
    old = "{images: images, manifest: images/manifest.jsonl}\ncatalogue"
    assert faults(house, old, "{images: images}\ncatalogue") == []
    ((_, field, said),) = faults(house, old, "{manifest: none.csv}\ncatalogue")
    assert field == "image_sets.tiny.manifest" and "there is nothing at" in said
    (house / "images" / "05.jpg").write_bytes(b"no picture")
    both = faults(house, old, "{images: images}\ncatalogue")
    calibration, (_, field, said) = sorted(both, key=lambda fault: fault[1], reverse=True)
    assert field == "image_sets.tiny.images" and calibration[2] == said
    assert "1 of 16 pictures cannot be read: 05.jpg: the picture cannot be decoded" in said
    ((_, field, said),) = faults(house, old, "{}\ncatalogue")
    assert field == "image_sets.tiny" and "say where the pictures are" in said


@pytest.mark.parametrize("text", ["", "[]", "models: [", "models: {}", "a: b: c", "\t", "&x *y"])
def test_whatever_stands_there_has_a_line(house: Path, text: str) -> None:
    (house / "steerboard.yaml").write_text(text)
    found = check(house / "steerboard.yaml")
    assert found and all(f.line >= 1 and f.column >= 1 and f.message for f in found)
    with pytest.raises(InvalidRequest, match="line 1"):
        read_config(house)


def test_the_command_prints_places_and_fails(house: Path) -> None:
    value = yaml.safe_load((house / "steerboard.yaml").read_text())
    value["models"]["tiny"]["surprise"] = 1
    (house / "steerboard.yaml").write_text(yaml.safe_dump(value))
    line = line_of(house, "surprise")
    command = [sys.executable, "-m", "steerboard.cli", "check", "config", str(house)]
    told = subprocess.run(command, capture_output=True, text=True)
    assert told.returncode == 1
    assert f"steerboard.yaml:{line}:5: models.tiny.surprise: Extra" in told.stdout
    as_json = subprocess.run([*command, "--json"], capture_output=True, text=True)
    assert [f["field"] for f in json.loads(as_json.stdout)] == ["models.tiny.surprise"]
