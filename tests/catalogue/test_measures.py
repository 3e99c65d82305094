"""Clarity and polysemanticity against plain loops over vectors, and on pictures made for them."""

import numpy as np
import pytest

from steerboard.catalogue.measures import clarity, polysemanticity, unit

Array = np.ndarray


def plain(x: Array) -> float:
    """Spherical k-means of vectors ``[n, d]``, one picture and one centre at a time."""
    pairs = [(a @ b, i, j) for i, a in enumerate(x) for j, b in enumerate(x) if i < j]
    _, i, j = min(pairs)
    centres = [x[i], x[j]]
    for _ in range(20):
        own: list[list[Array]] = [[], []]
        for v in x:
            own[int(v @ centres[1] > v @ centres[0])].append(v)
        after = [s / np.linalg.norm(s) for s in (np.sum(o, 0) for o in own)]
        if np.allclose(after, centres, atol=1e-15):
            break
        centres = after
    return 1 - float(centres[0] @ centres[1])


def drawn(rng: np.random.Generator, b: int, n: int, d: int) -> Array:
    """``[b, n, d]`` around two directions a feature, at all distances of the two."""
    ways = rng.standard_normal((b, 2, d))
    ways[:, 1] += np.linspace(0, 3, b)[:, None] * ways[:, 0]
    which = rng.integers(0, 2, (b, n))
    return unit(ways[np.arange(b)[:, None], which] + 0.3 * rng.standard_normal((b, n, d)))


def test_polysemanticity_is_that_of_plain_k_means() -> None:
    rng = np.random.default_rng(3)
    x = drawn(rng, 200, 12, 16)
    there = np.arange(12) < rng.integers(3, 13, (200, 1))
    found = polysemanticity(x.astype(np.float32), there)
    wanted = [
        plain(one.astype(np.float32).astype(float)[own]) for one, own in zip(x, there, strict=True)
    ]
    np.testing.assert_allclose(found, wanted, atol=1e-9)
    assert found.min() < 0.1 and found.max() > 0.9


def test_one_thing_two_things_and_too_few() -> None:
    a, b = np.eye(8)[:2]
    rows = [[a, a, b, b, b], [a, a, a, a, a], [a, b, a, a, a]]
    there = np.array([[True] * 5, [True] * 5, [True] * 2 + [False] * 3])
    found = polysemanticity(np.array(rows), there)
    assert found[:2] == pytest.approx([1.0, 0.0], abs=1e-12) and np.isnan(found[2])
    # Of the five, 1 + 3 of 10 pairs are alike; of the last, none.
    assert clarity(np.array(rows), there) == pytest.approx([0.4, 1.0, 0.0], abs=1e-12)
