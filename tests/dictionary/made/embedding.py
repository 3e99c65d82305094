"""Files as attributing-clip, MSAE and DN-CBM save them."""

import numpy as np
import torch
import yaml

from made.weights import D, F, Made, Weights, keep_top, relu, top_relu


def lightning(folder, names, seed):
    """attributing-clip's checkpoint, under old or new names of weight_norm."""
    w = Weights(seed, g=(F, 1), v=(F, D), bias=(F,), out=(D, F))
    held = w.tensors("g", "v", "bias", "out")
    state = {
        f"encoder.0.{names[0]}": held["g"],
        f"encoder.0.{names[1]}": held["v"],
        "encoder.0.bias": held["bias"],
        f"decoder.{names[0]}": torch.ones(1, F),
        f"decoder.{names[1]}": held["out"],
    }
    path = folder / "last.ckpt"
    torch.save({"state_dict": state, "epoch": 9, "global_step": 5, "loops": {}}, path)
    side = folder / "last.yaml"
    side.write_text(
        yaml.safe_dump(
            {
                "model_name": "clip_vit_b16_datacomp_xl_s13b_b90k",
                "sae_hidden_dim": F,
                "sae_k": 18,
                "sae_layer_idx": 1,
                "sae_token": "spatial",
            }
        )
    )
    encoder = w.g * w.v / np.linalg.norm(w.v, axis=1, keepdims=True)
    decoder = (w.out / np.linalg.norm(w.out, axis=0, keepdims=True)).T

    def forward(x):
        z = keep_top(x @ encoder.T + w.bias, 18)
        return z, z @ decoder

    return Made(path, forward, tokens="patches", gate="cosine")


def attributing_clip_old(folder):
    return lightning(folder, ("weight_g", "weight_v"), 60)


def attributing_clip_new(folder):
    names = "parametrizations.weight.original0", "parametrizations.weight.original1"
    return lightning(folder, names, 61)


def msae(folder, name, act, seed, cap, more=None, preprocess=True):
    w = Weights(seed, pre_bias=(D,), mean=(D,))
    held = w.tensors()
    model = {"pre_bias": held["pre_bias"], "encoder": held["W_enc"], "decoder": held["W_dec"]}
    model |= {"latent_bias": held["b_enc"], "latents_activation_frequency": torch.ones(F)}
    state = {"model": model | (more or {})}
    state |= {"mean_center": held["mean"], "scaling_factor": 1.7, "target_norm": 4.0}
    path = folder / name
    torch.save(state, path)

    def forward(x):
        p = ((x - w.mean) * 1.7 - w.pre_bias) @ w.W_enc + w.b_enc
        z = act(p)
        z = cap * np.tanh(z / cap) if cap else z
        return z, (z @ w.W_dec + w.pre_bias) / 1.7 + w.mean

    return Made(path, forward, site="embedding")


def msae_topk(folder):
    name = f"{F}_{D}_TopKReLU_5_RW_False_False_1.5_cc3m.pt"
    return msae(folder, name, lambda p: top_relu(p, 5), 90, 1.5)


def msae_relu(folder):
    return msae(folder, f"{F}_{D}_ReLU_False_False_0.0.pt", relu, 91, 0)


def dn_cbm(folder, leading, seed):
    w = Weights(seed)
    held, axis = w.tensors(), (lambda t: t[None]) if leading else (lambda t: t)
    bias = axis(held["b_dec"])
    state = {"tied_bias": bias, "encoder._weight": axis(held["W_enc"].T.contiguous())}
    state |= {
        "encoder._bias": axis(held["b_enc"]),
        "decoder._weight": axis(held["W_dec"].T.contiguous()),
    }
    state |= {"pre_encoder_bias._bias_reference": bias, "post_decoder_bias._bias_reference": bias}
    path = folder / "sparse_autoencoder_final.pt"
    torch.save(state, path)
    return Made(path, w.forward(relu), site="embedding")


def dn_cbm_component(folder):
    return dn_cbm(folder, True, 95)


def dn_cbm_bare(folder):
    return dn_cbm(folder, False, 96)
