"""Discover-then-Name (DN-CBM), on the final CLIP embedding, from ai-safety-foundation's package.

    z = relu(W (x - tied_bias) + b);  x_hat = D z + tied_bias

A leading axis of one component may be there; the bias is held a second and third time by the
modules that add it.
"""

import torch

from steerboard.dictionary.formats.opened import Found, Opened
from steerboard.dictionary.sae import Sae

COPIES = "pre_encoder_bias", "post_decoder_bias", "_pre_encoder_bias", "_post_decoder_bias"


def load(opened: Opened) -> Found:
    """A dictionary from a bare state dict."""
    mark = "_" if opened.has("encoder._weight") else ""
    sae = Sae(
        W_enc=opened.take(f"encoder.{mark}weight", "fd", leading=True).T.contiguous(),
        b_enc=opened.take(f"encoder.{mark}bias", "f", leading=True),
        W_dec=opened.take(f"decoder.{mark}weight", "df", leading=True).T.contiguous(),
        b_dec=opened.take("tied_bias", "d", leading=True),
    )
    _check_copies(opened, sae.b_dec)
    opened.finish()
    return Found(sae, source="DN-CBM", site="embedding", tokens="all")


def _check_copies(opened: Opened, bias: torch.Tensor) -> None:
    """Drop the copies of the tied bias, which must be copies."""
    for module in COPIES:
        key = f"{module}._bias_reference"
        if opened.has(key) and not torch.equal(opened.take(key, "d", leading=True), bias):
            raise opened.misfit(f"{key} differs from tied_bias, of which it should be a copy")
