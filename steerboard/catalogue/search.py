"""Find features by words: by the labels they have, and by what their pictures mean.

Meaning is compared as for labels, ``cos(m, t) - cos(m, empty)`` with m the mean embedding of a
feature's top pictures. What was measured weighs most: the average precision with which a feature
detects a class of that name; then a label of that name; then meaning alone.
"""

import re
from dataclasses import dataclass

import numpy as np

from steerboard.catalogue.file import Catalogue
from steerboard.catalogue.labels import vocabulary
from steerboard.spec.errors import InvalidRequest
from steerboard.spec.runner import Runner

WORD = re.compile(r"\w+")
BY_CLASS, BY_LABEL = 2.0, 0.5  # weights beside meaning, which seldom passes 1


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
    wanted = set(tokens(words))
    if not wanted:
        raise InvalidRequest("there is nothing to search for: give a word or more", field="words")
    model, template = str(catalogue.about["model"]), str(catalogue.about["template"])
    known = vocabulary(runner, model, [words], template)
    meaning = known.scores(catalogue.meanings())[:, 0]
    rows = catalogue.columns("feature", "label", "classes", "class_ap").to_pylist()
    labelled, detects = np.array([names(row, wanted) for row in rows]).reshape(-1, 2).T
    total = meaning + BY_LABEL * labelled + BY_CLASS * detects
    return [
        Hit(rows[i]["feature"], rows[i]["label"] or "", float(meaning[i]), float(detects[i]))
        for i in np.argsort(-total, kind="stable")[:count]
    ]


def names(row: dict[str, object], wanted: set[str]) -> tuple[float, float]:
    """Whether the words name a feature's label, and how well the class that they name fits it."""
    label = set(tokens(str(row["label"] or "")))
    classes, precisions = row["classes"], row["class_ap"]
    assert isinstance(classes, list) and isinstance(precisions, list)
    fit = [float(ap) for c, ap in zip(classes, precisions, strict=True) if wanted <= value(c)]
    return float(wanted <= label), max(fit, default=0.0)


def value(name: str) -> set[str]:
    """The words of a class's value: of ``background=water`` it is water."""
    return set(tokens(name.partition("=")[2]))


def tokens(text: str) -> list[str]:
    """Words in lower case."""
    return WORD.findall(text.lower())
