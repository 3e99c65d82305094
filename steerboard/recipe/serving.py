"""A model folder as a Runner beside the one that is configured, to compare the two."""

from pathlib import Path

from steerboard.inprocess.config import ModelConfig
from steerboard.inprocess.runner import LocalRunner
from steerboard.inprocess.served import serve


def serve_folder(name: str, folder: Path, like: ModelConfig, base: Path) -> LocalRunner:
    """The model of ``folder`` under ``name``, with the calibration and prompts of ``like``.

    Dictionaries are left out: they belong to the weights that they were trained on.
    """
    config = like.model_copy(update={"path": str(folder.resolve()), "dictionaries": {}})
    return LocalRunner({name: serve(name, config, base, "")})
