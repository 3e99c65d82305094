"""``steerboard dictionary convert`` as a person runs it."""

import json
import subprocess
import sys
from pathlib import Path

import torch
from made import patchsae_pickled, saelens_gated

from steerboard.dictionary.native import read


def steerboard(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "steerboard.cli", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_writes_our_own_file_and_says_what_it_is(tmp_path: Path) -> None:
    made = saelens_gated(tmp_path)
    target = tmp_path / "d.safetensors"
    done = steerboard("dictionary", "convert", made.path, target)
    assert done.returncode == 0, done.stderr
    assert (
        "gated from SAELens, 24 features of width 6, at resid_post.1 on all tokens" in done.stdout
    )
    assert read(target).header.facts["hook"] == "blocks.1.hook_resid_post"
    again = steerboard("dictionary", "convert", made.path, target)
    assert again.returncode == 1 and "is there already" in again.stderr


def test_names_the_hint_that_is_missing(tmp_path: Path) -> None:
    made = patchsae_pickled(tmp_path)
    target = tmp_path / "d.safetensors"
    refused = steerboard("dictionary", "convert", made.path, target)
    assert refused.returncode == 1 and not target.exists()
    assert "counts blocks from the end (-2)" in refused.stderr and "site:" in refused.stderr
    hints = "--site", "resid_post.10", "--tokens", "all"
    done = steerboard("dictionary", "convert", made.path, target, *hints)
    assert done.returncode == 0, done.stderr
    assert read(target).header.site == "resid_post.10"


def test_settings_in_a_file_elsewhere(tmp_path: Path) -> None:
    rows = {
        "encoder.final_block.0.weight": torch.randn(8, 3),
        "dictionary._weights": torch.randn(8, 3),
    }
    torch.save(rows, tmp_path / "oc.pt")
    side = tmp_path / "settings.json"
    side.write_text(json.dumps({"arch": "topk", "top_k": 2, "normalization": "l2"}))
    convert = "dictionary", "convert", tmp_path / "oc.pt", tmp_path / "d.safetensors"
    hints = "--site", "resid_post.3", "--tokens", "patches"
    refused = steerboard(*convert, *hints)
    assert refused.returncode == 1 and "side-car" in refused.stderr
    done = steerboard(*convert, *hints, "--sidecar", side)
    assert done.returncode == 0 and "topk from Overcomplete" in done.stdout
