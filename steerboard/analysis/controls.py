"""What a change of the same size does when it is not the chosen one (methods, section 5).

The size of ``scale(-1)`` on features F at token t is taken as ``sqrt(sum over F of z_tf^2)``,
exact for decoder rows that are orthogonal and of unit length. On an earlier Emojiland model
(rows of unit length, 72 pictures) it was 5 to 12 % below the true norm at the median. The random
active features of a picture share one m, such that the norm over all tokens together is that of
the change; a random direction keeps the norm at each token.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from steerboard.spec.answers import Code
from steerboard.spec.capabilities import ModelInfo
from steerboard.spec.edits import MAX_SCALE, Add, Direction, Edit, Mask, SteerSet, scale
from steerboard.spec.tensor import Tensor

Floats = npt.NDArray[np.float64]


def size_of(code: Code, features: Sequence[int]) -> Floats:
    """Norm of the change at each token ``[t]`` when ``features`` are switched off."""
    rows = np.isin(code.features, np.asarray(features, np.int64))
    squares = np.zeros(code.shape[0])
    np.add.at(squares, code.tokens[rows], code.values[rows].astype(np.float64) ** 2)
    squares = np.sqrt(squares)
    return np.asarray(squares, np.float64)


def random_features(
    code: Code, site: str, dictionary: str, chosen: Sequence[int], rng: np.random.Generator
) -> SteerSet:
    """As many other active features, turned down by the same total norm."""
    others = np.setdiff1d(np.unique(code.features), np.asarray(chosen, np.int64))
    drawn = rng.choice(others, min(len(chosen), len(others)), replace=False).tolist()
    own = float(np.linalg.norm(size_of(code, drawn)))
    if own == 0.0:
        return SteerSet()
    m = float(np.linalg.norm(size_of(code, chosen))) / own
    return scale(site, dictionary, -min(m, MAX_SCALE), *drawn)


def random_direction(
    code: Code, info: ModelInfo, site: str, chosen: Sequence[int], rng: np.random.Generator
) -> SteerSet:
    """One random direction, added at every token with the norm of the change there."""
    place = info.site(site)
    if place is None:
        raise ValueError(f"model {info.id} has no site {site!r}")
    unit = Direction(values=Tensor.of(rng.standard_normal(place.width)))
    prefix, alpha = info.prefix_tokens, size_of(code, chosen) / place.n_bar
    edits = []
    if alpha[:prefix].any():
        strength = float(np.sqrt((alpha[:prefix] ** 2).mean()))
        edits.append(Edit(site=site, unit=unit, op=Add(alpha=strength), mask=Mask(kind="prefix")))
    for token in np.flatnonzero(alpha[prefix:] > 0).tolist():
        cell = Mask(kind="patches", cells=(divmod(token, info.grid[1]),))
        strength = float(alpha[prefix + token])
        edits.append(Edit(site=site, unit=unit, op=Add(alpha=strength), mask=cell))
    return SteerSet(edits=tuple(edits))
