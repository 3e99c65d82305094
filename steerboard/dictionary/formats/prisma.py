"""Prisma (CLIP and DINO): ``weights.pt`` with ``config.json``, or ``n_images_*.pt``.

    x' = n(x);  p = (x' - b_dec) W_enc + b_enc;  z = act(p);  x_hat = n^-1(z W_dec + b_dec)

b_dec is always taken off, after normalising, and the default is layer_norm with torch's unbiased
standard deviation. The settings may be a pickled class, which arrives here as an inert record.
"""

from dataclasses import replace
from typing import Any

from steerboard.dictionary.formats.hooks import counted_from_end, site_of
from steerboard.dictionary.formats.opened import Found, Opened
from steerboard.dictionary.sae import Architecture, Normalize, Sae
from steerboard.spec.capabilities import TokenSet

NORMALIZE: dict[object, Normalize] = {
    None: "none",
    False: "none",
    "none": "none",
    "layer_norm": "layer_norm",
    "constant_norm_rescale": "constant_norm_rescale",
}


POINTWISE: dict[str, Architecture] = {"relu": "relu", "tanh-relu": "tanh-relu"}


def load(opened: Opened) -> Found:
    """A dictionary from Prisma's settings and tensors."""
    config = opened.config
    if config.get("is_transcoder") or opened.has("b_dec_out") or opened.has("W_skip"):
        raise opened.misfit("a transcoder is no dictionary of one site, so it cannot be used")
    if config.get("hook_point_head_index") is not None:
        raise opened.misfit("it belongs to one attention head only, which is no site of its own")
    normalize = config.get("normalize_activations", "layer_norm")
    if normalize not in NORMALIZE:
        raise opened.misfit(f"normalize_activations {normalize!r} is not supported")
    sae = replace(_weights(opened), normalize=NORMALIZE[normalize])
    opened.finish()
    opened.expect("d_in", int(config.get("d_in") or 0), "d")
    opened.expect(
        "d_in * expansion_factor",
        int(config.get("d_in") or 0) * int(config.get("expansion_factor") or 0),
        "f",
    )
    block = int(config["hook_point_layer"])
    hook = f"blocks.{block}.{config['layer_subtype']}"
    return Found(
        sae,
        source="Prisma",
        site=site_of(opened.name, hook),
        tokens=_tokens(config),
        unplaced=counted_from_end(block),
        facts={"hook": hook, "model": str(config.get("model_name") or "")},
    )


def _tokens(config: Any) -> TokenSet:
    if config.get("cls_token_only"):
        return "prefix"
    return "patches" if config.get("use_patches_only") else "all"


def _weights(opened: Opened) -> Sae:
    architecture = opened.config.get("architecture") or "standard"
    if architecture not in ("standard", "gated"):
        raise opened.misfit(f"Prisma architecture {architecture!r} has no forward pass to follow")
    W_enc, b_dec = opened.take("W_enc", "df"), opened.take("b_dec", "d")
    W_dec = opened.take("W_dec", "fd")
    if architecture == "gated":
        opened.drop("b_enc")
        return Sae(
            W_enc,
            opened.take("b_gate", "f"),
            W_dec,
            b_dec,
            "gated",
            gain=opened.take("r_mag", "f").exp(),
            b_mag=opened.take("b_mag", "f"),
        )
    return _activated(opened, Sae(W_enc, opened.take("b_enc", "f"), W_dec, b_dec))


def _activated(opened: Opened, sae: Sae) -> Sae:
    activation = opened.config.get("activation_fn_str") or "relu"
    if activation == "topk":
        kwargs = opened.config.get("activation_fn_kwargs") or {}
        return replace(sae, architecture="topk", k=opened.positive("k", kwargs))
    if activation not in POINTWISE:
        raise opened.misfit(f"activation {activation!r} is not supported (relu, tanh-relu, topk)")
    return replace(sae, architecture=POINTWISE[activation])
