"""Random weights, the arithmetic that the projects share, and what a made file is."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch

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
