"""Recipes over a dictionary in another project's file: applied, baked, and put to evidence."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from typer.testing import CliRunner

import steerboard as sb
from steerboard.cli import app
from steerboard.dictionary.native import read
from steerboard.recipe.making import make
from steerboard.spec.edits import SteerSet
from steerboard.spec.errors import DictionaryMisfit
from tests.recipe.conftest import CLASSES
from tests.recipe.test_apply import by_model, by_runner


@pytest.fixture(scope="module")
def house(tiny_house: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny house, its middle dictionary as dictionary_learning would have saved it."""
    folder = tmp_path_factory.mktemp("foreign")
    shutil.copytree(tiny_house, folder, dirs_exist_ok=True)
    sae = read(folder / "middle.safetensors").sae
    foreign = folder / "foreign"
    foreign.mkdir()
    state = {
        "encoder.weight": sae.W_enc.T.contiguous(),
        "encoder.bias": sae.b_enc,
        "decoder.weight": sae.W_dec.T.contiguous(),
        "bias": sae.b_dec,
    }
    torch.save(state, foreign / "ae.pt")
    settings = {"trainer": {"dict_class": "AutoEncoder", "activation_dim": 24, "dict_size": 48}}
    (foreign / "config.json").write_text(json.dumps(settings))
    config = yaml.safe_load((folder / "steerboard.yaml").read_text())
    place = {"path": "foreign", "site": "resid_post.1", "tokens": "all"}
    config["models"]["tiny"]["dictionaries"] = {"theirs": place}
    (folder / "steerboard.yaml").write_text(yaml.safe_dump(config))
    return folder


def test_it_is_applied_as_the_runner_applies_it(house: Path, plain: Any) -> None:
    runner = sb.local(house)
    steer = sb.scale("resid_post.1", "theirs", -2.0, 3, 4, 9)
    prompts = sb.Prompts(prompts=CLASSES, template="a {}")
    recipe = make(runner, "theirs", "tiny", steer, prompts)
    # The file does not say where it belongs: the recipe does.
    with sb.apply(plain, recipe, {"theirs": house / "foreign"}) as steered:
        np.testing.assert_allclose(by_model(steered), by_runner(runner, steer), atol=1e-5)
        assert np.abs(by_model(steered) - by_runner(runner, SteerSet())).max() > 1e-3
    with pytest.raises(DictionaryMisfit, match="is not the dictionary theirs"):
        sb.apply(plain, recipe, {"theirs": house / "middle.safetensors"})
    runner.close()


def test_evidence_and_baking_read_it_too(house: Path, tmp_path: Path) -> None:
    def invoke(*words: object) -> Any:
        return CliRunner().invoke(app, [str(w) for w in words], catch_exceptions=False)

    path, on = tmp_path / "a.recipe.json", ("--images", "tiny", "--split", "validation")
    made = invoke(
        "recipe", "make", "less", "-o", path, "--features", "3,4", "--dictionary", "theirs",
        "--m", "-2", "--model", "tiny", "--failing", "label=dog", "--config", house,
    )  # fmt: skip
    assert made.exit_code == 0
    ran = invoke("evidence", "run", path, *on, "--config", house, "--json")
    (moved,) = json.loads(ran.stdout)["downstream"]
    assert {f["source"] for f in moved["forecasts"]} == {"cosine", "coactivation", "both"}
    baked = invoke(
        "recipe", "bake", path, *on, "--report-split", "validation", "--config", house,
        "-o", tmp_path / "new",
    )  # fmt: skip
    assert baked.exit_code == 0 and "R^2" in baked.stdout
