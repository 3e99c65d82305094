"""Folders as dictionary_learning and sparsify save them."""

import json

import numpy as np
import torch
from safetensors.torch import save_file

from made.weights import GATED, D, F, Made, Weights, keep_top, relu
from steerboard.dictionary.formats import Hints


def dl_linear(w, bias):
    held = w.tensors()
    tensors = {"encoder.weight": held["W_enc"].T.contiguous(), "encoder.bias": held["b_enc"]}
    return tensors | {"decoder.weight": held["W_dec"].T.contiguous(), bias: held["b_dec"]}


def dl(folder, name, tensors, forward, **trainer):
    torch.save(tensors, folder / "ae.pt")
    settings = {"dict_class": name, "activation_dim": D, "dict_size": F} | trainer
    (folder / "config.json").write_text(json.dumps({"trainer": settings, "buffer": {}}))
    hints = Hints(site="resid_post.1", tokens="all")
    return Made(folder, forward, hints)


def dl_autoencoder(folder):
    """from_pretrained moves the norms of the decoder into the encoder."""
    w = Weights(70)
    norm = np.linalg.norm(w.W_dec, axis=1)

    def forward(x):
        z = relu((x - w.b_dec) @ (w.W_enc * norm) + w.b_enc * norm)
        return z, z @ (w.W_dec / norm[:, None]) + w.b_dec

    return dl(folder, "AutoEncoder", dl_linear(w, "bias"), forward)


def dl_new(folder):
    w = Weights(71)
    return dl(folder, "AutoEncoderNew", dl_linear(w, "decoder.bias"), w.forward(relu, bias=False))


def dl_gated(folder):
    w = Weights(72, **GATED)
    tensors = dl_linear(w, "decoder_bias") | {"r_mag": w.tensors()["r_mag"]}
    tensors |= {"gate_bias": w.tensors()["b_gate"], "mag_bias": w.tensors()["b_mag"]}
    del tensors["encoder.bias"]
    return dl(folder, "GatedAutoEncoder", tensors, w.gated())


def dl_topk(folder):
    w = Weights(73)
    tensors = dl_linear(w, "b_dec") | {"k": torch.tensor(5), "threshold": torch.tensor(0.4)}
    forward = w.forward(lambda p: keep_top(relu(p), 5))
    return dl(folder, "AutoEncoderTopK", tensors, forward, k=5)


def dl_batchtopk(folder):
    w = Weights(74)
    tensors = dl_linear(w, "b_dec") | {"k": torch.tensor(5), "threshold": torch.tensor(0.4)}
    forward = w.forward(lambda p: relu(p) * (relu(p) > np.float32(0.4)))
    return dl(folder, "BatchTopKSAE", tensors, forward, k=5)


def dl_matryoshka(folder, name="MatryoshkaBatchTopKSAE"):
    w = Weights(75)
    more = {"k": torch.tensor(5), "threshold": torch.tensor(0.4)}
    more["group_sizes"] = torch.tensor([6, 18])
    forward = w.forward(lambda p: relu(p) * (relu(p) > np.float32(0.4)))
    return dl(folder, name, w.tensors() | more, forward, k=5)


def dl_matroyshka(folder):
    """As sae-for-vlm spells it."""
    return dl_matryoshka(folder, "MatroyshkaBatchTopKSAE")


def dl_jumprelu(folder):
    w = Weights(76, threshold=(F,))
    forward = w.forward(lambda p: relu(p) * (p > w.threshold), bias=False)
    return dl(folder, "JumpReluAutoEncoder", w.tensors(), forward)


def sparsify(folder, activation, act, seed):
    w = Weights(seed)
    held = w.tensors("W_dec", "b_dec")
    held |= {
        "encoder.weight": w.tensors()["W_enc"].T.contiguous(),
        "encoder.bias": w.tensors()["b_enc"],
    }
    path = folder / "layers.1"
    path.mkdir()
    save_file(held, path / "sae.safetensors")
    config = {"k": 6, "num_latents": F, "expansion_factor": 32, "d_in": D, "activation": activation}
    (path / "cfg.json").write_text(json.dumps(config | {"transcode": False}))
    return Made(path, w.forward(act), Hints(tokens="all"))


def sparsify_topk(folder):
    return sparsify(folder, "topk", lambda p: keep_top(relu(p), 6), 80)


def sparsify_groupmax(folder):
    def act(p):
        groups = relu(p).reshape(len(p), 6, 4)
        return (groups * (groups == groups.max(2, keepdims=True))).reshape(p.shape)

    return sparsify(folder, "groupmax", act, 81)
