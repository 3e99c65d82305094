"""How strongly each feature answers to each picture: sparse, streamed from Encode.

r_nf = max over tokens of z_tf    (0 where the feature is silent)
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

import numpy as np
import numpy.typing as npt
from scipy import sparse

from steerboard.spec.answers import Code
from steerboard.spec.requests import Encode, ImageRef
from steerboard.spec.runner import Runner

CHUNK = 64


def codes(
    runner: Runner, model: str, dictionary: str, images: Iterable[ImageRef]
) -> Iterator[Code]:
    """The code of each picture, asked for in chunks; raises the first picture's error."""
    waiting = iter(images)
    while chunk := tuple(islice(waiting, CHUNK)):
        yield from runner.encode(Encode(model=model, images=chunk, dictionary=dictionary)).results()


def responses(
    runner: Runner, model: str, dictionary: str, images: Iterable[ImageRef]
) -> sparse.csc_array:
    """``r [n, f]``: memory grows with what fires, not with the width of the dictionary."""
    rows, width = [], 0
    for code in codes(runner, model, dictionary, images):
        rows.append(strongest(code))
        width = code.shape[1]
    starts = np.cumsum([0, *(len(features) for features, _ in rows)])
    columns = np.concatenate([np.zeros(0, np.int64), *(features for features, _ in rows)])
    values = np.concatenate([np.zeros(0, np.float32), *(values for _, values in rows)])
    return sparse.csr_array((values, columns, starts), shape=(len(rows), width)).tocsc()


def strongest(code: Code) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]:
    """Features that fire, and the largest activation of each over tokens."""
    features, where = np.unique(code.features, return_inverse=True)
    best = np.zeros(len(features), np.float32)
    np.maximum.at(best, where, code.values)
    return features[best > 0], best[best > 0]


def active_medians(
    runner: Runner, model: str, dictionary: str, images: Iterable[ImageRef], features: Sequence[int]
) -> dict[int, float]:
    """Median activation of each feature over the tokens where it fires; none where it never does.

    Over tokens and not over pictures, because ``set`` acts at each token.
    """
    seen: dict[int, list[npt.NDArray[np.float32]]] = {f: [] for f in features}
    for code in codes(runner, model, dictionary, images):
        for feature, values in seen.items():
            values.append(code.values[code.features == feature])
    found = {f: np.concatenate([np.zeros(0, np.float32), *v]) for f, v in seen.items()}
    return {f: float(np.median(v)) for f, v in found.items() if len(v)}
