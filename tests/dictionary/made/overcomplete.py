"""State dicts as users of Overcomplete hold them, each with its side-car."""

import json
from collections import OrderedDict

import numpy as np
import torch

from made.weights import D, F, Made, Weights, keep_top, relu
from steerboard.dictionary.formats import Hints


def overcomplete(folder, tensors, side, forward):
    path = folder / "model.pt"
    torch.save(OrderedDict(tensors), path)
    (folder / "model.json").write_text(json.dumps(side))
    hints = Hints(site="resid_post.1", tokens="patches")
    return Made(path, forward, hints, tokens="patches")


def oc_weights(seed):
    return Weights(seed, weight=(F, D), bias=(F,), rows=(F, D))


def oc_tensors(w):
    held = w.tensors("weight", "bias", "rows")
    return {
        "encoder.final_block.0.weight": held["weight"],
        "encoder.final_block.0.bias": held["bias"],
        "dictionary._weights": held["rows"],
        "dictionary.multiplier": torch.tensor(0.3),
    }


def oc_forward(w, act, normalise):
    rows = normalise(w.rows) * np.exp(np.float32(0.3))

    def forward(x):
        z = act(relu(x @ w.weight.T + w.bias))
        return z, z @ rows

    return forward


def l2(rows):
    return rows / (np.linalg.norm(rows, axis=1, keepdims=True) + 1e-8)


def overcomplete_topk(folder):
    w = oc_weights(50)
    side = {"arch": "topk", "top_k": 5, "normalization": "l2"}
    return overcomplete(folder, oc_tensors(w), side, oc_forward(w, lambda z: keep_top(z, 5), l2))


def overcomplete_plain_max_l1(folder):
    w = oc_weights(51)
    side = {"arch": "sae", "normalization": "max_l1"}
    forward = oc_forward(w, lambda z: z, lambda r: r / np.abs(r).sum(1).max())
    return overcomplete(folder, oc_tensors(w), side, forward)


def overcomplete_batchtopk(folder):
    w = oc_weights(52)
    side = {"arch": "batchtopk", "running_threshold": 0.8, "normalization": "identity"}
    forward = oc_forward(w, lambda z: z * (z >= np.float32(0.8)), lambda r: r)
    return overcomplete(folder, oc_tensors(w), side, forward)


def overcomplete_jump(folder):
    w = Weights(53, weight=(F, D), bias=(F,), rows=(F, D), thresholds=(F,))
    tensors = oc_tensors(w) | w.tensors("thresholds")
    forward = oc_forward(w, lambda z: z * (z >= np.exp(w.thresholds)), l2)
    return overcomplete(folder, tensors, {"arch": "jump", "normalization": "l2"}, forward)


def overcomplete_tied(folder):
    """The encoder is the dictionary, which stands in the file twice."""
    w = oc_weights(54)
    rows, multiplier = w.tensors("rows")["rows"], torch.tensor(0.0)
    tensors = {"encoder.tied_to._weights": rows, "encoder.tied_to.multiplier": multiplier}
    tensors |= {"dictionary._weights": rows, "dictionary.multiplier": multiplier}

    def forward(x):
        z = relu(x @ l2(w.rows).T)
        return z, z @ l2(w.rows)

    return overcomplete(folder, tensors, {"arch": "sae", "normalization": "l2"}, forward)


def overcomplete_archetypal(folder):
    w = Weights(55, weight=(F, D), bias=(F,), C=(30, D), W=(F, 30), Relax=(F, D))
    held = w.tensors("weight", "bias", "C", "W", "Relax")
    tensors = {f"dictionary.{n}": held[n] for n in ("C", "W", "Relax")}
    tensors |= {
        "encoder.final_block.0.weight": held["weight"],
        "dictionary.multiplier": torch.zeros(()),
    }
    tensors |= {"encoder.final_block.0.bias": held["bias"]}
    convex = relu(w.W)
    rows = (convex / (convex.sum(1, keepdims=True) + 1e-8)) @ w.C + w.Relax

    def forward(x):
        z = keep_top(relu(x @ w.weight.T + w.bias), 6)
        return z, z @ rows

    return overcomplete(folder, tensors, {"arch": "ratopk", "top_k": 6}, forward)
