"""What was measured once is not measured again, and a misfit never gets through."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import steerboard
from steerboard.dictionary.native import write
from steerboard.dictionary.sae import Sae
from steerboard.images.picture import Picture
from steerboard.inprocess import calibration
from steerboard.inprocess.config import CalibrationConfig, calibration_pictures
from steerboard.spec.digest import image_digest
from steerboard.spec.errors import DictionaryMisfit, InvalidRequest, NotFound
from tests.images.forms import FORMS, as_tar


@pytest.fixture
def house(tiny_house: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("STEERBOARD_MEASURED", str(tmp_path / "cache"))
    return Path(shutil.copytree(tiny_house, tmp_path / "house"))


def random_sae(width: int = 24) -> Sae:
    torch.manual_seed(3)
    return Sae(torch.randn(width, 48), torch.zeros(48), torch.randn(48, width), torch.zeros(width))


def test_a_second_start_reads_what_the_first_measured(
    house: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = steerboard.local(house).model("tiny")
    monkeypatch.setattr(calibration, "measure", None)
    assert steerboard.local(house).model("tiny") == first


@pytest.mark.parametrize("form", FORMS)
def test_a_set_of_any_form_gives_the_pictures_of_its_manifest(
    form: Callable[[Path, Path], str], house: Path, tmp_path: Path
) -> None:
    (tmp_path / "form").mkdir()
    place = form(house, tmp_path / "form")
    of_manifest = {"images": "images", "manifest": "images/manifest.jsonl"}
    for count in (8, 12, 16, 400):
        several: dict[str, Any] = {"split": "validation", "count": count}
        digests = [
            [p.sha256 if isinstance(p, Picture) else p.why for p in found]
            for found, _ in (
                calibration_pictures(CalibrationConfig(**where, **several), house)
                for where in (of_manifest, {"images": place})
            )
        ]
        assert digests[0] == digests[1] and len(digests[0]) == min(count, 16)
        every = [image_digest((house / "images" / f"{i:02d}.jpg").read_bytes()) for i in range(16)]
        assert digests[0] == every[:: 2 if count == 8 else 1][:count]


def test_a_model_is_measured_on_a_set_of_another_form(
    house: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was measured by the manifest is found again, as the pictures are the same."""
    first = steerboard.local(house).model("tiny")
    place, yaml = as_tar(house, tmp_path), house / "steerboard.yaml"
    of_manifest = "{images: images, manifest: images/manifest.jsonl, count: 16}"
    assert of_manifest in yaml.read_text()
    yaml.write_text(yaml.read_text().replace(of_manifest, f"{{images: '{place}', count: 16}}"))
    monkeypatch.setattr(calibration, "measure", None)
    assert steerboard.local(house).model("tiny") == first
    (tmp_path / "shard-1.tar").unlink()
    with pytest.raises(TypeError):  # others are not
        steerboard.local(house)


def test_a_calibration_picture_that_cannot_be_read_is_named(house: Path) -> None:
    (house / "images" / "03.jpg").unlink()
    with pytest.raises(InvalidRequest, match=r"calibration: 03\.jpg: there is no such file"):
        steerboard.local(house)


def test_a_changed_dictionary_is_measured_anew_and_refused_with_numbers(house: Path) -> None:
    steerboard.local(house)
    write(house / "middle.safetensors", random_sae(), "resid_post.1")
    for _ in range(2):
        with pytest.raises(
            DictionaryMisfit, match=r"explained variance -?\d+\.\d+ on prefix \(floor 0.5\)"
        ):
            steerboard.local(house)


def test_wrong_width_and_unknown_site_are_refused(house: Path) -> None:
    write(house / "middle.safetensors", random_sae(20), "resid_post.1")
    with pytest.raises(DictionaryMisfit, match="20 wide"):
        steerboard.local(house)
    write(house / "middle.safetensors", random_sae(), "resid_post.7")
    with pytest.raises(DictionaryMisfit, match="does not have"):
        steerboard.local(house)


def test_a_damaged_cache_is_measured_anew(house: Path, tmp_path: Path) -> None:
    first = steerboard.local(house).model("tiny")
    for file in (tmp_path / "cache").rglob("*.json"):
        file.write_text("{")
    assert steerboard.local(house).model("tiny") == first


def test_a_wrong_configuration_says_what_is_wrong(house: Path, tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="is missing"):
        steerboard.local(tmp_path / "nowhere")
    yaml = house / "steerboard.yaml"
    text = yaml.read_text()
    yaml.write_text(text.split("    calibration")[0])
    with pytest.raises(InvalidRequest, match="calibration"):
        steerboard.local(house)
    yaml.write_text(text + "surprise: 1\n")
    with pytest.raises(InvalidRequest, match="surprise"):
        steerboard.local(house)
    yaml.write_text("models: [")
    with pytest.raises(InvalidRequest, match="not valid"):
        steerboard.local(yaml)
    yaml.write_text(text)
    (house / "middle.safetensors").unlink()
    with pytest.raises(NotFound, match=r"middle\.safetensors"):
        steerboard.local(house)
    (house / "model" / "open_clip_model.safetensors").unlink()
    with pytest.raises(NotFound, match="open_clip_model"):
        steerboard.local(house)
