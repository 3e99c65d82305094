"""SAELens' own classes save dictionaries of every architecture they have."""

import sys
import types

import torch
from project import D, F, activations, bare, randomised, record

bare("sae_lens")
hooks = types.ModuleType("transformer_lens.hook_points")
hooks.HookPoint = torch.nn.Identity  # what a hook point computes
lens = types.ModuleType("transformer_lens.HookedTransformer")
lens.HookedRootModule = type("HookedRootModule", (torch.nn.Module,), {"setup": lambda self: None})
sys.modules |= {hooks.__name__: hooks, lens.__name__: lens}

from sae_lens import saes  # noqa: E402
from sae_lens.registry import register_sae_class, register_sae_training_class  # noqa: E402

OUT = sys.argv[1]
KINDS = ("Standard", "Gated", "TopK", "AbsTopK", "JumpReLU", "MatchingPursuit", "Temporal")
KINDS += ("Transcoder", "SkipTranscoder", "JumpReLUTranscoder", "JumpReLUSkipTranscoder")
TRAINED = ("Standard", "Gated", "TopK", "AbsTopK", "JumpReLU", "BatchTopK", "MatryoshkaBatchTopK")
for kind in KINDS:
    name = kind if "Transcoder" in kind else f"{kind}SAE"
    own = getattr(saes, name), getattr(saes, f"{name}Config")
    register_sae_class(own[1].architecture(), *own)
for kind in TRAINED:
    own = getattr(saes, f"{kind}TrainingSAE"), getattr(saes, f"{kind}TrainingSAEConfig")
    register_sae_training_class(own[1].architecture(), *own)


def made(name, **config):
    metadata = saes.sae.SAEMetadata(hook_name="blocks.3.hook_resid_post", model_name="vit")
    settings = getattr(saes, f"{name}Config")(d_in=D, d_sae=F, metadata=metadata, **config)
    return randomised(getattr(saes, name)(settings))


def saved(case, name, **config):
    sae = made(name, **config)
    if "Pursuit" in name:  # trained on rows of unit length; others would make it diverge
        sae.W_dec.data /= sae.W_dec.data.norm(dim=1, keepdim=True)
    sae.save_model(record(OUT, case, sae.encode, sae.decode))


saved("standard", "StandardSAE")
saved("standard_no_bias", "StandardSAE", apply_b_dec_to_input=False)
saved("standard_layer_norm", "StandardSAE", normalize_activations="layer_norm")
saved("jumprelu", "JumpReLUSAE")
saved("jumprelu_rescale", "JumpReLUSAE", normalize_activations="constant_norm_rescale")
saved("gated", "GatedSAE")
saved("topk", "TopKSAE", k=5)
saved("topk_by_norm", "TopKSAE", k=5, rescale_acts_by_decoder_norm=True)
saved("abstopk", "AbsTopKSAE", k=5)


def trained(case, name, **config):
    """A training checkpoint, and the inference model that SAELens makes of the same weights."""
    sae = made(name, **config)
    if hasattr(sae, "topk_threshold"):
        sae.topk_threshold.fill_(0.3)
    for which in ("raw", "final"):
        path = record(OUT, f"{case}_{which}")
        (sae.save_model if which == "raw" else sae.save_inference_model)(path)
    final = saes.SAE.load_from_disk(path)
    for which in ("raw", "final"):
        record(OUT, f"{case}_{which}", final.encode, final.decode)


trained("trained_standard", "StandardTrainingSAE")
trained("trained_gated", "GatedTrainingSAE")
trained("trained_topk", "TopKTrainingSAE", k=5, rescale_acts_by_decoder_norm=False)
trained("trained_jumprelu", "JumpReLUTrainingSAE")
trained("trained_batchtopk", "BatchTopKTrainingSAE", k=5.0, rescale_acts_by_decoder_norm=False)
matryoshka = {"matryoshka_widths": [8, 16, F]}
trained("trained_matryoshka", "MatryoshkaBatchTopKTrainingSAE", k=5.0, **matryoshka)

folded = made("StandardSAE", normalize_activations="expected_average_only_in")
before = folded.encode(activations() * 2.5).detach()
folded.fold_activation_norm_scaling_factor(2.5)
torch.testing.assert_close(folded.encode(activations()), before)
folded.save_model(record(OUT, "folded", folded.encode, folded.decode))

saved("pursuit", "MatchingPursuitSAE", residual_threshold=0.5, max_iterations=6)
for case, repeats in (("pursuit_repeating", False), ("pursuit_new_only", True)):
    more = {"max_iterations": None, "stop_on_duplicate_support": repeats}
    saved(case, "MatchingPursuitSAE", apply_b_dec_to_input=repeats, **more)
for name in ("Transcoder", "SkipTranscoder", "JumpReLUTranscoder"):
    other = made(name, d_out=D, apply_b_dec_to_input=False)
    other.save_model(record(OUT, name.lower(), refused=other.cfg.architecture()))
