"""``steerboard.yaml``: which models, dictionaries and image sets are served."""

import json
from itertools import islice
from pathlib import Path

import yaml
from pydantic import Field, ValidationError, model_validator

from steerboard.dictionary.formats import Hints, read
from steerboard.dictionary.native import DictionaryFile
from steerboard.images.image_set import open_named, read_entry
from steerboard.images.picture import Broken, Entry, Picture
from steerboard.inprocess.config_places import Fault, duplicates, locate
from steerboard.spec.base import Spec
from steerboard.spec.capabilities import TokenSet
from steerboard.spec.errors import InvalidRequest, NotFound


class DictionaryConfig(Spec):
    """Where a dictionary is, and what its file may not say itself.

    Files of Steerboard's own format say everything; see ``steerboard dictionary convert``.
    """

    path: str = Field(min_length=1, description="file or folder, of any format that is read")
    site: str = Field(default="", description="such as resid_post.9, where the file is silent")
    tokens: TokenSet | None = Field(
        default=None, description="prefix, patches or all, where the file is silent"
    )
    sidecar: str = Field(
        default="", description="JSON or YAML of settings that a format keeps outside its weights"
    )


class ImageSetConfig(Spec):
    """A set of pictures, in any of the forms that ``steerboard.images`` reads."""

    images: str = Field(
        default="",
        description="folder, folder per class, table, tar, folder of tars or Hugging Face folder,"
        " a path or a URL; beside a manifest, the folder that its paths start from",
    )
    manifest: str = Field(
        default="", description="JSON lines, CSV or Parquet with path, split, group, label"
    )

    @model_validator(mode="after")
    def _somewhere(self) -> "ImageSetConfig":
        if not self.images and not self.manifest:
            raise ValueError("say where the pictures are: images, or manifest, or both")
        return self


class CalibrationConfig(ImageSetConfig):
    """The pictures on which sites are measured and dictionaries are tried."""

    split: str = Field(default="", description="pictures of this split only; empty takes all")
    count: int = Field(default=400, ge=8, le=10_000, description="pictures, evenly from the split")


class ModelConfig(Spec):
    """One model with its dictionaries."""

    path: str = Field(
        min_length=1,
        description="folder of open_clip or of Hugging Face's CLIPModel, file of weights,"
        " hf-hub:OWNER/NAME, or ARCHITECTURE/TAG of open_clip",
    )
    architecture: str = Field(
        default="", description="open_clip's name of what a lone file of weights belongs to"
    )
    dictionaries: dict[str, DictionaryConfig] = Field(default_factory=dict)
    calibration: CalibrationConfig
    prompts: str = Field(default="", description="JSON with classes and a template, to begin with")
    probe: str = Field(
        default="", description="safetensors of a linear probe, to begin with in place of prompts"
    )

    @model_validator(mode="after")
    def _one_classifier(self) -> "ModelConfig":
        if self.prompts and self.probe:
            raise ValueError("a model begins with prompts or with a probe: leave one of them out")
        return self


class Config(Spec):
    """The whole file; paths are relative to it."""

    models: dict[str, ModelConfig] = Field(min_length=1)
    image_sets: dict[str, ImageSetConfig] = Field(default_factory=dict)
    catalogue: str = Field(default="", description="folder of what is known of each feature")


def read_config(path: Path) -> tuple[Config, Path]:
    """The validated file and the folder that its paths start from; ``path`` may be the folder.

    Raises:
        NotFound: No such file.
        InvalidRequest: What is wrong in it, each fault with its line and field.
    """
    path = config_file(path)
    config, faults = parse(path.read_text())
    if config is None:
        said = "; ".join(map(str, faults))
        raise InvalidRequest(f"{path} is not valid: {said}")
    return config, path.parent


def config_file(path: Path) -> Path:
    """The file itself, where the folder that holds it may be named; raises NotFound."""
    path = path / "steerboard.yaml" if path.is_dir() else path
    if not path.is_file():
        raise NotFound(f"{path} is missing: name a steerboard.yaml or a folder that holds one")
    return path


def parse(text: str) -> tuple[Config | None, list[Fault]]:
    """The file's text as a configuration, or every fault of its form with line and field."""
    try:
        tree = yaml.compose(text, Loader=yaml.SafeLoader)
        value = yaml.safe_load(text)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        return None, [Fault(line, column, "", f"no YAML: {error.problem or error.context}")]
    except yaml.YAMLError as error:
        return None, [Fault(1, 1, "", f"no YAML: {error}")]
    faults = duplicates(tree)
    try:
        config = Config.model_validate(value)
    except ValidationError as error:
        faults += [locate(tree, e["loc"], e["msg"], e["type"]) for e in error.errors()]
    return (None if faults else config), sorted(faults)


def calibration_pictures(
    config: CalibrationConfig, base: Path, decode: bool = False
) -> tuple[list[Picture | Broken], list[Broken]]:
    """Every n-th picture of the split, ``count`` of them, each with its bytes or why it has none.

    And what the set names that is no picture, whatever its split. The set is gone through twice,
    once to count.

    Args:
        config: Which set.
        base: The folder that paths start from.
        decode: Try each picture whole.

    Raises:
        NotFound: There is no such set.
        Unavailable: It cannot be reached.
        InvalidRequest: It is none, or holds no picture of the split.
    """
    source, broken, size = open_named(base, config.images, config.manifest), list[Broken](), 0
    for entry in source.entries():
        if isinstance(entry, Broken):
            broken.append(entry)
        else:
            size += config.split in ("", entry.split)
    if not size:
        place = config.manifest or config.images
        raise InvalidRequest(
            f"calibration: no picture of split {config.split!r} in {place}", field="split"
        )
    step = max(1, size // config.count)
    fitting = (
        entry
        for entry in source.entries()
        if isinstance(entry, Entry) and config.split in ("", entry.split)
    )
    wanted = islice(fitting, 0, step * config.count, step)
    return [read_entry(entry, decode) for entry in wanted], broken


def dictionary_file(config: DictionaryConfig, base: Path) -> DictionaryFile:
    """The dictionary, with what the configuration says of it; raises what ``formats.read`` does."""
    sidecar = base / config.sidecar if config.sidecar else None
    return read(base / config.path, Hints(config.site, config.tokens, sidecar))


def read_prompts(path: Path) -> tuple[tuple[str, ...], str]:
    """Class names and template of a JSON file ``{"template": ..., "classes": [...]}``.

    Raises:
        NotFound: No such file.
        InvalidRequest: Another content.
    """
    if not path.is_file():
        raise NotFound(f"{path} is missing: prompts are a JSON file with classes and a template")
    try:
        record = json.loads(path.read_text())
        return tuple(map(str, record["classes"])), str(record.get("template", "{}"))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InvalidRequest(
            f'{path} is not of the form {{"template": "a photo of a {{}}", "classes": [..]}}:'
            f" {error!r}"
        ) from error
