"""A house of three models, each with a dictionary of the same name: the third one's is shuffled."""

from pathlib import Path

import numpy as np
from typer.testing import CliRunner, Result

from steerboard.cli import app
from steerboard.dictionary.native import write
from steerboard.dictionary.sae import Sae
from steerboard.spec.errors import SteerboardError
from tests.conftest import tiny_dictionary, tiny_model, tiny_pictures

MODELS = ("one", "same", "two")
ORDER = np.random.default_rng(3).permutation(48)  # of the features of ``two`` those of ``one``


def typed(*words: object) -> Result:
    found = CliRunner().invoke(app, [str(w) for w in words])
    if isinstance(found.exception, SteerboardError):
        raise found.exception
    assert found.exit_code == 0, found.output
    return found


def shuffled(sae: Sae) -> Sae:
    return Sae(
        W_enc=sae.W_enc[:, ORDER].contiguous(),
        b_enc=sae.b_enc[ORDER].contiguous(),
        W_dec=sae.W_dec[ORDER].contiguous(),
        b_dec=sae.b_dec,
        architecture=sae.architecture,
        tokens=sae.tokens,
    )


def three_models(folder: Path) -> Path:
    """Its steerboard.yaml, model, dictionaries and calibration pictures; no catalogue yet."""
    folder.mkdir()
    tiny_model(folder / "model")
    tiny_pictures(folder / "images")
    sae = tiny_dictionary(24, 0, "all")
    write(folder / "plain.safetensors", sae, "resid_post.1")
    write(folder / "shuffled.safetensors", shuffled(sae), "resid_post.1")
    models = "".join(
        f"  {name}:\n    path: model\n    dictionaries:\n      sae: {{path: {file}.safetensors}}\n"
        "    calibration: {images: images, manifest: images/manifest.jsonl, count: 16}\n"
        for name, file in zip(MODELS, ("plain", "plain", "shuffled"), strict=True)
    )
    sets = "image_sets:\n  tiny: {images: images, manifest: images/manifest.jsonl}\n"
    (folder / "steerboard.yaml").write_text(f"models:\n{models}{sets}catalogue: catalogue\n")
    return folder


def catalogued(house: Path, pictures: Path) -> Path:
    """The house with a catalogue of each model's dictionary."""
    for model in MODELS:
        typed(
            "catalogue", "build", "--config", house, "--model", model, "--split", "", "--images",
            pictures / "manifest.jsonl",
        )  # fmt: skip
    return house
