"""Linear probes on disk: a head over the unit-length image embedding, in place of prompts.

A safetensors file with ``weight [c, e]``, perhaps ``bias [c]``, and the names of the classes as a
JSON list under ``names`` in its metadata; or a file of two such tensors as torch saves a
``Linear`` (keys that end in ``weight`` and ``bias``) with ``NAME.json`` beside it, a list of names
or ``{"names": [...]}``.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file
from torch import Tensor as TorchTensor

from steerboard.spec.errors import InvalidRequest, NotFound
from steerboard.spec.requests import Probe
from steerboard.spec.tensor import Tensor

# Raised whenever what a file says changes its meaning.
SCHEMA = 1


def read_probe(path: Path) -> Probe:
    """The probe of a file.

    Raises:
        NotFound: No such file.
        InvalidRequest: Not one head: the sentence says which tensor or name is wrong.
    """
    if not path.is_file():
        raise NotFound(f"{path} is missing: name a safetensors file with weight, bias and names")
    weight, bias, metadata = tensors(path)
    if weight.ndim != 2 or bias.shape != weight.shape[:1]:
        raise InvalidRequest(
            f"{path} holds a weight {weight.shape} and a bias {bias.shape}: a probe has"
            " weight [classes, embedding width] and bias [classes]"
        )
    if not (np.isfinite(weight).all() and np.isfinite(bias).all()):
        raise InvalidRequest(f"{path} holds numbers that are not finite: train the probe again")
    names = class_names(path, metadata)
    if len(names) != len(weight):
        raise InvalidRequest(
            f"{path} has {len(weight)} classes and {len(names)} names: give each class one name"
        )
    try:
        return Probe(names=names, weight=Tensor.of(weight), bias=Tensor.of(bias))
    except ValidationError as error:
        raise InvalidRequest(f"{path} is no probe: {error.errors()[0]['msg']}") from error


def check_fits(probe: Probe, width: int) -> None:
    """Refuse a probe over embeddings of another width; raises InvalidRequest."""
    if probe.weight.shape[1] != width:
        raise InvalidRequest(
            f"the probe reads {probe.weight.shape[1]} numbers, the model's embeddings have {width}:"
            " choose the model that it was trained on",
            field="classifier.weight",
        )


def write_probe(path: Path, probe: Probe) -> None:
    """Write a probe as ``read_probe`` reads it."""
    arrays = {"weight": probe.weight.numpy(), "bias": probe.bias.numpy()}
    metadata = {"steerboard_probe": str(SCHEMA), "names": json.dumps(probe.names)}
    save_file({name: np.ascontiguousarray(a) for name, a in arrays.items()}, path, metadata)


Array = npt.NDArray[np.float32]


def tensors(path: Path) -> tuple[Array, Array, dict[str, str]]:
    """Weight, bias (zeros where there is none) and metadata of a file."""
    try:
        with safe_open(path, "pt") as file:
            held = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118  (no dict)
            metadata: dict[str, str] = file.metadata() or {}
    except (SafetensorError, OSError) as error:
        raise InvalidRequest(f"{path} is no safetensors file: {error}") from error
    check_schema(path, metadata)
    weight = one(path, held, "weight")
    if weight is None:
        raise InvalidRequest(
            f"{path} holds no tensor called weight, but {', '.join(sorted(held)) or 'nothing'}"
        )
    bias = one(path, held, "bias")
    return weight, np.zeros(len(weight), np.float32) if bias is None else bias, metadata


def check_schema(path: Path, metadata: dict[str, str]) -> None:
    """Refuse a file of a later version; raises InvalidRequest."""
    told = metadata.get("steerboard_probe", str(SCHEMA))
    if told != str(SCHEMA):
        raise InvalidRequest(
            f"{path} was written with schema {told}, this version reads {SCHEMA}: update steerboard"
        )


def one(path: Path, held: dict[str, TorchTensor], name: str) -> Array | None:
    """The one tensor whose key is ``name`` or ends in it; raises InvalidRequest for several."""
    found = [key for key in held if key == name or key.endswith(f".{name}")]
    if len(found) > 1:
        raise InvalidRequest(
            f"{path} holds {', '.join(sorted(found))}: a probe is one head, so save it alone"
        )
    return held[found[0]].float().numpy() if found else None


def class_names(path: Path, metadata: dict[str, str]) -> tuple[str, ...]:
    """From the file's metadata, else from the JSON file beside it."""
    beside = path.with_suffix(".json")
    if "names" in metadata:
        return listed(path, metadata["names"])
    if beside.is_file():
        return listed(beside, beside.read_text())
    raise InvalidRequest(
        f"{path} does not name its classes: put a JSON list of names into {beside.name} beside it"
    )


def listed(path: Path, text: str) -> tuple[str, ...]:
    """A JSON list of names, or an object that holds one; raises InvalidRequest."""
    try:
        told: Any = json.loads(text)
    except json.JSONDecodeError as error:
        raise InvalidRequest(f"the names in {path} are no JSON: {error}") from error
    names = told.get("names") if isinstance(told, dict) else told
    if not isinstance(names, list) or not all(isinstance(n, str) and n.strip() for n in names):
        raise InvalidRequest(f'the names in {path} are no list of texts: write ["cat", "dog"]')
    return tuple(names)
