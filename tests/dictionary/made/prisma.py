"""Files as Prisma and PatchSAE save them, with settings beside, inside, and pickled."""

import gzip
import json
import pickle
import sys
import types
from collections import OrderedDict
from pathlib import Path

import torch

from made.weights import GATED, D, F, Made, Weights, layer_norm, relu, top_relu
from steerboard.dictionary.formats import Hints

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
