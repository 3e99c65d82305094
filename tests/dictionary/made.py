"""Files of each format built key by key, each with its forward pass in numpy and float64.

Written from the projects' own code, apart from ``steerboard.dictionary``: the second route to
the numbers that the readers are held to.
"""

import gzip
import json
import pickle
import sys
import types
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
import yaml
from safetensors.torch import save_file

from steerboard.dictionary.formats import Hints

D, F = 6, 24
Forward = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]


@dataclass
class Made:
    """A file or folder, what to say along with it, and what it computes: x to (codes, x_hat)."""

    path: Path
    forward: Forward
    hints: Hints = field(default_factory=Hints)
    site: str = "resid_post.1"
    tokens: str = "all"
    gate: str = "explained_variance"


def relu(p):
    return np.maximum(p, 0)


def keep_top(p, k, by=lambda p: p):
    kept = np.zeros_like(p)
    for row, own, size in zip(kept, p, by(p), strict=True):
        top = np.argsort(-size, kind="stable")[:k]
        row[top] = own[top]
    return kept


def top_relu(p, k):
    return relu(keep_top(p, k))


def layer_norm(x):
    mean, spread = x.mean(1, keepdims=True), x.std(1, ddof=1, keepdims=True)
    return (x - mean) / (spread + 1e-5), lambda y: y * spread + mean


def rescale(x):
    factor = np.sqrt(x.shape[1]) / np.linalg.norm(x, axis=1, keepdims=True)
    return x * factor, lambda y: y / factor


def plain(x):
    return x, lambda y: y


class Weights:
    """Random arrays, float32 in files and float64 in forward passes."""

    def __init__(self, seed=0, **shapes):
        rng = np.random.default_rng(seed)
        names = {"W_enc": (D, F), "b_enc": (F,), "W_dec": (F, D), "b_dec": (D,)} | shapes
        self.arrays = {n: rng.normal(size=s).astype(np.float32) * 0.7 for n, s in names.items()}

    def __getattr__(self, name):
        if name == "arrays" or name not in self.arrays:
            raise AttributeError(name)
        return self.arrays[name].astype(np.float64)

    def tensors(self, *names):
        return {n: torch.from_numpy(self.arrays[n].copy()) for n in names or self.arrays}

    def forward(self, act, normal=plain, bias=True):
        """The forward pass that most projects share, with their activation ``act(p)``."""

        def run(x):
            inside, outside = normal(x)
            z = act((inside - self.b_dec * bias) @ self.W_enc + self.b_enc)
            return z, outside(z @ self.W_dec + self.b_dec)

        return run

    def gated(self, normal=plain):
        def run(x):
            inside, outside = normal(x)
            c = inside - self.b_dec
            gate = c @ self.W_enc + self.b_gate > 0
            z = gate * relu(c @ (self.W_enc * np.exp(self.r_mag)) + self.b_mag)
            return z, outside(z @ self.W_dec + self.b_dec)

        return run


GATED = {"b_gate": (F,), "r_mag": (F,), "b_mag": (F,)}


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


PRISMA = {
    "model_name": "open-clip:laion/CLIP-ViT-B-32-DataComp.XL-s13B-b90K",
    "hook_point_layer": 1,
    "layer_subtype": "hook_resid_post",
    "d_in": D,
    "d_sae": 999,  # Prisma computes it anew, what is stored is ignored
    "expansion_factor": 4,
    "activation_fn_str": "relu",
    "normalize_activations": "layer_norm",
    "cls_token_only": False,
    "use_patches_only": False,
}


def stranger_class(path, values):
    """An instance of a class as another project would pickle it, by module path and name."""
    module, _, name = path.rpartition(".")
    kind = type(name, (), {"__module__": module, "__qualname__": name})
    made = kind()
    made.__dict__.update(values)
    return made, kind


class Pretended:
    """For the time of saving, modules of projects that are not installed."""

    def __init__(self, kind):
        self.kind, self.added = kind, []

    def __enter__(self):
        parts = self.kind.__module__.split(".")
        for i in range(1, len(parts) + 1):
            name = ".".join(parts[:i])
            if name not in sys.modules:
                sys.modules[name] = types.ModuleType(name)
                self.added.append(name)
        setattr(sys.modules[self.kind.__module__], self.kind.__name__, self.kind)

    def __exit__(self, *_):
        for name in self.added:
            del sys.modules[name]


def prisma_beside(folder):
    """Layout 1, a bare state dict beside config.json."""
    w = Weights(20)
    torch.save(w.tensors(), folder / "weights.pt")
    (folder / "config.json").write_text(json.dumps(PRISMA))
    return Made(folder, w.forward(relu, layer_norm))


def prisma_pickled(folder):
    """Layout 2, the settings as a pickled class inside the file."""
    w = Weights(21)
    values = PRISMA | {
        "activation_fn_str": "topk",
        "activation_fn_kwargs": {"k": 4},
        "cls_token_only": True,
        "_device": torch.device("cuda:0"),
        "_dtype": torch.float32,
        "checkpoint_path": Path("/scratch/run"),
    }
    config, kind = stranger_class("vit_prisma.sae.config.VisionModelSAERunnerConfig", values)
    path = folder / "n_images_2600058.pt"
    with Pretended(kind):
        torch.save({"cfg": config, "state_dict": OrderedDict(w.tensors())}, path)
    return Made(path, w.forward(lambda p: top_relu(p, 4), layer_norm), tokens="prefix")


def prisma_gated(folder):
    w = Weights(22, **GATED)
    config = PRISMA | {"architecture": "gated", "use_patches_only": True}
    torch.save(w.tensors() | {"b_enc": torch.ones(F)}, folder / "weights.pt")
    (folder / "config.json").write_text(json.dumps(config))
    return Made(folder, w.gated(layer_norm), tokens="patches")


def prisma_gzip(folder):
    """A bare pickle, compressed: its tensors carry their storages as torch's older stream."""
    w = Weights(23)
    path = folder / "final.pkl.gz"
    config = PRISMA | {"normalize_activations": "none"}
    with gzip.open(path, "wb") as file:
        pickle.dump({"cfg": config, "state_dict": w.tensors()}, file)
    return Made(path, w.forward(relu))


def prisma_legacy(folder):
    """sae_lens 2's nesting, in torch's format from before 1.6."""
    w = Weights(24)
    path = folder / "old.pt"
    saved = {"config": PRISMA, "autoencoder": {"state_dict": w.tensors()}}
    torch.save(saved, path, _use_new_zipfile_serialization=False)
    return Made(path, w.forward(relu, layer_norm))


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


PATCH = {
    "block_layer": 1,
    "module_name": "resid",
    "class_token": True,
    "d_in": D,
    "expansion_factor": 4,
}


def patchsae_dict(folder):
    w = Weights(40)
    path = folder / "patchsae.pt"
    torch.save({"config": PATCH, "state_dict": w.tensors()}, path)
    return Made(path, w.forward(relu))


def patchsae_pickled(folder):
    w = Weights(41)
    values = PATCH | {"block_layer": -2, "_dtype": torch.float32}
    config, kind = stranger_class("src.sae_training.config.ViTSAERunnerConfig", values)
    path = folder / "final.pkl"
    with Pretended(kind), path.open("wb") as file:
        pickle.dump({"cfg": config, "state_dict": w.tensors()}, file)
    return Made(path, w.forward(relu), Hints(site="resid_post.1", tokens="prefix"), tokens="prefix")


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


MAKERS = [
    saelens_standard,
    saelens_layer_norm,
    saelens_rescale_no_bias,
    saelens_topk_by_norm,
    saelens_jumprelu,
    saelens_log_threshold,
    saelens_batchtopk,
    saelens_gated,
    saelens_v5_tanh,
    saelens_v4_topk,
    saelens_v2_hook_point,
    saelens_finetuned,
    saelens_scaled,
    saelens_hook_z,
    prisma_beside,
    prisma_pickled,
    prisma_gated,
    prisma_gzip,
    prisma_legacy,
    saev_first,
    saev_first_scaled,
    saev_1_by_class,
    saev_1_by_config,
    saev_3,
    saev_5,
    patchsae_dict,
    patchsae_pickled,
    overcomplete_topk,
    overcomplete_plain_max_l1,
    overcomplete_batchtopk,
    overcomplete_jump,
    overcomplete_tied,
    overcomplete_archetypal,
    attributing_clip_old,
    attributing_clip_new,
    dl_autoencoder,
    dl_new,
    dl_gated,
    dl_topk,
    dl_batchtopk,
    dl_matryoshka,
    dl_matroyshka,
    dl_jumprelu,
    sparsify_topk,
    sparsify_groupmax,
    msae_topk,
    msae_relu,
    dn_cbm_component,
    dn_cbm_bare,
]
