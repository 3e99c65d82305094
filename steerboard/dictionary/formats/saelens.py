"""SAELens, versions 2 to 6: ``cfg.json`` beside ``sae_weights.safetensors``.

    c = n(x) - b_dec [apply_b_dec_to_input];  p = c W_enc + b_enc;  x_hat = n^-1(z W_dec + b_dec)

Before version 6 the settings are flat and partly under other names; they are brought to the names
of version 6 first. Source: the project's loaders, ``sae.py`` and ``pretrained_sae_loaders.py``.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, get_args

import torch
from torch import Tensor

from steerboard.dictionary.formats.folding import (
    affine_input,
    flat_threshold,
    rescaled_by_decoder,
    scaled_codes,
)
from steerboard.dictionary.formats.hooks import LENS, counted_from_end, site_of
from steerboard.dictionary.formats.opened import Found, Opened
from steerboard.dictionary.sae import Normalize, Sae

RENAMED = {
    "hook_point": "hook_name",
    "hook_point_head_index": "hook_head_index",
    "activation_fn_str": "activation_fn",
    "activation_fn_kwargs": "activation_kwargs",
}
FACTORS = "scaling_factor", "finetuning_scaling_factor"  # before version 3, and since
NOT_ONE_SITE = ("transcoder", "crosscoder", "clt", "temporal")
NORMALIZE: dict[str, Normalize] = {name: name for name in get_args(Normalize)}
Config = Mapping[str, Any]


def load(opened: Opened) -> Found:
    """A dictionary from SAELens' settings and tensors."""
    config = modern(opened.config)
    architecture = _architecture(opened, config)
    sae = replace(
        BUILDERS[architecture](opened, config),
        subtract_bias=bool(config.get("apply_b_dec_to_input", True)),
    )
    if config.get("rescale_acts_by_decoder_norm"):
        sae = rescaled_by_decoder(sae)
    sae = _finetuned(opened, config, sae)
    opened.finish()
    opened.expect("d_in", int(config.get("d_in") or 0), "d")
    opened.expect("d_sae", int(config.get("d_sae") or 0), "f")
    return _placed(opened, config, _normalized(opened, config, sae), architecture)


def modern(config: Config) -> dict[str, Any]:
    """Settings under the names of version 6, ``metadata`` laid flat."""
    flat = {RENAMED.get(key, key): value for key, value in config.items() if key != "metadata"}
    metadata = config.get("metadata")
    flat |= {k: v for k, v in metadata.items() if k not in flat} if metadata else {}
    normalize = flat.get("normalize_activations")
    if isinstance(normalize, bool):  # before there were several ways
        flat["normalize_activations"] = "expected_average_only_in" if normalize else "none"
    return flat


def _architecture(opened: Opened, config: Config) -> str:
    """The key of ``BUILDERS``; version 3 to 5 name top-k and tanh only as an activation."""
    architecture = str(config.get("architecture") or "standard")
    named = config.get("activation_fn")
    activation = str(named or "relu")
    if any(word in architecture for word in NOT_ONE_SITE):
        raise opened.misfit(f"a {architecture} is no dictionary of one site, so it cannot be used")
    if architecture == "standard" and activation != "relu":
        architecture = activation
    plain = named is None or (activation == "relu" and architecture != "topk")
    if activation != architecture and not plain:
        raise opened.misfit(
            f"its settings say architecture {architecture!r} with activation {activation!r}:"
            " no forward pass that is known here has both"
        )
    if architecture not in BUILDERS:
        raise opened.misfit(
            f"SAELens architecture {architecture!r} is not supported; those are {sorted(BUILDERS)}"
        )
    return architecture


def _plain(opened: Opened) -> Sae:
    return Sae(
        W_enc=opened.take("W_enc", "df"),
        b_enc=opened.take("b_enc", "f"),
        W_dec=opened.take("W_dec", "fd"),
        b_dec=opened.take("b_dec", "d"),
    )


def _relu(opened: Opened, _config: Config) -> Sae:
    return _plain(opened)


def _tanh(opened: Opened, _config: Config) -> Sae:
    return replace(_plain(opened), architecture="tanh-relu")


def _topk(opened: Opened, config: Config) -> Sae:
    """SAELens itself goes on with plain ReLU where k is missing; here it is refused."""
    kwargs = config.get("activation_kwargs") or {}
    k = opened.positive("k", config if config.get("k") is not None else kwargs)
    return replace(_plain(opened), architecture="topk", k=k)


def _abstopk(opened: Opened, config: Config) -> Sae:
    return replace(_topk(opened, config), architecture="abstopk", signed=True)


def _jumprelu(opened: Opened, _config: Config) -> Sae:
    """A training checkpoint may hold the logarithm of the threshold."""
    if opened.has("log_threshold"):
        threshold = opened.take("log_threshold", "f").exp()
    else:
        threshold = opened.take("threshold", "f")
    return replace(_plain(opened), architecture="jumprelu", threshold=threshold)


def _batchtopk(opened: Opened, config: Config) -> Sae:
    """A training checkpoint; a finished one is saved as jumprelu."""
    if opened.has("threshold"):
        return _jumprelu(opened, config)
    if not opened.has("topk_threshold"):
        raise opened.misfit("tensor topk_threshold is missing: without it batchtopk has no code")
    value = opened.number("topk_threshold")
    plain = _plain(opened)
    return replace(plain, architecture="batchtopk", threshold=flat_threshold(value, plain.b_enc))


def _matryoshka(opened: Opened, config: Config) -> Sae:
    """Widths are those of the nested prefixes, the last of which may be left out."""
    sae = _batchtopk(opened, config)
    widths = [int(w) for w in config.get("matryoshka_widths") or ()]
    ends = sorted({w for w in widths if 0 < w < sae.size} | {sae.size})
    return replace(sae, groups=tuple(b - a for a, b in zip([0, *ends], ends, strict=False)))


def _gated(opened: Opened, _config: Config) -> Sae:
    opened.drop("b_enc")
    return Sae(
        W_enc=opened.take("W_enc", "df"),
        b_enc=opened.take("b_gate", "f"),
        W_dec=opened.take("W_dec", "fd"),
        b_dec=opened.take("b_dec", "d"),
        architecture="gated",
        gain=opened.take("r_mag", "f").exp(),
        b_mag=opened.take("b_mag", "f"),
    )


def _pursuit(opened: Opened, config: Config) -> Sae:
    """Tied: the encoder is the decoder, and what is not taken off is not added."""
    opened.drop("W_enc", "b_enc")
    W_dec, b_dec = opened.take("W_dec", "fd"), opened.take("b_dec", "d")
    if config.get("normalize_activations") == "expected_average_only_in":
        raise opened.misfit("a pursuit trained on scaled activations cannot be folded")
    every = config.get("max_iterations") is None
    return Sae(
        W_dec.T.contiguous(),
        torch.zeros(len(W_dec)),
        W_dec,
        b_dec * bool(config.get("apply_b_dec_to_input", True)),
        architecture="matching_pursuit",
        k=W_dec.shape[1] if every else opened.positive("max_iterations", config),
        least=max(0.0, float(config.get("residual_threshold", 1e-2))),
        stop_at_repeat=bool(config.get("stop_on_duplicate_support", True)),
    )


BUILDERS: dict[str, Callable[[Opened, Config], Sae]] = {
    "standard": _relu,
    "tanh-relu": _tanh,
    "topk": _topk,
    "abstopk": _abstopk,
    "jumprelu": _jumprelu,
    "batchtopk": _batchtopk,
    "matryoshka_batchtopk": _matryoshka,
    "gated": _gated,
    "matching_pursuit": _pursuit,
}


def _finetuned(opened: Opened, config: Config, sae: Sae) -> Sae:
    """The factor of codes before decoding: all ones, or allowed by the settings, or refused."""
    key = next((key for key in FACTORS if opened.has(key)), "")
    if not key:
        return sae
    factor: Tensor = opened.take(key, "f")
    if torch.equal(factor, torch.ones_like(factor)):
        return sae
    if not config.get("finetuning_scaling_factor"):
        raise opened.misfit(
            f"it holds a {key} that is not 1, and its settings say that there is none"
            " (finetuning_scaling_factor): which of the two is right cannot be known"
        )
    return scaled_codes(sae, factor)


def _normalized(opened: Opened, config: Config, sae: Sae) -> Sae:
    normalize = config.get("normalize_activations") or "none"
    if normalize == "expected_average_only_in":
        scale = config.get("scaling_factor") or opened.sidecar.get("scaling_factor")
        if not isinstance(scale, int | float) or not scale > 0:
            raise opened.misfit(
                "it was trained on scaled activations and does not hold the scale: lay"
                ' activation_scaler.json beside it, {"scaling_factor": s}, or save it folded'
            )
        return affine_input(sae, torch.zeros_like(sae.b_dec), torch.tensor(1 / scale))
    if normalize not in NORMALIZE:
        raise opened.misfit(
            f"normalize_activations {normalize!r} is not supported; save the dictionary folded"
        )
    return replace(sae, normalize=NORMALIZE[normalize])


def _placed(opened: Opened, config: Config, sae: Sae, architecture: str) -> Found:
    hook = str(config.get("hook_name") or "")
    if config.get("hook_head_index") is not None:
        raise opened.misfit("it belongs to one attention head only, which is no site of its own")
    lens = LENS.fullmatch(hook)
    facts = {
        "architecture": architecture,
        "hook": hook,
        "model": str(config.get("model_name") or ""),
        "version": str(config.get("sae_lens_version") or ""),
    }
    return Found(
        sae,
        source="SAELens",
        site=site_of(opened.name, hook),
        usual_tokens="all",
        unplaced=counted_from_end(int(lens[1])) if lens else f"its hook is {hook!r}",
        facts={key: value for key, value in facts.items() if value},
    )
