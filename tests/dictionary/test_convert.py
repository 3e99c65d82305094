"""``steerboard dictionary convert`` as a person runs it."""

import json
import subprocess
import sys
from pathlib import Path

import torch
from made import patchsae_pickled, saelens_gated
from typer.testing import CliRunner, Result

from steerboard.cli import app
from steerboard.dictionary.native import read


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
