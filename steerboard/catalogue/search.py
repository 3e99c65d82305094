"""Find features by words, over any Runner: see ``steerboard.catalogue.find``."""

from dataclasses import dataclass

import numpy as np

from steerboard.catalogue.file import Catalogue
from steerboard.catalogue.find import Clues, detecting, find, telling, tokens
from steerboard.catalogue.index import Index
from steerboard.catalogue.labels import vocabulary
from steerboard.spec.catalogue import FeatureQuery
from steerboard.spec.errors import InvalidRequest
from steerboard.spec.runner import Runner


@dataclass(frozen=True)
class Hit:
    """A feature that was found.

    Attributes:
        feature: Which.
        label: Its label, or empty.
        meaning: cos(m, words) - cos(m, empty prompt).
        detects: Average precision for a class that holds the words; 0 without one.
    """

    feature: int
    label: str
    meaning: float
    detects: float


def search(catalogue: Catalogue, runner: Runner, words: str, count: int = 20) -> list[Hit]:
    """The features that fit, the best first.

    Raises:
        InvalidRequest: There are no words.
    """
    if not tokens(words):
        raise InvalidRequest("there is nothing to search for: give a word or more", field="words")
    index = Index(catalogue)
    model, template = str(catalogue.about["model"]), str(catalogue.about["template"])
    meaning = index.meaning(vocabulary(runner, model, [words], template))[:, 0]
    query = FeatureQuery(dictionary=catalogue.dictionary, words=words)
    order = find(index, query, Clues(meaning)).order[:count]
    detects, labels = detecting(index, telling(words)), (*index.labels.words, "")
    return [
        Hit(int(index.features[i]), labels[index.labels.codes[i]], float(meaning[i]),
            float(detects[i]))
        for i in np.asarray(order)
    ]  # fmt: skip
