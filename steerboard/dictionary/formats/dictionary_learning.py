"""dictionary_learning: ``ae.pt`` beside ``config.json``, whose trainer names the class.

    AutoEncoder      z = relu(W (x - bias) + b)                 x_hat = D z + bias
    AutoEncoderNew   z = relu(W x + b)                          x_hat = D z + decoder.bias
    Gated            gate and magnitude of W (x - decoder_bias) x_hat = D z + decoder_bias
    TopK             the k largest of relu(W (x - b_dec) + b)   x_hat = D z + b_dec
    BatchTopK        relu(..), where it exceeds the threshold
    Matryoshka       the same, with group sizes
    JumpRelu         relu(p) (p > threshold), p = W x + b, b_dec not taken off

``AutoEncoder.from_pretrained`` moves the decoder's norms into the encoder, and so is done here.
"""

from collections.abc import Callable
from dataclasses import replace

import torch

from steerboard.dictionary.formats.folding import flat_threshold, rescaled_by_decoder
from steerboard.dictionary.formats.opened import Found, Opened
from steerboard.dictionary.sae import Sae


def load(opened: Opened) -> Found:
    """A dictionary of the class that the settings, or else the tensors, name."""
    trainer = opened.config.get("trainer") or {}
    name = str(trainer.get("dict_class") or _by_keys(opened))
    if name not in CLASSES:
        raise opened.misfit(f"class {name!r} is not supported; those are {sorted(CLASSES)}")
    sae = CLASSES[name](opened)
    opened.drop("k")
    opened.finish()
    opened.expect("activation_dim", int(trainer.get("activation_dim") or 0), "d")
    opened.expect("dict_size", int(trainer.get("dict_size") or 0), "f")
    _check_k(opened, sae, trainer.get("k"))
    return Found(
        sae,
        source="dictionary_learning",
        unplaced=f"its settings name layer {trainer['layer']!r} of a language model's submodule"
        if "layer" in trainer
        else "the format does not record it",
        facts={"class": name, "model": str(trainer.get("lm_name") or "")},
    )


def _by_keys(opened: Opened) -> str:
    """The class where the tensors leave no choice."""
    told = {
        "group_sizes": "MatryoshkaBatchTopKSAE",
        "gate_bias": "GatedAutoEncoder",
        "bias": "AutoEncoder",
        "decoder.bias": "AutoEncoderNew",
    }
    name = next((told[key] for key in told if opened.has(key)), "")
    if not name:
        raise opened.misfit(
            "its tensors fit several classes of dictionary_learning: keep the project's"
            " config.json, whose trainer.dict_class tells which, beside it"
        )
    return name


def _check_k(opened: Opened, sae: Sae, k: object) -> None:
    if sae.architecture == "topk" and k is not None and k != sae.k:
        raise opened.misfit(f"its settings say k = {k}, its tensors {sae.k}")


def _linear(opened: Opened, bias: str) -> Sae:
    return Sae(
        W_enc=opened.take("encoder.weight", "fd").T.contiguous(),
        b_enc=opened.take("encoder.bias", "f"),
        W_dec=opened.take("decoder.weight", "df").T.contiguous(),
        b_dec=opened.take(bias, "d"),
    )


def _autoencoder(opened: Opened) -> Sae:
    return rescaled_by_decoder(_linear(opened, "bias"))


def _autoencoder_new(opened: Opened) -> Sae:
    return replace(_linear(opened, "decoder.bias"), subtract_bias=False)


def _gated(opened: Opened) -> Sae:
    return Sae(
        W_enc=opened.take("encoder.weight", "fd").T.contiguous(),
        b_enc=opened.take("gate_bias", "f"),
        W_dec=opened.take("decoder.weight", "df").T.contiguous(),
        b_dec=opened.take("decoder_bias", "d"),
        architecture="gated",
        gain=opened.take("r_mag", "f").exp(),
        b_mag=opened.take("mag_bias", "f"),
    )


def _topk(opened: Opened) -> Sae:
    """A stored threshold serves a way of encoding that the class does not use by default."""
    held = {"k": opened.number("k")} if opened.has("k") else opened.config.get("trainer") or {}
    sae = replace(_linear(opened, "b_dec"), architecture="topk", k=opened.positive("k", held))
    opened.drop("threshold")
    return sae


def _batchtopk(opened: Opened) -> Sae:
    sae = _linear(opened, "b_dec")
    return replace(sae, architecture="batchtopk", threshold=_threshold(opened, sae))


def _threshold(opened: Opened, sae: Sae) -> torch.Tensor:
    """The stored threshold; -1 is what it starts from, before training has found one."""
    if not opened.has("threshold"):
        raise opened.misfit("tensor threshold is missing: without it BatchTopK has no code")
    value = opened.number("threshold")
    if value < 0:
        raise opened.misfit(f"its threshold is {value}: training never set it")
    return flat_threshold(value, sae.b_enc)


def _raw(opened: Opened) -> Sae:
    return Sae(
        W_enc=opened.take("W_enc", "df"),
        b_enc=opened.take("b_enc", "f"),
        W_dec=opened.take("W_dec", "fd"),
        b_dec=opened.take("b_dec", "d"),
    )


def _matryoshka(opened: Opened) -> Sae:
    sae = _raw(opened)
    sizes = opened.tensors.pop("group_sizes", None)
    return replace(
        sae,
        architecture="batchtopk",
        threshold=_threshold(opened, sae),
        groups=tuple(int(size) for size in sizes) if sizes is not None else (),
    )


def _jumprelu(opened: Opened) -> Sae:
    threshold = opened.take("threshold", "f")
    return replace(_raw(opened), architecture="jumprelu", threshold=threshold, subtract_bias=False)


CLASSES: dict[str, Callable[[Opened], Sae]] = {
    "AutoEncoder": _autoencoder,
    "AutoEncoderNew": _autoencoder_new,
    "GatedAutoEncoder": _gated,
    "AutoEncoderTopK": _topk,
    "BatchTopKSAE": _batchtopk,
    "MatryoshkaBatchTopKSAE": _matryoshka,
    "MatroyshkaBatchTopKSAE": _matryoshka,  # as sae-for-vlm spells it
    "JumpReluAutoEncoder": _jumprelu,
}
