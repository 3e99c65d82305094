"""SAELens 3 to 5, whose settings are flat, save what they can: one class for every architecture."""

import sys
import types

import torch
from project import D, F, bare, randomised, record

bare("sae_lens", "sae_lens.toolkit")
hooks = types.ModuleType("transformer_lens.hook_points")
hooks.HookPoint = torch.nn.Identity  # what a hook point computes
hooks.HookedRootModule = type("HookedRootModule", (torch.nn.Module,), {"setup": lambda self: None})
sys.modules[hooks.__name__] = hooks

from sae_lens.sae import SAE, SAEConfig  # noqa: E402

OUT = sys.argv[1]
PLAIN = {
    "architecture": "standard",
    "d_in": D,
    "d_sae": F,
    "activation_fn_str": "relu",
    "apply_b_dec_to_input": True,
    "finetuning_scaling_factor": False,
    "context_size": 50,
    "model_name": "vit",
    "hook_name": "blocks.3.hook_resid_post",
    "hook_layer": 3,
    "hook_head_index": None,
    "prepend_bos": False,
    "dataset_path": "",
    "dataset_trust_remote_code": False,
    "normalize_activations": "none",
    "dtype": "float32",
    "device": "cpu",
    "sae_lens_training_version": None,
}


def saved(case, **settings):
    sae = randomised(SAE(SAEConfig.from_dict(PLAIN | settings)))
    sae.save_model(str(record(OUT, case, sae.encode, sae.decode)))


saved("standard")
saved("standard_no_bias", apply_b_dec_to_input=False)
saved("layer_norm", normalize_activations="layer_norm")
saved("rescale", normalize_activations="constant_norm_rescale")
saved("tanh", activation_fn_str="tanh-relu")
saved("topk", activation_fn_str="topk", activation_fn_kwargs={"k": 5})
saved("gated", architecture="gated")
saved("jumprelu", architecture="jumprelu")
saved("finetuned", finetuning_scaling_factor=True)
