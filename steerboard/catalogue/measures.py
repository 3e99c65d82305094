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
    """``[b]`` 1 - clarity of two k-means centres, that is 1 - their cosine; nan below three."""
    x = embeddings.astype(np.float64) * there[..., None]
    centres = farthest(x, there)
    for _ in range(ROUNDS):
        near = np.einsum("bnd,bkd->bnk", x, centres)
        # cosine to centres of unit length: spherical k-means, as the embeddings are directions
        second = (near[..., 1] > near[..., 0]) & there
        sums = [(x * m[..., None]).sum(1) for m in (~second & there, second)]
        after = unit(np.stack(sums, 1))
        if np.array_equal(after, centres):
            break
        centres = after
    cosine = (centres[:, 0] * centres[:, 1]).sum(-1)
    found: Array = np.where(there.sum(1) > 2, 1 - cosine, np.nan)
    return found


def farthest(x: Array, there: Array) -> Array:
    """``[b, 2, d]`` the two pictures of each feature that are least alike: where k-means begins."""
    cosines = np.einsum("bnd,bmd->bnm", x, x)
    both = there[:, :, None] & there[:, None, :]
    flat = np.where(both, cosines, np.inf).reshape(len(x), -1).argmin(1)
    i, j = np.divmod(flat, x.shape[1])
    rows = np.arange(len(x))
    return np.stack([x[rows, i], x[rows, j]], 1)


def blocks(count: int, size: int = BLOCK) -> Iterator[slice]:
    """Some at a time."""
    for start in range(0, count, size):
        yield slice(start, min(count, start + size))
