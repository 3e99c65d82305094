"""Our own file: safetensors whose metadata holds a JSON header with a schema number."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from pydantic import ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from steerboard.dictionary.sae import Architecture, Normalize, Sae
from steerboard.spec.base import Spec
from steerboard.spec.capabilities import TokenSet
from steerboard.spec.errors import DictionaryMisfit, NotFound

KEY = "steerboard.dictionary"


class Header(Spec):
    """What the file says about its tensors."""

    schema_: Literal[1] = 1
    architecture: Architecture
    k: int = 0
    signed: bool = False
    subtract_bias: bool = True
    normalize: Normalize = "none"
    site: str
    tokens: TokenSet
    d_in: int
    d_sae: int
    training: dict[str, str | int | float] = {}  # noqa: RUF012  (pydantic copies it)


@dataclass(frozen=True)
class DictionaryFile:
    """A dictionary as read: its header, its tensors, the digest of its bytes."""

    header: Header
    sae: Sae
    fingerprint: str


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
    sae = Sae(
        **tensors,
        architecture=header.architecture,
        k=header.k,
        signed=header.signed,
        subtract_bias=header.subtract_bias,
        normalize=header.normalize,
        tokens=header.tokens,
    )
    return DictionaryFile(header, sae, hashlib.sha256(path.read_bytes()).hexdigest())


def parse_header(text: str) -> Header:
    """The JSON text to a header; ``schema`` is spelled ``schema_`` in Python."""
    record = json.loads(text)
    record["schema_"] = record.pop("schema")
    return Header.model_validate(record)


def check_shapes(name: str, header: Header, tensors: dict[str, torch.Tensor]) -> None:
    """Every tensor there, of the right shape, and finite."""
    d, f = header.d_in, header.d_sae
    want = {"W_enc": (d, f), "b_enc": (f,), "W_dec": (f, d), "b_dec": (d,)}
    if header.architecture in ("jumprelu", "batchtopk"):
        want["threshold"] = (f,)
    if set(tensors) != set(want):
        raise DictionaryMisfit(f"{name} holds tensors {sorted(tensors)}, not {sorted(want)}")
    for key, shape in want.items():
        if tuple(tensors[key].shape) != shape:
            raise DictionaryMisfit(
                f"{name}: {key} is {tuple(tensors[key].shape)}, its header says {shape}"
            )
        if not torch.isfinite(tensors[key]).all():
            raise DictionaryMisfit(f"{name}: {key} holds NaN or infinity")
    if header.architecture == "topk" and not 0 < header.k <= f:
        raise DictionaryMisfit(f"{name}: k is {header.k}, it must lie between 1 and {f}")


def write(
    path: Path, sae: Sae, site: str, training: dict[str, str | int | float] | None = None
) -> None:
    """Save ``sae`` so that ``read`` gives it back."""
    header = Header(
        architecture=sae.architecture,
        k=sae.k,
        signed=sae.signed,
        subtract_bias=sae.subtract_bias,
        normalize=sae.normalize,
        site=site,
        tokens=sae.tokens,
        d_in=sae.W_enc.shape[0],
        d_sae=sae.size,
        training=training or {},
    )
    record = header.model_dump(mode="json")
    record["schema"] = record.pop("schema_")
    tensors = {"W_enc": sae.W_enc, "b_enc": sae.b_enc, "W_dec": sae.W_dec, "b_dec": sae.b_dec}
    if sae.threshold is not None:
        tensors["threshold"] = sae.threshold
    save_file({k: v.contiguous() for k, v in tensors.items()}, path, {KEY: json.dumps(record)})
