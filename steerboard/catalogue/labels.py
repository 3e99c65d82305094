"""Names for features from the text tower (SemanticLens, 2501.05398).

The label of a feature is the text t that maximises

    cos(mean embedding of its top pictures, t) - cos(the same, the empty prompt)

and stands only where that score reaches a floor: a feature has no label rather than a bad one. What
such scores are worth differs from model to model, so the floor is what pictures put together by lot
reach in one case of twenty.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from steerboard.catalogue.measures import unit
from steerboard.catalogue.records import Array
from steerboard.spec.requests import MAX_PROMPTS, Embed
from steerboard.spec.runner import Runner

DRAWS, RARE = 1000, 0.95
FEW = 256  # words, with which a product is small


@dataclass(frozen=True)
class Vocabulary:
    """Words and the unit embeddings of their texts ``[c, d]`` and of the empty prompt ``[d]``."""

    words: tuple[str, ...]
    texts: Array
    empty: Array

    def scores(self, meanings: Array) -> Array:
        """``[f, c]`` of features by their mean embeddings ``[f, d]``."""
        own = unit(meanings.astype(np.float64))
        return products(own, self.texts) - products(own, self.empty[None])


def products(a: Array, b: Array) -> Array:
    """``[n, m]`` of each row of ``a [n, d]`` with each of ``b [m, d]``.

    BLAS shares even a small product out among threads, which then spin for longer than it took and
    slow whatever comes next: between two of them a catalogue's rows took twice their time.
    """
    found: Array = np.einsum("nd,md->nm", a, b) if len(b) <= FEW else a @ b.T
    return found


def vocabulary(runner: Runner, model: str, words: Sequence[str], template: str) -> Vocabulary:
    """Ask the text tower for words, each in ``template`` at ``{}``; the empty prompt has none."""
    words = tuple(dict.fromkeys(w.strip() for w in words if w.strip()))
    texts = [template.replace("{}", word) for word in ("", *words)]
    found = []
    for start in range(0, len(texts), MAX_PROMPTS):
        request = Embed(model=model, texts=tuple(texts[start : start + MAX_PROMPTS]))
        found += [e.values for e in runner.embed(request).results()]
    rows = unit(np.stack(found).astype(np.float64))
    return Vocabulary(words, rows[1:], rows[0])


def labels(known: Vocabulary, meanings: Array) -> tuple[list[str], Array]:
    """The best word of each feature and its score ``[f]``; nan where there is nothing to go by."""
    if not known.words:
        return [""] * len(meanings), np.full(len(meanings), np.nan)
    scores = known.scores(meanings)
    best = scores.argmax(1)
    there = (meanings != 0).any(1)
    score = np.where(there, scores[np.arange(len(best)), best], np.nan)
    return [known.words[i] for i in best], score


def chance(known: Vocabulary, embeddings: Array, together: int) -> float:
    """The score that the best word of ``together`` pictures drawn by lot seldom reaches.

    Args:
        known: Words.
        embeddings: ``[n, d]`` of pictures, in a fixed order.
        together: How many are drawn at a time: as many as a feature has top pictures.
    """
    if not known.words or not len(embeddings):
        return 0.0
    lots = np.random.default_rng(0).integers(0, len(embeddings), (DRAWS, together))
    means = np.stack([embeddings[lot].mean(0) for lot in lots])
    return float(np.quantile(labels(known, means)[1], RARE))
