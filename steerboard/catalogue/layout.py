"""All features of a catalogue as points of a plane: what is alike lies close together.

Features begin where the two main directions of their meanings put them (PCA), and are then drawn to
those that the catalogue names as near (same pictures, similar decoder rows, nearest meanings of the
same label) and pushed off others drawn by lot: the forces of UMAP (McInnes et al., 1802.03426) with
a = b = 1. Distances between far groups mean little. The same catalogue gives the same map.
"""

import numpy as np
import pyarrow.compute as pc
from scipy import sparse

from steerboard.catalogue.columns import numbers
from steerboard.catalogue.file import Catalogue
from steerboard.catalogue.index import Index
from steerboard.catalogue.records import Array

ROUNDS, PUSHES = 80, 4
SPREAD, LONGEST, NEAREST = 10.0, 0.5, 6
LABEL_BLOCK = 400  # features of one label whose meanings are compared with each other


def layout(index: Index) -> Array:
    """``[n, 2]`` places in [-1, 1]."""
    if len(index) < 3:
        return np.zeros((len(index), 2), np.float32)
    places = main_directions(index.units)
    pulls = nearby(index, index.units)
    rng = np.random.default_rng(0)
    for step in range(ROUNDS):
        reach = LONGEST * (1 - step / ROUNDS)
        places += reach * np.clip(pulled(places, pulls) + pushed(places, rng), -4, 4)
    return spread(places)


def main_directions(x: Array) -> Array:
    """``[n, 2]`` along the two directions of largest variance, scaled to ``SPREAD``."""
    centred = x - x.mean(0)
    _, vectors = np.linalg.eigh((centred.T @ centred).astype(np.float64))
    axes = vectors[:, -1:-3:-1]
    axes = axes * np.sign(axes[np.abs(axes).argmax(0), np.arange(axes.shape[1])])
    flat = centred @ axes
    if flat.shape[1] < 2:
        flat = np.hstack([flat, np.zeros_like(flat)])
    # Without a little noise, equal meanings would never part.
    noise = np.random.default_rng(1).normal(0, 1e-3, flat.shape)
    found: Array = SPREAD * flat / max(float(np.abs(flat).max()), 1e-9) + noise
    return found.astype(np.float32)


def nearby(index: Index, meanings: Array) -> sparse.csr_array:
    """``[n, n]`` who is drawn to whom; the weights of each add up to one."""
    n = len(index)
    rows, columns, weights = [], [], []
    for which, how in (
        ("coactive_features", "coactive_overlaps"),
        ("decoder_features", "decoder_cosines"),
    ):
        at, others, values = listed(index.catalogue, index, which, how)
        rows.append(at)
        columns.append(others)
        weights.append(values)
    for own in by_label(index):
        near = meanings[own] @ meanings[own].T
        np.fill_diagonal(near, -1)
        many = min(NEAREST, len(own) - 1)
        best = np.argpartition(near, -many, axis=1)[:, -many:]
        rows.append(np.repeat(own, best.shape[1]))
        columns.append(own[best.ravel()])
        weights.append(np.take_along_axis(near, best, 1).ravel())
    entries = np.concatenate(weights).clip(0), (np.concatenate(rows), np.concatenate(columns))
    found = sparse.csr_array(entries, shape=(n, n))
    found = found + found.T
    total = np.maximum(np.asarray(found.sum(1)).ravel(), 1e-9)
    return sparse.csr_array(sparse.diags_array(1 / total) @ found)


def listed(catalogue: Catalogue, index: Index, which: str, how: str) -> tuple[Array, Array, Array]:
    """Places of features, of those that a list names as near, and how near."""
    table = catalogue.columns(which, how)
    lists = table.column(which).combine_chunks()
    sizes = numbers(pc.list_value_length(lists))
    others, there = index.place(numbers(lists.flatten()).astype(np.int64))
    values = numbers(table.column(how).combine_chunks().flatten())
    return np.repeat(np.arange(len(index)), sizes)[there], others[there], values[there]


def by_label(index: Index) -> list[Array]:
    """Places of the features of each label, a block at a time."""
    codes = index.labels.codes
    order = np.argsort(codes, kind="stable")
    parts = np.split(order, np.flatnonzero(np.diff(codes[order])) + 1)
    return [
        part[i : i + LABEL_BLOCK]
        for part in parts
        for i in range(0, len(part), LABEL_BLOCK)
        if len(part[i : i + LABEL_BLOCK]) > 1
    ]


def pulled(places: Array, pulls: sparse.csr_array) -> Array:
    """``[n, 2]`` towards what is near."""
    found: Array = pulls @ places - places * (np.asarray(pulls.sum(1)) > 0)[:, None]
    return found


def pushed(places: Array, rng: np.random.Generator) -> Array:
    """``[n, 2]`` away from others drawn by lot; the closer they are, the more."""
    out = np.zeros_like(places)
    for _ in range(PUSHES):
        away = places - places[rng.permutation(len(places))]
        square = (away * away).sum(1, keepdims=True)
        out += away / ((0.05 + square) * (1 + square))
    return out / PUSHES


def spread(places: Array) -> Array:
    """``[n, 2]`` in [-1, 1], each axis so that few lie at the edge."""
    centred = places - np.median(places, axis=0)
    scale = np.quantile(np.abs(centred), 0.995, axis=0)
    found: Array = np.clip(centred / np.maximum(scale, 1e-9), -1, 1)
    return found
