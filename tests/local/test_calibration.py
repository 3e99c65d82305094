"""What was measured once is not measured again, and a misfit never gets through."""

import shutil
from pathlib import Path

import pytest
import torch

import steerboard
from steerboard.dictionary.native import write
from steerboard.dictionary.sae import Sae
from steerboard.inprocess import calibration
from steerboard.spec.errors import DictionaryMisfit, InvalidRequest, NotFound


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
