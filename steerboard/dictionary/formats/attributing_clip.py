"""attributing-clip (Dreyer et al. 2025): a Lightning checkpoint and a YAML side-car.

    z = the k largest *signed* values of x W_enc^T + b;  x_hat = z W_dec

with weight-normalised rows and columns and no b_dec. Training compares unit-length reconstruction
with unit-length activation, so the length of x_hat means nothing: such a dictionary is judged by
cosine. Side-car: sae_k, sae_layer_idx, sae_token (cls or spatial), sae_hidden_dim, model_name.
"""

import torch
from torch import Tensor

from steerboard.dictionary.formats.hooks import block_site, counted_from_end
from steerboard.dictionary.formats.opened import Found, Opened
from steerboard.dictionary.sae import Sae
from steerboard.spec.capabilities import TokenSet

NEW, OLD = "parametrizations.weight.original", "weight_"
TOKENS: dict[str, TokenSet] = {"cls": "prefix", "spatial": "patches"}


def load(opened: Opened) -> Found:
    """A dictionary from the checkpoint's tensors and the side-car's settings."""
    side = opened.sidecar
    if "sae_k" not in side:
        raise opened.misfit(
            "the checkpoint does not hold k: lay the project's YAML beside it, with sae_k,"
            " sae_layer_idx and sae_token"
        )
    W_enc = _normed(opened, "encoder.0", "fd", rows=True).T.contiguous()
    W_dec = _normed(opened, "decoder", "df", rows=False).T.contiguous()
    sae = Sae(
        W_enc,
        opened.take("encoder.0.bias", "f"),
        W_dec,
        torch.zeros(W_dec.shape[1]),
        architecture="topk",
        k=opened.positive("sae_k", side),
        signed=True,
        subtract_bias=False,
    )
    opened.finish()
    opened.expect("sae_hidden_dim", int(side.get("sae_hidden_dim") or 0), "f")
    block = side.get("sae_layer_idx")
    return Found(
        sae,
        source="attributing-clip",
        site=block_site(int(block)) if block is not None else "",
        tokens=TOKENS.get(str(side.get("sae_token"))),
        unplaced=counted_from_end(int(block)) if block is not None else "sae_layer_idx is missing",
        gate="cosine",
        facts={"model": str(side.get("model_name") or "")},
    )


def _normed(opened: Opened, module: str, letters: str, *, rows: bool) -> Tensor:
    """``g v / norm(v)`` under torch's old or new names, the norm over rows or columns.

    ``g`` is [f, 1] for the encoder, [1, f] for the decoder.
    """
    old = opened.has(f"{module}.{OLD}v")
    v = opened.take(f"{module}.{OLD}v" if old else f"{module}.{NEW}1", letters)
    g = opened.take(f"{module}.{OLD}g" if old else f"{module}.{NEW}0", "f1" if rows else "1f")
    norm = v.norm(dim=1 if rows else 0, keepdim=True)
    if not (norm > 0).all():
        raise opened.misfit(f"{module} has a feature of length 0, whose direction is unknown")
    rescaled: Tensor = g * v / norm
    return rescaled
