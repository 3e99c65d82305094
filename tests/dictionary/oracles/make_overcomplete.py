"""Overcomplete's own modules, each saved as the state_dict that its users hold."""

import json
import sys

import torch
from project import D, F, activations, bare, randomised, record

bare("overcomplete")
from overcomplete.sae import QSAE, SAE, BatchTopKSAE, JumpSAE, TopKSAE  # noqa: E402
from overcomplete.sae.rasae import RAJumpSAE, RATopKSAE  # noqa: E402

OUT = sys.argv[1]
PLACE = {"site": "resid_post.3", "tokens": "patches"}


def saved(case, model, side):
    """In eval mode, as one runs it, with the side-car that a person writes."""
    randomised(model).train()
    model(activations())  # normalises the dictionary as training does
    model.eval()
    path = record(OUT, case, lambda x: model.encode(x)[1], model.decode, **PLACE)
    torch.save(model.state_dict(), path / "model.pt")
    (path / "model.json").write_text(json.dumps(side))


for kind in ("l2", "max_l2", "l1", "max_l1", "identity"):
    parameters = {"normalization": kind, "use_multiplier": True}
    side = {"arch": "topk", "top_k": 5, "normalization": kind}
    saved(f"topk_{kind}", TopKSAE(D, F, top_k=5, dictionary_params=parameters), side)

L2 = {"normalization": "l2"}
saved("plain", SAE(D, F), {"arch": "sae"} | L2)
saved("jump", JumpSAE(D, F), {"arch": "jump"} | L2)
points = torch.randn(40, D)
saved("ra_topk", RATopKSAE(D, F, points.clone(), top_k=5), {"arch": "topk", "top_k": 5})
saved("ra_jump", RAJumpSAE(D, F, points.clone()), {"arch": "jump"})
batch = BatchTopKSAE(D, F, top_k=200)
randomised(batch).train()
batch(activations())
side = {"arch": "batchtopk", "running_threshold": float(batch.running_threshold)} | L2
batch.eval()
path = record(OUT, "batchtopk", lambda x: batch.encode(x)[1], batch.decode, **PLACE)
torch.save(batch.state_dict(), path / "model.pt")
(path / "model.json").write_text(json.dumps(side))
saved("tied", TopKSAE(D, F, top_k=5).tied(), {"arch": "topk", "top_k": 5} | L2)
saved("tied_bias", TopKSAE(D, F, top_k=5).tied(bias=True), {"arch": "topk", "top_k": 5} | L2)
saved("untied", TopKSAE(D, F, top_k=5).untied(), {"arch": "topk", "top_k": 5} | L2)
saved("untied_bias", SAE(D, F).untied(bias=True), {"arch": "sae"} | L2)

for case, model, why in (
    ("quantised", QSAE(D, F), "QSAE"),
    ("mlp", TopKSAE(D, F, top_k=5, encoder_module="mlp_ln_3"), "not linear"),
    ("batch_norm", TopKSAE(D, F, top_k=5, encoder_module="mlp_bn_1"), "not linear"),
):
    path = record(OUT, case, refused=why, **PLACE)
    torch.save(model.state_dict(), path / "model.pt")
    (path / "model.json").write_text(json.dumps({"arch": "topk", "top_k": 5} | L2))
