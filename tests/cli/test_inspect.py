"""``steerboard inspect model`` as a person runs it, and what it says against the model itself."""

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from steerboard.cli import app
from steerboard.model.load import load
from steerboard.model.probes import write_probe
from steerboard.spec.errors import InvalidRequest, NotFound
from steerboard.spec.requests import Probe
from steerboard.spec.tensor import Tensor


def said(*words: str, what: str = "model") -> str:
    run = CliRunner(env={"COLUMNS": "120"}).invoke(app, ["inspect", what, *words])
    if run.exception and not isinstance(run.exception, SystemExit):
        raise run.exception
    assert run.exit_code == 0, run.output
    return run.stdout


def test_the_table_shows_grid_sites_and_what_is_read_behind_them(tiny_house: Path) -> None:
    table = said(str(tiny_house / "model"))
    assert "ViT 24x3, patch 8, 32 x 32" in table and load(tiny_house / "model").fingerprint in table
    assert "1 prefix + 4 x 4 patches; pools prefix" in table
    rows = {
        cells[0]: cells[1:]
        for line in table.splitlines()
        if len(cells := [c.strip() for c in line.strip("│").split("│")]) == 5
    }
    assert rows["head_out.0-1"] == ["24", "17 (4 x 4)", "3", "prefix and patches"]
    assert rows["mlp_post.2"] == ["96", "17 (4 x 4)", "", "prefix"]
    assert rows["embedding"] == ["16", "1", "", "the embedding"]


def test_json_holds_every_site_and_true_sizes(tiny_house: Path) -> None:
    found = json.loads(said(str(tiny_house / "model"), "--json"))
    file = tiny_house / "model" / "open_clip_model.safetensors"
    assert found["bytes"] == 4 * found["parameters"]
    # All but the header of the file are the float32 weights.
    assert 0 <= file.stat().st_size - found["bytes"] < 10_000
    assert [site["name"] for site in found["sites"]][:5] == [
        "resid_pre.0", "head_out.0", "mlp_post.0", "resid_post.0", "resid_pre.1",
    ]  # fmt: skip
    assert len(found["sites"]) == 13 and found["preprocessing"]["mean"] == [0.5] * 3
    heads = [site["name"] for site in found["sites"] if "head" in site["units"]]
    assert heads == ["head_out.0", "head_out.1", "head_out.2"]


def test_an_architecture_is_shown_without_weights() -> None:
    found = json.loads(said("ViT-S-32-alt", "--random", "--json"))
    assert found["fingerprint"] == "" and found["grid"] == [7, 7] and found["blocks"] == 12


def test_a_name_that_is_nothing_is_a_sentence() -> None:
    with pytest.raises(NotFound, match="neither a folder nor a file nor a tag"):
        said("nowhere")


def test_a_probe_is_shown_and_held_to_its_model(tiny_house: Path, tmp_path: Path) -> None:
    for width in (16, 12):
        weight = Tensor.of(np.ones((2, width)))
        probe = Probe(names=("cat", "dog"), weight=weight, bias=Tensor.of(np.zeros(2)))
        write_probe(tmp_path / f"{width}.safetensors", probe)
    model = str(tiny_house / "model")
    shown = said(str(tmp_path / "16.safetensors"), "--model", model, what="probe")
    assert shown.splitlines() == [
        "2 classes over embeddings of 16 numbers: cat, dog",
        "fits ViT 24x3, patch 8, 32 x 32",
    ]
    with pytest.raises(InvalidRequest, match="reads 12 numbers, the model's embeddings have 16"):
        said(str(tmp_path / "12.safetensors"), "--model", model, what="probe")
