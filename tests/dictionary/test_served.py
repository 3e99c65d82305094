"""Another project's files behind the whole program: read, gated, served, steered."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from made import saelens_folder, v6

import steerboard as sb
from steerboard.dictionary.native import read
from steerboard.spec.errors import DictionaryMisfit


@pytest.fixture(scope="module")
def house(tiny_house: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny house with its middle dictionary once more, as SAELens and saev would save it."""
    folder = tmp_path_factory.mktemp("foreign") / "house"
    shutil.copytree(tiny_house, folder)
    sae = read(folder / "middle.safetensors").sae
    config = v6("topk", k=24, d_in=24, d_sae=48)
    saelens_folder(folder / "saelens", config, sae.tensors())
    header = {"schema": 1, "cls": "TopK", "cfg": {"d_vit": 24, "top_k": 24}}
    with (folder / "sae.pt").open("wb") as file:
        file.write(json.dumps(header).encode() + b"\n")
        torch.save(sae.tensors(), file)
    written = yaml.safe_load((folder / "steerboard.yaml").read_text())
    written["models"]["tiny"]["dictionaries"] |= {
        "saelens": {"path": "saelens"},
        "saev": {"path": "sae.pt", "site": "resid_post.1", "tokens": "all"},
    }
    (folder / "steerboard.yaml").write_text(yaml.safe_dump(written))
    return folder


def test_codes_and_steering_are_those_of_our_own_file(house: Path) -> None:
    runner = sb.local(house)
    picture = sb.Encoded(data=(house / "images" / "00.jpg").read_bytes())

    def code(dictionary: str) -> np.ndarray:
        asked = sb.Encode(model="tiny", dictionary=dictionary, images=(picture,))
        return runner.encode(asked).results()[0].dense()

    np.testing.assert_array_equal(code("middle"), code("saelens"))
    np.testing.assert_allclose(code("middle"), code("saev"), atol=1e-5)
    feature = int(np.abs(code("middle")).sum(0).argmax())

    def steered(dictionary: str) -> np.ndarray:
        asked = sb.Steer(
            model="tiny",
            images=(picture,),
            classifier=sb.Prompts(prompts=("cat", "dog")),
            steer_sets=(sb.scale("resid_post.1", dictionary, 3, feature),),
        )
        answer = runner.steer(asked).results()[0]
        assert not np.array_equal(answer.clean.logits, answer.steered[0].logits)
        return answer.steered[0].logits

    np.testing.assert_allclose(steered("middle"), steered("saelens"), atol=1e-5)
    np.testing.assert_allclose(steered("middle"), steered("saev"), atol=1e-5)


def test_a_foreign_file_meets_the_same_gate(house: Path, tmp_path: Path) -> None:
    """The right weights with one feature a token rebuild little, and are refused."""
    wrong = tmp_path / "house"
    shutil.copytree(house, wrong)
    path = wrong / "saelens" / "cfg.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"k": 1}))
    with pytest.raises(DictionaryMisfit, match="saelens"):
        sb.local(wrong)
