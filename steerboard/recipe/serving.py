"""A model folder as a Runner beside the one that is configured, to compare the two."""

from pathlib import Path

from steerboard.inprocess.config import ModelConfig
from steerboard.inprocess.runner import LocalRunner
from steerboard.inprocess.served import serve


def serve_folder(name: str, folder: Path, like: ModelConfig, base: Path) -> LocalRunner:
    """The model of ``folder`` under ``name``, with the prompts of ``like``.

    Dictionaries are left out: they belong to the weights that they were trained on.
    """
    # Without dictionaries calibration only tells token norms, which plain answers do not need.
    few = like.calibration.model_copy(update={"count": 8})
    changes = {"path": str(folder.resolve()), "dictionaries": {}, "calibration": few}
    config = like.model_copy(update=changes)
    return LocalRunner({name: serve(name, config, base, "")})
