"""``steerboard dictionary train`` as a person runs it, and what it says where it cannot."""

import json
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from steerboard.cli import app
from steerboard.dictionary.formats import read
from steerboard.spec.errors import InvalidRequest, NotFound, SteerboardError


def words(house: Path, out: Path, **other: object) -> list[str]:
    given: dict[str, object] = {
        "model": house / "model",
        "images": house / "images",
        "site": "resid_post.1",
        "width": "2x",
        "k": 4,
        "steps": 30,
        "batch": 64,
        "out": out,
        **other,
    }
    named = {key.replace("_", "-"): str(value) for key, value in given.items() if value != ""}
    return ["dictionary", "train", *(w for key, v in named.items() for w in (f"--{key}", v))]


def refusal(*given: str) -> SteerboardError:
    run = CliRunner().invoke(app, list(given))
    assert isinstance(run.exception, SteerboardError), run.output
    return run.exception


def test_a_dictionary_comes_out_that_the_other_commands_take(
    tiny_house: Path, tmp_path: Path
) -> None:
    out = tmp_path / "trained"
    command = [sys.executable, "-m", "steerboard.cli"]
    done = subprocess.run(
        [*command, *words(tiny_house, out, normalize="layer_norm")],
        capture_output=True, text=True, timeout=240,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "48 features, k = 4" in done.stdout and f"{out}/dictionary.safetensors" in done.stdout
    assert "step 30, L0 4.0" in done.stdout  # the last of the live figures
    report = json.loads((out / "report.json").read_text())
    assert report["steps"] == 30 and {"prefix", "patches"} == {
        q["tokens"] for q in report["quality"]
    }
    header = read(out).header  # the folder itself, with its checkpoint in it
    assert (header.site, header.k, header.normalize) == ("resid_post.1", 4, "layer_norm")
    target = str(tmp_path / "d.safetensors")
    converted = CliRunner().invoke(app, ["dictionary", "convert", str(out), target])
    assert converted.exit_code == 0, converted.exception


def test_more_steps_go_on_from_where_it_stood(tiny_house: Path, tmp_path: Path) -> None:
    def run(*more: str, **other: object) -> Any:
        return CliRunner().invoke(app, [*words(tiny_house, tmp_path / "d", **other), *more])

    assert run().exit_code == 0
    assert "add --resume" in str(run(steps=40).exception)
    assert run("--resume", steps=40).exit_code == 0
    curves = json.loads((tmp_path / "d" / "report.json").read_text())["curves"]
    assert [point[0] for point in curves] == [25, 30, 40]
    assert "k was 4 and is 5" in str(run("--resume", k=5).exception)


@pytest.mark.parametrize(
    ("other", "kind", "said"),
    [
        ({"model": "nowhere"}, NotFound, "nowhere is neither a folder nor a file nor a tag"),
        ({"images": "nowhere"}, NotFound, "nowhere is missing"),
        ({"site": "resid_post.9"}, InvalidRequest, "no site 'resid_post.9'; it has"),
        ({"width": "many"}, InvalidRequest, "--width is 'many'"),
        ({"k": 99}, InvalidRequest, "k is 99, more than the 48 features"),
        ({"architecture": "gated"}, InvalidRequest, "--architecture: "),
        ({"matryoshka": "a,b"}, InvalidRequest, "--matryoshka is 'a,b'"),
        ({"steps": 0}, InvalidRequest, "name --steps or --minutes"),
        ({"split": "train"}, NotFound, "no picture of split 'train'"),
        ({"device": "cuda"}, InvalidRequest, "no CUDA device here: use --device cpu"),
        ({"batch": 0}, InvalidRequest, "--batch: "),
        ({"batch": 10**9}, InvalidRequest, "--batch: "),
        ({"seed": -1}, InvalidRequest, "--seed: "),
        ({"width": "9999999999x"}, InvalidRequest, "smaller --width or --batch"),
    ],
)
def test_what_cannot_be_is_one_sentence(
    tiny_house: Path, tmp_path: Path, other: dict[str, object], kind: type, said: str
) -> None:
    import torch

    if "device" in other and torch.cuda.is_available():
        pytest.skip("there is a CUDA device here")
    error = refusal(*words(tiny_house, tmp_path / "d", **other))
    assert isinstance(error, kind) and said in error.message
    assert not (tmp_path / "d" / "dictionary.safetensors").exists()


def test_ctrl_c_keeps_what_was_trained_and_one_folder_is_one_training(
    tiny_house: Path, tmp_path: Path
) -> None:
    out = tmp_path / "d"
    command = [sys.executable, "-m", "steerboard.cli", *words(tiny_house, out, steps=10**6)]
    running = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    try:
        while not (out / "shards" / "index.json").is_file():  # from then on it trains
            assert running.poll() is None
            time.sleep(0.05)
        for more in ((), ("--resume",)):
            error = refusal(*words(tiny_house, out), *more)
            assert f"another training is at work in {out}" in error.message
        running.send_signal(signal.SIGINT)
        _, said = running.communicate()
    finally:
        running.kill()
    kept = re.search(r"stopped: (\d+) steps are kept, add --resume", said.decode())
    assert running.returncode == 1 and kept, said.decode()
    steps = int(kept[1])
    again = CliRunner().invoke(app, [*words(tiny_house, out, steps=steps + 3), "--resume"])
    assert again.exit_code == 0, again.exception
    assert json.loads((out / "report.json").read_text())["steps"] == steps + 3


def test_a_place_that_cannot_be_written_is_told(tiny_house: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert "file cannot be written" in refusal(*words(tiny_house, tmp_path / "file")).message
    out = tmp_path / "d"
    out.mkdir()
    (out / "report.json").symlink_to("/dev/full")  # the system's own disk without room
    told = refusal(*words(tiny_house, out)).message
    assert "d cannot be written: [Errno 28] No space left on device" in told


def test_a_lone_file_of_weights_wants_its_architecture(tiny_house: Path, tmp_path: Path) -> None:
    lone = tmp_path / "weights.safetensors"
    shutil.copy(next((tiny_house / "model").glob("*.safetensors")), lone)
    asked = words(tiny_house, tmp_path / "d", model=lone)
    assert "name open_clip's architecture too" in refusal(*asked).message
    assert "no architecture 'ViT-33'" in refusal(*asked, "--model-architecture", "ViT-33").message


def test_without_matplotlib_it_says_so_before_it_trains(
    tiny_house: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)  # as where it is not installed
    monkeypatch.delitem(sys.modules, "matplotlib.figure", raising=False)
    error = refusal(*words(tiny_house, tmp_path / "d"))
    assert "pip install 'steerboard[training]'" in error.message
    assert not (tmp_path / "d").exists()
