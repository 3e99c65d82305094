"""Overcomplete: a ``state_dict`` and, because that lacks half of the dictionary, a side-car.

    p = x E^T + b;  z = relu(p), then top-k, threshold or nothing;  x_hat = z D
    D = normalise(_weights) exp(multiplier)

without any b_dec. ``top_k``, ``running_threshold`` and the kind of normalisation are Python
attributes of the module, so the side-car must say them:
``{"arch": "topk", "top_k": 32, "normalization": "l2"}``.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from steerboard.dictionary.formats.folding import below, flat_threshold
from steerboard.dictionary.formats.opened import Found, Opened
from steerboard.dictionary.sae import Sae

EPS = 1e-8  # as in the project's dictionary layer
ENCODERS = "encoder.final_block.0", "encoder"
NORMALIZE: dict[str, Callable[[Tensor], Tensor]] = {
    "l2": lambda w: w / (w.norm(dim=1, keepdim=True) + EPS),
    "max_l2": lambda w: w / w.norm(dim=1).max(),
    "l1": lambda w: w / (w.norm(p=1, dim=1, keepdim=True) + EPS),
    "max_l1": lambda w: w / w.norm(p=1, dim=1).max(),
    "identity": lambda w: w,
}
SIDECAR = (
    'lay a side-car JSON beside it: {"arch": "sae | topk | batchtopk | jump", "top_k": k,'
    ' "running_threshold": t, "normalization": "l2"}'
)


def load(opened: Opened) -> Found:
    """A dictionary from Overcomplete's tensors and the side-car's settings."""
    if opened.has("Q"):
        raise opened.misfit("a QSAE quantises its codes, so it cannot be used")
    arch = str(opened.sidecar.get("arch") or "").lower()
    if not arch:
        raise opened.misfit(f"an Overcomplete state_dict does not say what it is; {SIDECAR}")
    D = _dictionary(opened)
    W_enc, b_enc = _encoder(opened, D)
    sae = Sae(W_enc, b_enc, D, torch.zeros(D.shape[1]), subtract_bias=False)
    sae = _activated(opened, sae, arch)
    opened.finish()
    return Found(sae, source="Overcomplete", facts={"arch": arch})


def _dictionary(opened: Opened) -> Tensor:
    """D ``[f, d]`` as ``.eval()`` fuses it."""
    multiplier = (
        opened.number("dictionary.multiplier") if opened.has("dictionary.multiplier") else 0
    )
    if opened.has("dictionary.C"):
        rows = _archetypal(opened)
    else:
        kind = str(opened.sidecar.get("normalization") or "")
        if kind not in NORMALIZE:
            raise opened.misfit(
                f"normalization {kind!r} is not one of {sorted(NORMALIZE)}; {SIDECAR}"
            )
        rows = NORMALIZE[kind](opened.take("dictionary._weights", "fd"))
    return rows * torch.tensor(float(multiplier)).exp()


def _archetypal(opened: Opened) -> Tensor:
    """RA-SAE: rows are convex combinations of points, and a small relaxation."""
    points = opened.take("dictionary.C", "pd")
    weights = opened.take("dictionary.W", "fp").relu()
    weights = weights / (weights.sum(dim=-1, keepdim=True) + EPS)
    return weights @ points + opened.take("dictionary.Relax", "fd")


def _encoder(opened: Opened, D: Tensor) -> tuple[Tensor, Tensor]:
    """``W_enc [d, f]`` and ``b_enc [f]``; a tied encoder has no weights of its own."""
    deep = [key for key in opened.tensors if key.startswith(("encoder.mlp", "encoder.final"))]
    if any(not key.startswith("encoder.final_block.0.") for key in deep) or opened.has(
        "encoder.cls_token"
    ):
        raise opened.misfit(
            f"its encoder is not linear ({', '.join(sorted(deep))}), so it cannot be used"
        )
    tied = [key for key in opened.tensors if key.startswith("encoder.tied_to.")]
    opened.drop(*tied)
    name = next((name for name in ENCODERS if opened.has(f"{name}.weight")), "")
    if not name and not tied:
        raise opened.misfit(f"no linear encoder is in it; it holds {sorted(opened.tensors)}")
    W_enc = opened.take(f"{name}.weight", "fd").T.contiguous() if name else D.T.contiguous()
    bias = f"{name or 'encoder'}.bias"
    return W_enc, opened.take(bias, "f") if opened.has(bias) else torch.zeros(len(D))


def _activated(opened: Opened, sae: Sae, arch: str) -> Sae:
    side: Any = opened.sidecar
    match arch.removesuffix("sae").strip("_- ") or "sae":
        case "sae" | "relu":
            return sae
        case "topk" | "ratopk":
            return replace(sae, architecture="topk", k=opened.positive("top_k", side))
        case "jump" | "rajump":
            # Thresholds are logarithms, and what equals one is kept.
            threshold = below(opened.take("thresholds", "f").exp())
            return replace(sae, architecture="jumprelu", threshold=threshold)
        case "batchtopk":
            value = side.get("running_threshold")
            if isinstance(value, bool) or not isinstance(value, int | float):
                raise opened.misfit(
                    f"running_threshold is {value!r}, a number is needed; {SIDECAR}"
                )
            threshold = flat_threshold(value, sae.b_enc, inclusive=True)
            return replace(sae, architecture="batchtopk", threshold=threshold)
        case other:
            raise opened.misfit(f"arch {other!r} is not supported (sae, topk, batchtopk, jump)")
