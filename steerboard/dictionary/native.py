"""Our own file: safetensors whose metadata holds a JSON header with a schema number.

Schema 1 knew relu, jumprelu, topk and batchtopk; schema 2 has the other kinds, the soft cap, the
groups, how the gate is to judge, and where the dictionary came from. Both are read, 2 is written.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from pydantic import ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from steerboard.dictionary.sae import COMPETING, THRESHOLDED, Architecture, Normalize, Sae
from steerboard.dictionary.whole import whole
from steerboard.spec.base import Spec
from steerboard.spec.capabilities import TokenSet
from steerboard.spec.errors import DictionaryMisfit, NotFound

KEY = "steerboard.dictionary"
CHECKPOINT_KEY = "steerboard.training"
Fact = str | int | float | bool
Gate = Literal["explained_variance", "cosine"]


class Header(Spec):
    """What the file says about its tensors.

    ``gate`` is what the dictionary is judged by when it is loaded: one trained on the direction of
    activations (cosine) does not rebuild their length. ``source`` names the format that it was
    read from, ``facts`` hold what that format says beyond the mathematics.
    """

    schema_: Literal[1, 2] = 2
    architecture: Architecture
    k: int = 0
    signed: bool = False
    subtract_bias: bool = True
    normalize: Normalize = "none"
    softcap: float = 0.0
    groups: tuple[int, ...] = ()
    least: float = 0.0
    stop_at_repeat: bool = False
    site: str
    tokens: TokenSet
    d_in: int
    d_sae: int
    gate: Gate = "explained_variance"
    source: str = "steerboard"
    facts: dict[str, Fact] = {}  # noqa: RUF012  (pydantic copies it)
    training: dict[str, str | int | float] = {}  # noqa: RUF012


PURSUIT = "matching_pursuit"
# What a header and a dictionary in memory say by the same words.
WORDS = (
    *("architecture", "k", "signed", "subtract_bias", "normalize", "tokens"),
    *("softcap", "groups", "least", "stop_at_repeat"),
)


@dataclass(frozen=True)
class DictionaryFile:
    """A dictionary as read: its header, its tensors, the digest of its bytes."""

    header: Header
    sae: Sae
    fingerprint: str


def is_native(path: Path) -> bool:
    """Whether a file is one of ours."""
    return KEY in _metadata(path)


def is_checkpoint(path: Path) -> bool:
    """Whether a file is where a training stands, and no dictionary yet."""
    return CHECKPOINT_KEY in _metadata(path)


def _metadata(path: Path) -> dict[str, str]:
    """Of a safetensors file; empty for anything else."""
    try:
        with safe_open(path, "pt") as file:
            return dict(file.metadata() or {})
    except (SafetensorError, OSError):
        return {}


def read(path: Path) -> DictionaryFile:
    """Read and check a file.

    Raises:
        NotFound: No such file.
        DictionaryMisfit: Not such a file, or tensors that contradict the header.
    """
    if not path.is_file():
        raise NotFound(f"dictionary file {path} is missing")
    try:
        with safe_open(path, "pt") as file:
            metadata = file.metadata() or {}
            tensors = {key: file.get_tensor(key).float() for key in file.keys()}  # noqa: SIM118
        header = parse_header(metadata[KEY])
    except (SafetensorError, KeyError, ValueError, ValidationError) as error:
        raise DictionaryMisfit(
            f"{path.name} is no dictionary of Steerboard's own format: {error}"
        ) from error
    check_shapes(path.name, header, tensors)
    words: dict[str, Any] = {word: getattr(header, word) for word in WORDS}
    sae = Sae(**tensors, **words)
    with path.open("rb") as bytes_:
        return DictionaryFile(header, sae, hashlib.file_digest(bytes_, "sha256").hexdigest())


def parse_header(text: str) -> Header:
    """The JSON text to a header; ``schema`` is spelled ``schema_`` in Python."""
    record = json.loads(text)
    if not isinstance(record, dict) or record.get("schema") not in (1, 2):
        raise ValueError("its header has no schema number that this version reads (1 or 2)")
    record["schema_"] = record.pop("schema")
    return Header.model_validate(record)


def expected_shapes(header: Header) -> dict[str, tuple[int, ...]]:
    """The tensors that a header promises."""
    d, f = header.d_in, header.d_sae
    want: dict[str, tuple[int, ...]] = {
        "W_enc": (d, f),
        "b_enc": (f,),
        "W_dec": (f, d),
        "b_dec": (d,),
    }
    if header.architecture in THRESHOLDED:
        want["threshold"] = (f,)
    if header.architecture == "gated":
        want |= {"gain": (f,), "b_mag": (f,)}
    return want


def check_shapes(name: str, header: Header, tensors: Mapping[str, torch.Tensor]) -> None:
    """Every tensor there, of the right shape, and finite; words that go together.

    Raises:
        DictionaryMisfit: One sentence that names the file and what is wrong in it.
    """
    want = expected_shapes(header)
    if set(tensors) != set(want):
        raise DictionaryMisfit(f"{name} holds tensors {sorted(tensors)}, not {sorted(want)}")
    for key, shape in want.items():
        if tuple(tensors[key].shape) != shape:
            raise DictionaryMisfit(
                f"{name}: {key} is {tuple(tensors[key].shape)}, its header says {shape}"
            )
        if not torch.isfinite(tensors[key]).all():
            raise DictionaryMisfit(f"{name}: {key} holds NaN or infinity")
    most = header.d_in + header.d_sae if header.architecture == PURSUIT else header.d_sae
    if header.architecture in COMPETING and not 0 < header.k <= most:
        raise DictionaryMisfit(f"{name}: k is {header.k}, it must lie between 1 and {most}")
    if header.architecture == "groupmax" and header.d_sae % header.k:
        raise DictionaryMisfit(f"{name}: {header.d_sae} features are not {header.k} equal groups")
    if header.groups and (min(header.groups) < 1 or sum(header.groups) != header.d_sae):
        raise DictionaryMisfit(
            f"{name}: groups {header.groups} do not add up to {header.d_sae} features"
        )


def describe(
    sae: Sae,
    site: str,
    *,
    gate: Gate = "explained_variance",
    source: str = "steerboard",
    facts: Mapping[str, Fact] | None = None,
    training: Mapping[str, str | int | float] | None = None,
) -> Header:
    """The header of a dictionary."""
    words: dict[str, Any] = {word: getattr(sae, word) for word in WORDS}
    return Header(
        **words,
        site=site,
        d_in=sae.W_enc.shape[0],
        d_sae=sae.size,
        gate=gate,
        source=source,
        facts=dict(facts or {}),
        training=dict(training or {}),
    )


def write(
    path: Path,
    sae: Sae,
    site: str,
    training: Mapping[str, str | int | float] | None = None,
    *,
    gate: Gate = "explained_variance",
    source: str = "steerboard",
    facts: Mapping[str, Fact] | None = None,
) -> None:
    """Save ``sae`` so that ``read`` gives it back."""
    header = describe(sae, site, gate=gate, source=source, facts=facts, training=training)
    save(path, header, sae)


def save(path: Path, header: Header, sae: Sae) -> None:
    """Save ``sae`` under a header that is already written; raises what ``whole`` does."""
    record = header.model_dump(mode="json") | {"schema_": 2}
    record["schema"] = record.pop("schema_")
    tensors = {name: tensor.contiguous() for name, tensor in sae.tensors().items()}
    with whole(path) as draft:
        save_file(tensors, draft, {KEY: json.dumps(record)})
