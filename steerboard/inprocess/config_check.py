"""Everything in a ``steerboard.yaml`` that can be told without loading a model.

Of dictionaries of our own format the header is read; those of other projects are read whole, since
only then is known whether their settings and hints suffice.
"""

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from safetensors import safe_open
from yaml.nodes import Node

from steerboard.dictionary.formats import own_file
from steerboard.dictionary.native import KEY, Header, parse_header
from steerboard.images.image_set import open_named
from steerboard.images.indexed import read_all
from steerboard.images.picture import Broken, Picture
from steerboard.inprocess.config import (
    CalibrationConfig,
    Config,
    DictionaryConfig,
    ImageSetConfig,
    ModelConfig,
    calibration_pictures,
    dictionary_file,
    parse,
    read_prompts,
)
from steerboard.inprocess.config_places import Fault, locate
from steerboard.model.find import check_architecture, find, is_architecture, is_tag, located
from steerboard.model.probes import check_fits, read_probe
from steerboard.spec.errors import SteerboardError

OPEN_CLIP = "open_clip_config.json"
NAMED = 3  # missing pictures that are named


@dataclass(frozen=True)
class Stream:
    """Width and blocks of a model's residual stream, as its folder says."""

    width: int
    blocks: int


def check(path: Path) -> list[Fault]:
    """Every fault of form, every file that is missing, every dictionary that cannot fit."""
    text = path.read_text()
    config, faults = parse(text)
    if config is None:
        return faults
    return sorted(Checker(yaml.compose(text, Loader=yaml.SafeLoader), path.parent).whole(config))


class Checker:
    """Goes through a valid configuration; faults are found at the lines of ``tree``."""

    def __init__(self, tree: Node | None, base: Path) -> None:
        self.tree, self.base = tree, base

    def whole(self, config: Config) -> Iterator[Fault]:
        """All of it."""
        for name, model in config.models.items():
            yield from self.model(("models", name), model)
        for name, images in config.image_sets.items():
            yield from self.image_set(("image_sets", name), images)

    def at(self, *path: str) -> Callable[[str], Fault]:
        """What makes faults of a field out of sentences."""
        return lambda message: locate(self.tree, path, message)

    def model(self, path: tuple[str, ...], model: ModelConfig) -> Iterator[Fault]:
        """One model and what hangs on it."""
        place = self.base / model.path
        if not place.exists() and not is_tag(model.path):
            yield self.at(*path, "path")(
                f"{model.path} is not there, and is no tag of open_clip (hf-hub:OWNER/NAME or"
                " ARCHITECTURE/TAG)"
            )
        elif place.is_file() and model.architecture and not is_architecture(model.architecture):
            yield from self.tried(
                self.at(*path, "architecture"), lambda: check_architecture(model.architecture)
            )
        else:
            yield from self.tried(
                self.at(*path, "path"),
                lambda: find(located(self.base, model.path), model.architecture),
            )
        stream = stream_of(place)
        for name, dictionary in model.dictionaries.items():
            yield from self.dictionary((*path, "dictionaries", name), dictionary, stream)
        yield from self.calibration((*path, "calibration"), model.calibration)
        if model.prompts:
            yield from self.tried(
                self.at(*path, "prompts"), lambda: read_prompts(self.base / model.prompts)
            )
        if model.probe:
            yield from self.tried(
                self.at(*path, "probe"), lambda: fitting_probe(self.base / model.probe, place)
            )

    def dictionary(
        self, path: tuple[str, ...], dictionary: DictionaryConfig, stream: Stream | None
    ) -> Iterator[Fault]:
        """A dictionary's file, what it says and what is said of it, its width and site."""
        said, place = self.at(*path, "path"), self.base / dictionary.path
        if not place.exists():
            yield said(f"{dictionary.path} is not there")
            return
        if dictionary.sidecar and not (self.base / dictionary.sidecar).is_file():
            yield self.at(*path, "sidecar")(f"{dictionary.sidecar} is not there")
            return
        try:
            header = header_of(place)
            if header is None:
                header = dictionary_file(dictionary, self.base).header
        except SteerboardError as error:
            yield said(error.message)
            return
        except ValueError as error:
            yield said(f"{dictionary.path} has a header that cannot be read: {error}")
            return
        for field in ("site", "tokens"):
            asked, own = getattr(dictionary, field), getattr(header, field)
            if asked and asked != own:
                yield self.at(*path, field)(f"the file says {own}, not {asked}: leave this out")
        if stream is not None:
            yield from map(said, misfits(header, stream))

    def calibration(self, path: tuple[str, ...], config: CalibrationConfig) -> Iterator[Fault]:
        """The pictures that the gate will ask for, each decoded; of a manifest its folder first."""
        said, images = self.at(*path, "manifest" if config.manifest else "images"), config.images
        if config.manifest and images and "://" not in images and not (self.base / images).is_dir():
            yield self.at(*path, "images")(f"{images} is no folder that is there")
            return
        try:
            found, more = calibration_pictures(config, self.base, decode=True)
        except SteerboardError as error:
            at_split = error.field == "split" and config.split
            yield (self.at(*path, "split") if at_split else said)(error.message)
            return
        except OSError as error:
            yield said(f"{config.manifest or images} cannot be read: {error}")
            return
        yield from self.unreadable(said, [*found, *more])

    def image_set(self, path: tuple[str, ...], config: ImageSetConfig) -> Iterator[Fault]:
        """A set in any form: every picture is read and decoded, as the job door will."""
        said = self.at(*path, "manifest" if config.manifest else "images")
        try:
            source = open_named(self.base, config.images, config.manifest)
            yield from self.unreadable(said, (found for _, found in read_all(source.entries())))
        except SteerboardError as error:
            yield said(error.message)
        except OSError as error:
            yield said(f"{config.manifest or config.images} cannot be read: {error}")

    @staticmethod
    def unreadable(
        said: Callable[[str], Fault], found: Iterable[Picture | Broken]
    ) -> Iterator[Fault]:
        """Those of some pictures that cannot be read, counted, and the first of them by name."""
        broken, count = list[Broken](), 0
        for count, one in enumerate(found, 1):  # noqa: B007 - read below
            broken += [one] if isinstance(one, Broken) else []
        if broken:
            named = "; ".join(f"{b.key}: {b.why}" for b in broken[:NAMED])
            more = "; ..." if len(broken) > NAMED else ""
            yield said(f"{len(broken)} of {count} pictures cannot be read: {named}{more}")

    @staticmethod
    def tried(said: Callable[[str], Fault], read: Callable[[], object]) -> Iterator[Fault]:
        """The fault that reading a file raises, if it does."""
        try:
            read()
        except SteerboardError as error:
            yield said(error.message)


def header_of(path: Path) -> Header | None:
    """The header of a dictionary of our own format, its tensors unread; None for other formats.

    Raises:
        DictionaryMisfit: A folder of several dictionaries, or of a training that has not ended.
        ValueError: A header that cannot be read.
    """
    own = own_file(path)
    if own is None:
        return None
    with safe_open(own, "pt") as file:
        return parse_header(file.metadata()[KEY])


def stream_of(folder: Path) -> Stream | None:
    """Of a folder in open_clip's layout with its own transformer; None where it is another."""
    try:
        record: Any = json.loads((folder / OPEN_CLIP).read_text())
        vision = record.get("model_cfg", record)["vision_cfg"]
        if "timm_model_name" in vision or not isinstance(vision["layers"], int):
            return None
        return Stream(int(vision["width"]), int(vision["layers"]))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def fitting_probe(path: Path, model: Path) -> None:
    """Read a probe and hold it to the width that the model's folder states, if it does.

    Raises:
        NotFound: No such file.
        InvalidRequest: No probe, or one of another width.
    """
    probe = read_probe(path)
    width = embedding_width(model)
    if width is not None:
        check_fits(probe, width)


def embedding_width(folder: Path) -> int | None:
    """Of a folder in open_clip's layout; None where it is another."""
    try:
        record: Any = json.loads((folder / OPEN_CLIP).read_text())
        return int(record.get("model_cfg", record)["embed_dim"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def misfits(header: Header, stream: Stream) -> Iterator[str]:
    """Why a dictionary cannot belong to a model, by numbers alone."""
    kind, _, number = header.site.partition(".")
    if number.isdecimal() and int(number) >= stream.blocks:
        yield f"it belongs to {header.site}, and this model has {stream.blocks} blocks"
    elif kind.startswith("resid") and header.d_in != stream.width:
        yield f"it is {header.d_in} wide, {header.site} of this model is {stream.width} wide"
