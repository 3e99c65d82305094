"""``steerboard.yaml``: which models, dictionaries and image sets are served."""

import json
from pathlib import Path

import yaml
from pydantic import Field, ValidationError

from steerboard.spec.base import Spec
from steerboard.spec.errors import InvalidRequest, NotFound


class DictionaryConfig(Spec):
    """Where a dictionary file is."""

    path: str


class CalibrationConfig(Spec):
    """The pictures on which sites are measured and dictionaries are tried."""

    images: str
    manifest: str
    split: str = ""
    count: int = Field(default=400, ge=8, le=10_000)


class ModelConfig(Spec):
    """One model folder with its dictionaries."""

    path: str
    dictionaries: dict[str, DictionaryConfig] = Field(default_factory=dict)
    calibration: CalibrationConfig
    prompts: str = ""


class ImageSetConfig(Spec):
    """A folder of pictures and its manifest."""

    images: str
    manifest: str


class Config(Spec):
    """The whole file; paths are relative to it."""

    models: dict[str, ModelConfig] = Field(min_length=1)
    image_sets: dict[str, ImageSetConfig] = Field(default_factory=dict)
    catalogue: str = ""


def read_config(path: Path) -> tuple[Config, Path]:
    """The validated file and the folder that its paths start from; ``path`` may be the folder."""
    path = path / "steerboard.yaml" if path.is_dir() else path
    if not path.is_file():
        raise NotFound(f"{path} is missing: name a steerboard.yaml or a folder that holds one")
    try:
        return Config.model_validate(yaml.safe_load(path.read_text())), path.parent
    except (yaml.YAMLError, ValidationError) as error:
        raise InvalidRequest(f"{path} is not valid: {error}") from error


def calibration_files(config: CalibrationConfig, base: Path) -> list[Path]:
    """Every n-th picture of the split, ``count`` of them."""
    rows = [
        json.loads(line)
        for line in (base / config.manifest).read_text().splitlines()
        if line.strip()
    ]
    paths = [base / config.images / r["path"] for r in rows if config.split in ("", r.get("split"))]
    if not paths:
        raise InvalidRequest(
            f"calibration: no picture of split {config.split!r} in {config.manifest}"
        )
    step = max(1, len(paths) // config.count)
    return paths[::step][: config.count]


def read_prompts(path: Path) -> tuple[tuple[str, ...], str]:
    """Class names and template of a JSON file ``{"template": ..., "classes": [...]}``."""
    record = json.loads(path.read_text())
    return tuple(record["classes"]), record.get("template", "{}")
