"""Folders as SAELens saves them, from its oldest settings to version 6."""

import json

import numpy as np
import torch
from safetensors.torch import save_file

from made.weights import GATED, D, F, Made, Weights, layer_norm, relu, rescale, top_relu


def saelens_folder(folder, config, tensors):
    folder.mkdir()
    save_file(tensors, folder / "sae_weights.safetensors")
    (folder / "cfg.json").write_text(json.dumps(config))
    return folder


def v6(architecture, **more):
    metadata = {"hook_name": "blocks.1.hook_resid_post", "sae_lens_version": "6.18.0"}
    return {
        "architecture": architecture,
        "d_in": D,
        "d_sae": F,
        "dtype": "torch.float32",
        "metadata": metadata,
    } | more


def v5(**more):
    hook = {"hook_name": "blocks.1.hook_resid_post", "hook_layer": 1, "hook_head_index": None}
    return {"d_in": D, "d_sae": F, "activation_fn_str": "relu"} | hook | more


def saelens(folder, config, forward, weights, more=None, **made):
    path = saelens_folder(folder / "sae", config, weights.tensors() | (more or {}))
    return Made(path, forward, **made)


def saelens_standard(folder):
    w = Weights()
    return saelens(folder, v6("standard"), w.forward(relu), w)


def saelens_layer_norm(folder):
    w = Weights(1)
    config = v6("standard", normalize_activations="layer_norm")
    return saelens(folder, config, w.forward(relu, layer_norm), w)


def saelens_rescale_no_bias(folder):
    w = Weights(2)
    config = v6("topk", k=5, normalize_activations="constant_norm_rescale")
    config["apply_b_dec_to_input"] = False
    return saelens(folder, config, w.forward(lambda p: top_relu(p, 5), rescale, False), w)


def saelens_topk_by_norm(folder):
    w = Weights(3)
    norm = np.linalg.norm(w.W_dec, axis=1)

    def forward(x):
        z = top_relu(((x - w.b_dec) @ w.W_enc + w.b_enc) * norm, 5)
        return z, (z / norm) @ w.W_dec + w.b_dec

    return saelens(folder, v6("topk", k=5, rescale_acts_by_decoder_norm=True), forward, w)


def saelens_jumprelu(folder):
    w = Weights(4, threshold=(F,))
    return saelens(folder, v6("jumprelu"), w.forward(lambda p: relu(p) * (p > w.threshold)), w)


def saelens_log_threshold(folder):
    w = Weights(5, log_threshold=(F,))
    act = w.forward(lambda p: relu(p) * (p > np.exp(w.log_threshold)))
    return saelens(folder, v6("jumprelu"), act, w)


def saelens_batchtopk(folder):
    w = Weights(6)
    norm = np.linalg.norm(w.W_dec, axis=1)

    def forward(x):
        p = ((x - w.b_dec) @ w.W_enc + w.b_enc) * norm
        z = relu(p) * (p > 0.6)
        return z, (z / norm) @ w.W_dec + w.b_dec

    more = {"topk_threshold": torch.tensor(0.6, dtype=torch.float64)}
    config = v6("batchtopk", k=5.0, rescale_acts_by_decoder_norm=True)
    return saelens(folder, config, forward, w, more)


def saelens_gated(folder):
    w = Weights(7, **GATED)
    more = {"b_enc": torch.ones(F)}  # some versions leave it there unused
    return saelens(folder, v6("gated"), w.gated(), w, more)


def saelens_v5_tanh(folder):
    w = Weights(8)
    config = v5(activation_fn_str="tanh-relu", architecture="standard")
    return saelens(folder, config, w.forward(lambda p: np.tanh(relu(p))), w)


def saelens_v4_topk(folder):
    w = Weights(9)
    config = v5(activation_fn_str="topk", activation_fn_kwargs={"k": 4})
    return saelens(folder, config, w.forward(lambda p: top_relu(p, 4)), w)


def saelens_v2_hook_point(folder):
    """The oldest names, and normalising by a bool that means nothing here."""
    w = Weights(10)
    config = {"hook_point": "blocks.1.hook_resid_pre", "hook_point_layer": 1, "d_in": D}
    config |= {"normalize_activations": False, "d_sae": F}
    return saelens(folder, config, w.forward(relu), w, site="resid_pre.1")


def saelens_finetuned(folder):
    w = Weights(11, scaling_factor=(F,))

    def forward(x):
        z = relu((x - w.b_dec) @ w.W_enc + w.b_enc)
        return z, (z * w.scaling_factor) @ w.W_dec + w.b_dec

    return saelens(folder, v5(finetuning_scaling_factor=True), forward, w)


def saelens_scaled(folder):
    """An unfolded training checkpoint with its activation_scaler.json."""
    w = Weights(12)
    inner = w.forward(relu)

    def forward(x):
        z, x_hat = inner(x * 2.5)
        return z, x_hat / 2.5

    made = saelens(
        folder, v6("standard", normalize_activations="expected_average_only_in"), forward, w
    )
    (made.path / "activation_scaler.json").write_text(json.dumps({"scaling_factor": 2.5}))
    return made


def saelens_hook_z(folder):
    w = Weights(13)
    config = v6("standard", reshape_activations="hook_z")
    config["metadata"]["hook_name"] = "blocks.1.attn.hook_z"
    return saelens(folder, config, w.forward(relu), w, site="head_out.1")
