"""How concepts lie to each other in a model, and whether people see it the same way.

A concept is represented by its AP over all units; similarity is the correlation of such profiles.
Agreement with a given matrix is Spearman's rho over the upper triangle (methods, section 7).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from scipy.stats import spearmanr

from steerboard.analysis.concepts import Concept, embeddings
from steerboard.analysis.expertise import Expertise
from steerboard.spec.errors import InvalidRequest
from steerboard.spec.requests import Embed
from steerboard.spec.runner import Runner

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class ConceptMap:
    """Names, and their similarity ``[c, c]`` within [-1, 1]."""

    names: tuple[str, ...]
    similarity: Floats


def of_experts(names: Sequence[str], found: Sequence[Expertise]) -> ConceptMap:
    """Correlation of AP profiles."""
    return ConceptMap(tuple(names), np.corrcoef([e.precision for e in found]))


def of_images(runner: Runner, model: str, concepts: Sequence[Concept]) -> ConceptMap:
    """Cosine of the mean embeddings of the positives: the plain baseline."""
    means = [embeddings(runner, model, c.positives).mean(0) for c in concepts]
    return ConceptMap(tuple(c.name for c in concepts), cosines(np.array(means)))


def of_texts(
    runner: Runner, model: str, names: Sequence[str], template: str = "a photo of a {}."
) -> ConceptMap:
    """Cosine of the names' text embeddings: the other plain baseline."""
    texts = tuple(template.replace("{}", name) for name in names)
    found = runner.embed(Embed(model=model, texts=texts)).results()
    return ConceptMap(tuple(names), cosines(np.array([e.values for e in found], np.float64)))


def cosines(rows: Floats) -> Floats:
    """Cosine of every two rows ``[c, c]``."""
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(unit @ unit.T)


def alike(one: Floats, other: Floats) -> float:
    """Spearman's rho of two similarity matrices ``[c, c]`` over their upper triangles.

    Raises:
        InvalidRequest: They are not square, of one size, with three concepts at least.
    """
    if one.shape != other.shape or one.ndim != 2 or len(one) != one.shape[1] or len(one) < 3:
        raise InvalidRequest(
            f"similarities {one.shape} and {other.shape} cannot be compared: both are [c, c] over"
            " the same three or more concepts, in the same order"
        )
    above = np.triu_indices(len(one), 1)
    return float(spearmanr(one[above], other[above]).statistic)


def draw(found: ConceptMap, path: Path, title: str = "") -> None:
    """The matrix beside its tree, as an image file."""
    figure(found, title).savefig(path, dpi=120)


def figure(found: ConceptMap, title: str = "") -> "Figure":
    """The matrix beside its tree (average linkage on 1 - similarity)."""
    from matplotlib.figure import Figure
    from scipy.cluster.hierarchy import dendrogram, linkage
    from scipy.spatial.distance import squareform

    far = 1 - (found.similarity + found.similarity.T) / 2
    np.fill_diagonal(far, 0)
    links = linkage(squareform(np.clip(far, 0, None), checks=False), "average")
    size = max(4.0, 0.22 * len(found.names))
    drawn = Figure(figsize=(1.7 * size, size), layout="constrained")
    tree, matrix = drawn.subplots(1, 2, width_ratios=(1, 2))
    order = dendrogram(
        links, ax=tree, orientation="left", labels=found.names, color_threshold=0,
        above_threshold_color="#333333",
    )["leaves"][::-1]  # fmt: skip
    tree.spines[:].set_visible(False)
    shown = matrix.imshow(found.similarity[np.ix_(order, order)], vmin=-1, vmax=1, cmap="RdBu_r")
    matrix.set_yticks(range(len(order)), [found.names[i] for i in order], fontsize=7)
    matrix.set_xticks(range(len(order)), [found.names[i] for i in order], fontsize=7, rotation=90)
    drawn.colorbar(shown, ax=matrix, label="similarity", shrink=0.6)
    drawn.suptitle(title)
    return drawn
