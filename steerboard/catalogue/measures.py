"""How much of one thing a feature is: clarity and polysemanticity (SemanticLens, 2501.05398).

Shapes: ``b`` feature of a block, ``n`` its top pictures, ``d`` width of the embedding. Embeddings
are of unit length; ``there [b, n]`` says which places hold a picture.
"""

from collections.abc import Iterator

import numpy as np

from steerboard.catalogue.records import Array

ROUNDS = 20  # of k-means at most
BLOCK = 512  # features at a time


def unit(x: Array) -> Array:
    """Along the last axis, of length one; zero stays zero."""
    norm = np.linalg.norm(x, axis=-1, keepdims=True)
    found: Array = x / np.where(norm > 0, norm, 1)
    return found


def meaning(embeddings: Array, there: Array) -> Array:
    """``[b, d]`` the mean of the unit embeddings ``[b, n, d]``; zero without any."""
    total = (embeddings * there[..., None]).sum(1)
    found: Array = total / np.maximum(there.sum(1), 1)[:, None]
    return found


def clarity(embeddings: Array, there: Array) -> Array:
    """``[b]`` ((norm of the mean)^2 - 1/n) n/(n - 1); nan below two pictures.

    It is the mean cosine between two different ones of the n pictures.
    """
    n = there.sum(1).astype(np.float64)
    square = (meaning(embeddings, there).astype(np.float64) ** 2).sum(1)
    with np.errstate(divide="ignore", invalid="ignore"):
        found: Array = np.where(n > 1, (square - 1 / n) * n / (n - 1), np.nan)
    return found


def polysemanticity(embeddings: Array, there: Array) -> Array:
    """``[b]`` 1 - clarity of two k-means centres, that is 1 - their cosine; nan below three.

    Spherical k-means, as the embeddings are directions: a picture goes with the centre of unit
    length to which it has the larger cosine. A centre is a sum of pictures, whose products with
    each other therefore suffice. Pictures that are all alike have one centre: 0.
    """
    x = embeddings.astype(np.float64) * there[..., None]
    products = x @ x.transpose(0, 2, 1)
    groups = farthest(products, there)
    moves = np.arange(len(groups))  # features whose pictures still change sides
    for _ in range(ROUNDS):
        own = products[moves]
        near = unit_sums(own, groups[moves]) @ own
        second = (near[:, 1] > near[:, 0]) & there[moves]
        after = np.stack([~second & there[moves], second], 1).astype(np.float64)
        changed = (after != groups[moves]).any((1, 2))
        groups[moves] = after
        moves = moves[changed]
        if not len(moves):
            break
    centres = unit_sums(products, groups)
    cosine = ((centres @ products)[:, 0] * centres[:, 1]).sum(-1)
    both = np.all(groups.sum(2) > 0, axis=1)
    found: Array = np.where(there.sum(1) > 2, np.where(both, 1 - cosine, 0.0), np.nan)
    return found


def unit_sums(products: Array, groups: Array) -> Array:
    """``[b, 2, n]`` the weights of pictures in the sum of each group, of unit length.

    Args:
        products: ``[b, n, n]`` of the pictures with each other.
        groups: ``[b, 2, n]`` 1 for each picture of a group, else 0.
    """
    square = ((groups @ products) * groups).sum(-1, keepdims=True)
    found: Array = groups / np.sqrt(np.where(square > 0, square, 1))
    return found


def farthest(products: Array, there: Array) -> Array:
    """``[b, 2, n]`` the two pictures that are least alike, a group each: where k-means begins."""
    both = there[:, :, None] & there[:, None, :]
    flat = np.where(both, products, np.inf).reshape(len(products), -1).argmin(1)
    ends = np.stack(np.divmod(flat, products.shape[1]), 1)
    found: Array = (ends[..., None] == np.arange(products.shape[1])).astype(np.float64)
    return found


def blocks(count: int, size: int = BLOCK) -> Iterator[slice]:
    """Some at a time."""
    for start in range(0, count, size):
        yield slice(start, min(count, start + size))
