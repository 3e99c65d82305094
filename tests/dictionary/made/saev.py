"""Files as saev saves them, one for every generation of its header."""

import json

import numpy as np
import torch

from made.weights import D, F, Made, Weights, keep_top, relu
from steerboard.dictionary.formats import Hints


def saev(folder, header, forward, weights, more=None, **made):
    path = folder / "sae.pt"
    with path.open("wb") as file:
        file.write(json.dumps(header).encode() + b"\n")
        torch.save(weights.tensors() | (more or {}), file)
    hints = made.pop("hints", Hints(site="resid_post.1"))
    return Made(path, forward, hints, tokens=made.pop("tokens", "patches"), **made)


def saev_first(folder):
    w = Weights(30)
    header = {"d_vit": D, "exp_factor": 4, "sparsity_coeff": 4e-4, "n_reinit_samples": 10}
    return saev(folder, header, w.forward(relu), w)


def saev_first_scaled(folder):
    """February 2025: trained on activations less their mean, over a scalar, in a side-car."""
    w = Weights(31)
    mean, scalar = np.linspace(-1, 1, D), 3.0
    inner = w.forward(relu)

    def forward(x):
        z, x_hat = inner((x - mean) / scalar)
        return z, x_hat * scalar + mean

    side = folder / "norm.json"
    side.write_text(json.dumps({"mean": mean.tolist(), "scalar": scalar}))
    hints = Hints(site="resid_post.1", sidecar=side)
    return saev(folder, {"sparsity_coeff": 4e-4}, forward, w, hints=hints)


def saev_1_by_class(folder):
    w = Weights(32)
    header = {
        "schema": 1,
        "cls": "TopK",
        "cfg": {"d_vit": D, "top_k": 4},
        "commit": "abc",
        "lib": "",
    }
    return saev(folder, header, w.forward(lambda p: keep_top(p, 4)), w)


def saev_1_by_config(folder):
    w = Weights(33)
    header = {"schema": 1, "cls": "SparseAutoencoderConfig", "commit": "abc", "lib": "0.1"}
    header["cfg"] = {"d_vit": D, "activation": {"cls": "Relu", "params": {}}}
    return saev(folder, header, w.forward(relu), w)


def saev_3(folder):
    w = Weights(34)
    header = {"schema": 3, "cfg": {"d_model": D, "d_sae": F}, "commit": "abc", "lib": "0.2"}
    header["cfg"]["activation"] = {"cls": "TopK", "params": {"top_k": 18}}
    return saev(folder, header, w.forward(lambda p: keep_top(p, 18), bias=False), w)


def saev_5(folder):
    w = Weights(35)
    header = {"schema": 5, "cfg": {"d_model": D, "d_sae": F}, "commit": "abc", "lib": "0.5"}
    header["cfg"]["activation"] = {"key": "batch-topk", "cls": "BatchTopK", "params": {"top_k": 4}}
    more = {"activation.threshold": torch.tensor(0.5)}
    return saev(folder, header, w.forward(lambda p: np.where(p > 0.5, p, 0), bias=False), w, more)
