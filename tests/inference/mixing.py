"""A house with every kind of dictionary and two models, and its float64 reference."""

import copy
import shutil
from dataclasses import replace

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch.nn import functional

from steerboard.dictionary.sae import Sae
from steerboard.inprocess.config import read_config
from steerboard.inprocess.served import serve
from steerboard.model.edits import Editor, Layout
from steerboard.model.load import load
from steerboard.model.reference import ReferenceDictionary, ReferenceSite, apply
from steerboard.model.towers import read_tower
from steerboard.spec.capabilities import DictionaryInfo

WIDTH, SIZE = 24, 40
BOOKS = {
    "points": ("resid_post.0", {}),
    "patches": ("resid_post.0", {"tokens": "patches", "subtract_bias": False}),
    "topk": ("resid_post.1", {"architecture": "topk", "k": 6}),
    "signed": ("mlp_post.1", {"architecture": "topk", "k": 5, "signed": True}),
    "jump": ("resid_pre.1", {"architecture": "jumprelu", "threshold": torch.full((SIZE,), 0.3)}),
    "normal": ("resid_post.1", {"normalize": "layer_norm"}),
    "rescale": (
        "resid_pre.2",
        {"architecture": "topk", "k": 7, "normalize": "constant_norm_rescale"},
    ),
    "last": ("resid_post.2", {"tokens": "prefix", "architecture": "topk", "k": 4}),
}


def book(seed, width, **more):
    rng = np.random.default_rng(seed)
    shapes = {"W_enc": (width, SIZE), "b_enc": (SIZE,), "W_dec": (SIZE, width), "b_dec": (width,)}
    scale = {"W_enc": 0.4, "b_enc": 0.2, "W_dec": 0.4, "b_dec": 0.1}
    arrays = {n: torch.tensor(rng.normal(size=s) * scale[n]).float() for n, s in shapes.items()}
    return Sae(**arrays, **more)


def mixed_house(tiny_house, folder):
    """``{"tiny": ..., "other": ...}``: two models of one architecture under the same books."""
    config, base = read_config(tiny_house)
    served = serve("tiny", config.models["tiny"], base, "test")
    widths = {site.name: site.width for site in served.info.sites}
    books = {
        name: book(i, widths[site], **kind) for i, (name, (site, kind)) in enumerate(BOOKS.items())
    }
    told = tuple(
        DictionaryInfo(
            id=name,
            fingerprint=name,
            site=BOOKS[name][0],
            tokens=sae.tokens,
            architecture=sae.architecture,
            size=SIZE,
        )
        for name, sae in books.items()
    )
    layout = Layout(served.loaded.tower.prefix, served.loaded.tower.grid)
    editor = Editor(layout, books, served.editor.n_bar, served.loaded.tower.heads)
    info = served.info.model_copy(update={"dictionaries": told})
    first = replace(served, editor=editor, books=books, info=info)
    loaded = other_model(base / "model", folder / "other")
    info = info.model_copy(update={"id": "other", "fingerprint": loaded.fingerprint})
    return {"tiny": first, "other": replace(first, loaded=loaded, info=info)}


def other_model(source, folder):
    """The same architecture and preprocessing, other weights."""
    shutil.copytree(source, folder)
    path = folder / "open_clip_model.safetensors"
    torch.manual_seed(5)
    moved = {k: v + 0.05 * torch.randn_like(v) for k, v in load_file(path).items()}
    save_file(moved, path)
    return load(folder)


class Reference:
    """One model in float64, one picture and one steer set at a time."""

    def __init__(self, served):
        self.served = served
        self.tower = read_tower(copy.deepcopy(served.loaded.clip.visual).double())
        self.books = {name: plain(sae) for name, sae in served.books.items()}

    def site(self, name):
        tower, n_bar = self.tower, self.served.editor.n_bar[name]
        return ReferenceSite(name, tower.prefix, tower.grid, n_bar, tower.heads, self.books)

    def embedding(self, pixels, steer_set):
        """Unit-length ``[e]``."""
        edited = {edit.site for edit in steer_set.edits}

        def visit(name, x):
            if name not in edited:
                return x
            return torch.from_numpy(apply(self.site(name), x[0].numpy(), steer_set))[None]

        with torch.inference_mode():
            start = self.tower.start(pixels.double()[None])
            return functional.normalize(self.tower.run(start, 0, visit)[0], dim=-1)

    def logits(self, data, classifier, steer_set):
        """``[c]`` of an encoded picture."""
        text = self.served.loaded.text(classifier.texts()).double()
        found = text @ self.embedding(self.served.loaded.pixels(data), steer_set)
        return (self.served.loaded.logit_scale * found + self.served.loaded.logit_bias).numpy()

    def total(self, data, classifier, dictionary, index, against):
        """``x . grad y`` over the dictionary's tokens, y the logit or the margin."""
        sae, seen = self.served.books[dictionary], []
        site = self.served.info.dictionary(dictionary).site

        def keep(name, x):
            if name == site:
                seen.append(x.detach().requires_grad_())
                return seen[0]
            return x

        text = self.served.loaded.text(classifier.texts()).double()
        read = text[index] - (text[against] if against is not None else 0)
        pixels = self.served.loaded.pixels(data).double()[None]
        embedding = functional.normalize(self.tower.run(self.tower.start(pixels), 0, keep), dim=-1)
        y = self.served.loaded.logit_scale * (embedding[0] @ read)
        (gradient,) = torch.autograd.grad(y, seen)
        alive = self.served.editor.layout.lives(sae.tokens, seen[0].shape[1])
        return float((gradient * seen[0].detach())[0, alive].sum())


def plain(sae):
    """The dictionary as float64 arrays."""
    arrays = {n: getattr(sae, n).double().numpy() for n in ("W_enc", "b_enc", "W_dec", "b_dec")}
    threshold = None if sae.threshold is None else sae.threshold.double().numpy()
    words = {n: getattr(sae, n) for n in ("architecture", "k", "signed", "subtract_bias")}
    return ReferenceDictionary(
        **arrays, **words, threshold=threshold, normalize=sae.normalize, tokens=sae.tokens
    )
