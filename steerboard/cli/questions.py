"""What a person writes of a question on the command line, read: target, tokens, arrays."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from steerboard.spec.errors import InvalidRequest, NotFound

if TYPE_CHECKING:
    from steerboard.spec.requests import Target

TARGETS = "logit, margin, cosine or log_prob, then :class; probe:FILE.npy; unit:SITE:DICT:FEATURE"
DIRECTIONS = "rows of numbers as wide as the site, a .npy file, for units direction"


def read_target(text: str, classes: tuple[str, ...]) -> "Target":
    """``margin:owl:car`` and the like; what is left out is taken from the clean answer."""
    from steerboard.spec.edits import Feature
    from steerboard.spec.requests import ProbeOutput, UnitActivation

    kind, *named = text.split(":")
    if kind == "probe" and any(named):
        return ProbeOutput(weight=row(Path(":".join(named))))
    if kind == "unit" and len(named) == 3 and named[2].isdecimal():
        unit = Feature(dictionary=named[1], index=int(named[2]))
        return UnitActivation(site=named[0], unit=unit)
    if kind in REMEDIES:
        raise InvalidRequest(f"{text!r} leaves something out: {REMEDIES[kind]}", field="target")
    return of_classes(text, kind, [index_of(name, classes) for name in named])


REMEDIES = {
    "probe": "write probe:FILE.npy, a row of numbers as long as the model's embedding",
    "unit": "write unit:SITE:DICTIONARY:FEATURE, such as unit:resid_post.5:last:12",
}


def of_classes(text: str, kind: str, indices: list[int]) -> "Target":
    """A target that names up to two classes; raises InvalidRequest."""
    from steerboard.spec.requests import Cosine, Logit, LogProb, Margin

    if kind == "margin" and len(indices) <= 2:
        first, second, *_ = [*indices, None, None]
        return Margin(index=first, against=second)
    index = indices[0] if indices else None
    match kind, len(indices) < 2:
        case "logit", True:
            return Logit(index=index)
        case "cosine", True:
            return Cosine(index=index)
        case "log_prob", True:
            return LogProb(index=index)
    raise InvalidRequest(
        f"{text!r} is no target: write margin, margin:CLASS:CLASS, logit:CLASS, cosine:CLASS,"
        " log_prob:CLASS, probe:FILE.npy or unit:SITE:DICTIONARY:FEATURE",
        field="target",
    )


def index_of(name: str, classes: tuple[str, ...]) -> int:
    """A class by name or number."""
    if name in classes:
        return classes.index(name)
    if name.isdecimal() and int(name) < len(classes):
        return int(name)
    raise NotFound(f"there is no class {name!r}; there is {', '.join(classes)}", field="target")


def read_tokens(text: str) -> dict[str, Any]:
    """``all``, ``prefix``, or patches such as ``0,1;0,2``."""
    if text in ("all", "prefix"):
        return {"kind": text}
    try:
        cells = [tuple(int(n) for n in cell.split(",")) for cell in text.split(";")]
    except ValueError:
        cells = [()]
    if any(len(cell) != 2 for cell in cells):
        raise InvalidRequest(
            f"{text!r} names no tokens: write all, prefix, or patches as row,column;row,column",
            field="tokens",
        )
    return {"kind": "patches", "cells": cells}


def row(path: Path) -> Any:
    """One row of numbers; raises InvalidRequest."""
    found = array(path)
    if len(found.shape) != 1:
        raise InvalidRequest(
            f"{path} holds numbers of shape {list(found.shape)}: a probe is one row", field="target"
        )
    return found


def array(path: Path) -> Any:
    """Numbers of a .npy file."""
    import numpy as np
    from pydantic import ValidationError

    from steerboard.spec.attribution_job import first_words
    from steerboard.spec.tensor import Tensor

    try:
        return Tensor.of(np.load(path, allow_pickle=False).astype(np.float32))
    except ValidationError as error:
        raise InvalidRequest(f"{path} does not do: {first_words(error)}") from error
    except (OSError, ValueError) as error:
        raise InvalidRequest(f"{path} holds no numbers: {error}") from error
