"""dictionary_learning, sparsify, saev and ai-safety-foundation's package save their own."""

import json
import sys

import torch
from project import D, F, bare, randomised, record

OUT = sys.argv[1]
PLACE = {"site": "resid_post.3", "tokens": "all"}

bare("dictionary_learning", "dictionary_learning.trainers")
from dictionary_learning import dictionary  # noqa: E402
from dictionary_learning.trainers.batch_top_k import BatchTopKSAE  # noqa: E402
from dictionary_learning.trainers.matryoshka_batch_top_k import (  # noqa: E402
    MatryoshkaBatchTopKSAE,
)
from dictionary_learning.trainers.top_k import AutoEncoderTopK  # noqa: E402

for model in (
    dictionary.AutoEncoder(D, F),
    dictionary.AutoEncoderNew(D, F),
    dictionary.GatedAutoEncoder(D, F),
    dictionary.JumpReluAutoEncoder(D, F),
    AutoEncoderTopK(D, F, 5),
    BatchTopKSAE(D, F, 5),
    MatryoshkaBatchTopKSAE(D, F, 5, [8, 24]),
):
    kind = type(model)
    randomised(model)
    if hasattr(model, "threshold") and not model.threshold.dim():
        model.threshold.fill_(0.4)
    path = record(OUT, f"dl_{kind.__name__}", **PLACE)
    torch.save(model.state_dict(), path / "ae.pt")
    if kind is not dictionary.JumpReluAutoEncoder:  # takes no keyword it does not know
        model = kind.from_pretrained(str(path / "ae.pt"))
    trainer = {"dict_class": kind.__name__, "activation_dim": D, "dict_size": F, "k": 5}
    (path / "config.json").write_text(json.dumps({"trainer": trainer, "buffer": {}}))
    record(OUT, f"dl_{kind.__name__}", model.encode, model.decode, **PLACE)

bare("sparsify")
from sparsify.config import SparseCoderConfig  # noqa: E402
from sparsify.sparse_coder import SparseCoder  # noqa: E402


def dense(coder):
    def encode(x):
        values, which, _ = coder.encode(x)
        return torch.zeros(len(x), F).scatter_(1, which, values)

    return encode


for kind in ("topk", "groupmax"):
    coder = randomised(SparseCoder(D, SparseCoderConfig(activation=kind, num_latents=F, k=4)))
    decode = lambda z, own=coder: z @ own.W_dec + own.b_dec  # noqa: E731
    coder.save_to_disk(record(OUT, f"sparsify_{kind}", dense(coder), decode, **PLACE))
for word in ("transcode", "skip_connection"):
    coder = SparseCoder(D, SparseCoderConfig(num_latents=F, k=4, **{word: True}))
    coder.save_to_disk(record(OUT, f"sparsify_{word}", refused="transcoder", **PLACE))

bare("saev")
from saev import config, nn  # noqa: E402

sae = randomised(nn.SparseAutoencoder(config.SparseAutoencoder(d_vit=D, exp_factor=F // D)))
place = PLACE | {"tokens": "patches"}
path = record(OUT, "saev", lambda x: sae(x)[1], sae.decode, **place)
nn.dump(str(path / "sae.pt"), sae)

# Written for torch 2.1, where the name of an annotation was still there.
torch.serialization.FILE_LIKE = object
bare("sparse_autoencoder", "sparse_autoencoder.autoencoder")
from sparse_autoencoder.autoencoder import model as asf  # noqa: E402

for count in (None, 1):
    settings = asf.SparseAutoencoderConfig(
        n_input_features=D, n_learned_features=F, n_components=count
    )
    own = randomised(asf.SparseAutoencoder(settings))
    axis = (lambda t: t) if count is None else (lambda t: t[:, None])

    def encode(x, own=own, axis=axis):
        return own(axis(x)).learned_activations.reshape(len(x), F)

    def decode(z, own=own, axis=axis):
        return own.post_decoder_bias(own.decoder(axis(z))).reshape(len(z), D)

    path = record(OUT, f"dn_cbm_{count}", encode, decode)
    torch.save(own.state_dict(), path / "sparse_autoencoder_final.pt")
