"""``steerboard dictionary convert`` as a person runs it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from made import patchsae_pickled, saelens_gated
from safetensors.torch import save_file
from typer.testing import CliRunner, Result

from steerboard.cli import app
from steerboard.dictionary.native import CHECKPOINT_KEY, read, write
from tests.conftest import tiny_dictionary


def convert(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["dictionary", "convert", *map(str, arguments)])


def test_writes_our_own_file_and_says_what_it_is(tmp_path: Path) -> None:
    made = saelens_gated(tmp_path)
    target = tmp_path / "d.safetensors"
    done = convert(made.path, target)
    told = "gated from SAELens, 24 features of width 6, at resid_post.1 on all tokens"
    assert done.exit_code == 0 and told in done.stdout
    assert read(target).header.facts["hook"] == "blocks.1.hook_resid_post"
    assert "is there already" in str(convert(made.path, target).exception)


def test_names_the_hint_that_is_missing(tmp_path: Path) -> None:
    made = patchsae_pickled(tmp_path)
    target = tmp_path / "d.safetensors"
    refused = str(convert(made.path, target).exception)
    assert "counts blocks from the end (-2)" in refused and "site:" in refused
    assert not target.exists()
    done = convert(made.path, target, "--site", "resid_post.10", "--tokens", "all")
    assert done.exit_code == 0 and read(target).header.site == "resid_post.10"


def test_settings_in_a_file_elsewhere(tmp_path: Path) -> None:
    names = "encoder.final_block.0.weight", "dictionary._weights"
    torch.save({name: torch.randn(8, 3) for name in names}, tmp_path / "oc.pt")
    side = tmp_path / "settings.json"
    side.write_text(json.dumps({"arch": "topk", "top_k": 2, "normalization": "l2"}))
    hints = "--site", "resid_post.3", "--tokens", "patches"
    files = tmp_path / "oc.pt", tmp_path / "d.safetensors"
    assert "side-car" in str(convert(*files, *hints).exception)
    done = convert(*files, *hints, "--sidecar", side)
    assert done.exit_code == 0 and "topk from Overcomplete" in done.stdout


def test_a_refusal_is_a_sentence_and_no_traceback(tmp_path: Path) -> None:
    (tmp_path / "d.pt").write_bytes(b"no weights")
    target = tmp_path / "d.safetensors"
    command = [sys.executable, "-m", "steerboard.cli", "dictionary", "convert"]
    done = subprocess.run(
        [*command, tmp_path / "d.pt", target], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 1 and "d.pt" in done.stderr and "Traceback" not in done.stderr


def checkpoint(folder: Path) -> None:
    """What training writes while it goes on."""
    folder.mkdir(exist_ok=True)
    save_file({"x": torch.zeros(1)}, folder / "checkpoint.safetensors", {CHECKPOINT_KEY: "{}"})


def test_a_folder_of_training_is_its_dictionary_and_not_its_checkpoint(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    checkpoint(folder)
    for unfinished in (folder, folder / "checkpoint.safetensors"):
        refused = str(convert(unfinished, tmp_path / "d.safetensors").exception)
        assert "no dictionary yet" in refused and "--resume" in refused
    write(folder / "dictionary.safetensors", tiny_dictionary(24, 4, "all"), "resid_post.1")
    done = convert(folder, tmp_path / "d.safetensors")
    assert done.exit_code == 0 and "48 features of width 24" in done.stdout
    write(folder / "again.safetensors", tiny_dictionary(24, 4, "all"), "resid_post.1")
    refused = str(convert(folder, tmp_path / "e.safetensors").exception)
    assert "several dictionaries (again.safetensors, dictionary.safetensors): name one" in refused


@pytest.mark.parametrize(
    ("source", "said"),
    [("nowhere", "nowhere is missing"), ("empty", "holds no file of weights")],
)
def test_a_wrong_path_is_named(tmp_path: Path, source: str, said: str) -> None:
    (tmp_path / "empty").mkdir()
    assert said in str(convert(tmp_path / source, tmp_path / "d.safetensors").exception)


def test_a_transcoder_is_refused_by_name(tmp_path: Path) -> None:
    made = saelens_gated(tmp_path)
    record = json.loads((made.path / "cfg.json").read_text()) | {"architecture": "transcoder"}
    (made.path / "cfg.json").write_text(json.dumps(record))
    target = tmp_path / "d.safetensors"
    assert "transcoder" in str(convert(made.path, target).exception) and not target.exists()


def test_a_target_of_another_kind_is_refused(tmp_path: Path) -> None:
    made = saelens_gated(tmp_path)
    refused = str(convert(made.path, tmp_path / "d.pt").exception)
    assert "d.pt must end in .safetensors" in refused
