"""``make emojiland`` at a thousandth of its size: every stage from nothing to the table."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from demo.emojiland.draw import FONT
from steerboard.dictionary.native import read
from steerboard.inprocess.config import read_config
from steerboard.model.load import load

SHIPPED = Path(__file__).parents[2] / "demo"
pytestmark = pytest.mark.timeout(900)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if not Path(FONT).is_file() and not os.environ.get("STEERBOARD_REQUIRE_ALL"):
        pytest.skip("Emojiland is drawn with Debian's fonts-noto-color-emoji")
    folder = tmp_path_factory.mktemp("emojiland")
    command = [sys.executable, "-m", "demo.emojiland.build", "--share", "0.002"]
    places = ["--out", str(folder / "demo"), "--cache", str(folder / "cache")]
    subprocess.run([*command, *places], check=True, timeout=900, cwd=SHIPPED.parent)
    return folder / "demo"


def manifest(folder: Path) -> dict[str, dict[str, object]]:
    lines = (folder / "images/manifest.jsonl").read_text().splitlines()
    return {row["path"]: row for row in map(json.loads, lines)}


def test_scenes_and_pictures_are_the_shipped_ones(built: Path) -> None:
    own, shipped = manifest(built), manifest(SHIPPED)
    assert len(own) == 128
    assert own == {path: shipped[path] for path in own}
    for path in own:
        pair = [np.asarray(Image.open(f / "images" / path), np.float32) for f in (built, SHIPPED)]
        assert np.abs(pair[0] - pair[1]).mean() < 2, path


def test_what_is_trained_has_the_form_of_what_is_shipped(built: Path) -> None:
    ours, theirs = load(built / "model"), load(SHIPPED / "model")
    assert ours.architecture == theirs.architecture
    assert ours.fingerprint != theirs.fingerprint
    for name in ("middle", "last"):
        header, shipped = (
            read(f / f"dictionaries/{name}.safetensors").header for f in (built, SHIPPED)
        )
        assert header.model_copy(update={"training": {}}) == shipped.model_copy(
            update={"training": {}}
        )


def test_the_folder_can_be_served_as_it_is(built: Path) -> None:
    config, base = read_config(built)
    (model,) = config.models.values()
    named = [model.path, model.prompts, model.calibration.manifest]
    named += [dictionary.path for dictionary in model.dictionaries.values()]
    assert all((base / path).exists() for path in named)
    assert (built / "classes.json").read_text() == (SHIPPED / "classes.json").read_text()
