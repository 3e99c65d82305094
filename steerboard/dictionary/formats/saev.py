"""saev: one file, a line of JSON and then a plain ``torch.save``.

The encoder took b_dec off its input until July 2025 and does not since, so the header's
generation decides:

| header | encode |
|---|---|
| no ``schema`` (February 2025) | relu((x - b_dec) W_enc + b_enc) |
| schema 1, two forms | as named, b_dec taken off |
| schema 2 to 5 | as named, b_dec not taken off |

TopK keeps its k largest *signed* values; BatchTopK keeps what exceeds a stored threshold. Older
files may have been trained on activations less a mean over a scalar, which they do not hold: a
side-car ``{"mean": [...], "scalar": s}`` says so.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch

from steerboard.dictionary.formats.folding import affine_input, flat_threshold
from steerboard.dictionary.formats.opened import Found, Opened, vector
from steerboard.dictionary.sae import Sae

NEWEST, TOP_K = 5, 32
Config = Mapping[str, Any]


def load(opened: Opened) -> Found:
    """A dictionary from saev's header (as ``config``) and tensors."""
    schema = opened.config.get("schema", 0)
    if schema not in range(NEWEST + 1):
        raise opened.misfit(f"saev schema {schema!r} is not known here (0 to {NEWEST})")
    name, parameters = _activation(opened.config)
    plain = Sae(
        W_enc=opened.take("W_enc", "df"),
        b_enc=opened.take("b_enc", "f"),
        W_dec=opened.take("W_dec", "fd"),
        b_dec=opened.take("b_dec", "d"),
        subtract_bias=_subtracts(opened, schema),
    )
    sae = _activated(opened, plain, name, parameters)
    opened.finish()
    _check_width(opened)
    return Found(
        _unscaled(opened, sae),
        source="saev",
        tokens=opened.sidecar.get("tokens"),
        usual_tokens="patches",
        unplaced="its header names no layer",
        facts={
            "schema": schema,
            "activation": name,
            "commit": str(opened.config.get("commit", "")),
        },
    )


def _subtracts(opened: Opened, schema: int) -> bool:
    """Whether b_dec is taken off; a side-car may overrule what the generation suggests."""
    said = opened.sidecar.get("subtract_bias")
    return bool(said) if said is not None else schema <= 1


def _activation(header: Config) -> tuple[str, Config]:
    """Name in lower case and parameters: relu, topk, batchtopk."""
    config = header.get("cfg") or {}
    told = config.get("activation")
    if isinstance(told, Mapping):
        name = told.get("cls") or told.get("key") or told.get("kind") or "relu"
        return str(name).lower(), told.get("params") or told
    name = told or header.get("cls") or "relu"
    name = "relu" if name in ("SparseAutoencoder", "SparseAutoencoderConfig") else name
    return str(name).lower(), config


def _activated(opened: Opened, sae: Sae, name: str, parameters: Config) -> Sae:
    match name:
        case "relu":
            return sae
        case "topk":
            k = opened.positive("top_k", {"top_k": TOP_K} | dict(parameters))
            opened.drop("activation.threshold")
            return replace(sae, architecture="topk", k=k, signed=True)
        case "batchtopk":
            if not opened.has("activation.threshold"):
                raise opened.misfit(
                    "tensor activation.threshold is missing: without it BatchTopK has no code"
                )
            threshold = flat_threshold(opened.number("activation.threshold"), sae.b_enc)
            return replace(sae, architecture="batchtopk", threshold=threshold)
        case _:
            raise opened.misfit(f"activation {name!r} is not known (relu, topk, batchtopk)")


def _check_width(opened: Opened) -> None:
    config = opened.config.get("cfg") or opened.config
    width = config.get("d_vit") or config.get("d_model") or 0
    opened.expect("d_model", int(width), "d")
    opened.expect("d_model * exp_factor", int(width) * int(config.get("exp_factor") or 0), "f")
    opened.expect("d_sae", int(config.get("d_sae") or 0), "f")


def _unscaled(opened: Opened, sae: Sae) -> Sae:
    """Fold the side-car's mean and scalar of the data set."""
    side = opened.sidecar
    if "mean" not in side and "scalar" not in side:
        return sae
    mean = vector(opened, side.get("mean", 0.0), opened.measured["d"], "mean")
    scalar = vector(opened, side.get("scalar", 1.0), 1, "scalar")[0]
    if not float(scalar) > 0:
        raise opened.misfit(f"scalar is {float(scalar)}, it must be above 0")
    return affine_input(sae, mean, torch.as_tensor(scalar))
