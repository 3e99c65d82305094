"""MSAE (Matryoshka SAE on the final CLIP embedding): settings stand only in the file's name.

``<n_latents>_<n_inputs>_<activation>[_<k>]..._<tied>_<normalize>_<softcap>...pt`` holds ``model``
and the data set's mean and scale:

    x' = (x - mean_center) scaling_factor;  p = (x' - pre_bias) encoder + latent_bias
    z = c tanh(act(p) / c);                 x_hat = (z decoder + pre_bias) / scaling_factor + mean
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch

from steerboard.dictionary.formats.folding import affine_input
from steerboard.dictionary.formats.opened import Found, Opened, vector
from steerboard.dictionary.sae import Sae

NAME = re.compile(
    r"(?P<latents>\d+)_(?P<inputs>\d+)_(?P<act>[A-Za-z0-9]+?)(?:_(?P<k>\d+))?(?:_.*?)?"
    r"_(?P<tied>True|False)_(?P<normalize>True|False)_(?P<cap>\d+(?:\.\d+)?)(?=[_.]|$)"
)
PREPROCESS = ("mean_center", "scaling_factor", "target_norm")


@dataclass(frozen=True)
class Named:
    """What the file's name says."""

    latents: int
    inputs: int
    activation: str
    k: int
    tied: bool
    normalize: bool
    softcap: float


def parse_name(opened: Opened) -> Named:
    """The settings in the file's name.

    Raises:
        DictionaryMisfit: The file was renamed.
    """
    match = NAME.match(opened.name)
    if not match:
        raise opened.misfit(
            "an MSAE file says k, soft cap and normalisation only by its name; give it back the"
            " name it was saved under, such as 6144_768_TopKReLU_64_False_False_30.0.pt"
        )
    return Named(
        int(match["latents"]),
        int(match["inputs"]),
        match["act"],
        int(match["k"] or 0),
        match["tied"] == "True",
        match["normalize"] == "True",
        float(match["cap"]),
    )


def load(opened: Opened) -> Found:
    """A dictionary from the tensors of ``model``; what stands beside them is the settings."""
    named = parse_name(opened)
    pre_bias, W_enc = opened.take("pre_bias", "d"), opened.take("encoder", "df")
    W_dec = W_enc.T.contiguous() if named.tied else opened.take("decoder", "fd")
    sae = Sae(W_enc, opened.take("latent_bias", "f"), W_dec, pre_bias, softcap=named.softcap)
    sae = _activated(opened, sae, named)
    opened.drop("latents_activation_frequency")
    opened.finish()
    opened.expect("n_latents", named.latents, "f")
    opened.expect("n_inputs", named.inputs, "d")
    facts = {"activation": named.activation}
    return Found(_preprocessed(opened, sae, named), "MSAE", "embedding", "all", facts=facts)


def _activated(opened: Opened, sae: Sae, named: Named) -> Sae:
    def topk(signed: bool) -> Sae:
        k = opened.positive("k", {"k": named.k})
        return replace(sae, architecture="topk", k=min(k, sae.size), signed=signed)

    def jump() -> Sae:
        threshold = opened.take("activation.log_threshold", "f").exp()
        return replace(sae, architecture="jumprelu", threshold=threshold)

    kinds: dict[str, Callable[[], Sae]] = {
        "ReLU": lambda: sae,
        "TopK": lambda: topk(True),
        "TopKReLU": lambda: topk(False),
        "TopKabs": lambda: replace(topk(True), architecture="abstopk"),
        "TopKabsReLU": lambda: replace(topk(False), architecture="abstopk"),
        "JumpReLU": jump,
    }
    if named.activation not in kinds:
        raise opened.misfit(
            f"activation {named.activation!r} is not supported ({', '.join(kinds)}): a code that"
            " depends on the rest of a batch, or is never 0, belongs to no single token"
        )
    return kinds[named.activation]()


def _preprocessed(opened: Opened, sae: Sae, named: Named) -> Sae:
    """The data set's mean and scale, which the file multiplies by; then the token's own, if any."""
    config = opened.config
    mean = vector(opened, config.get("mean_center", 0.0), opened.measured["d"], "mean_center")
    factor = vector(opened, config.get("scaling_factor", 1.0), 1, "scaling_factor")[0]
    if not float(factor) > 0:
        raise opened.misfit(f"scaling_factor is {float(factor)}, it must be above 0")
    if not named.normalize:
        return affine_input(sae, mean, 1 / factor)
    if torch.count_nonzero(mean):
        raise opened.misfit(
            "it takes a mean off the data set and then each input's own mean and spread; the two"
            " together are not supported"
        )
    return replace(sae, normalize="layer_norm")
