"""Find features by words: by the labels they have, and by what their pictures mean.

Meaning is compared as for labels, ``cos(m, t) - cos(m, empty)`` with m the mean embedding of a
feature's top pictures. A feature whose label, or whose best class, holds the words comes first.
"""

import re
from dataclasses import dataclass

import numpy as np

from steerboard.catalogue.file import Catalogue
from steerboard.catalogue.labels import vocabulary
from steerboard.catalogue.records import Array
from steerboard.spec.errors import InvalidRequest
from steerboard.spec.runner import Runner

WORD = re.compile(r"\w+")
CLEAR = 0.5  # average precision from which a class speaks for its feature


@dataclass(frozen=True)
class Hit:
    """A feature that was found.

    Attributes:
        feature: Which.
        label: Its label, or empty.
        meaning: cos(m, words) - cos(m, empty prompt).
        named: How well its label or its best class names it: 1 for the label, the average
            precision for a class, 0 where neither holds the words.
    """

    feature: int
    label: str
    meaning: float
    named: float


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
    named = np.array([names(row, wanted) for row in rows])
    order = best(named, meaning)[:count]
    return [
        Hit(rows[i]["feature"], rows[i]["label"] or "", float(meaning[i]), float(named[i]))
        for i in order
    ]


def best(named: Array, meaning: Array) -> Array:
    """Rows by what names them and what they mean, together; ties by row."""
    return np.argsort(-(meaning + named * (named >= CLEAR)), kind="stable")


def names(row: dict[str, object], wanted: set[str]) -> float:
    """How well the words name a feature, see ``Hit``."""
    label = set(tokens(str(row["label"] or "")))
    classes, precisions = row["classes"], row["class_ap"]
    assert isinstance(classes, list) and isinstance(precisions, list)
    fit = [ap for c, ap in zip(classes, precisions, strict=True) if wanted <= value(c)]
    return float(max([wanted <= label, *fit]))


def value(name: str) -> set[str]:
    """The words of a class's value: of ``background=water`` it is water."""
    return set(tokens(name.partition("=")[2]))


def tokens(text: str) -> list[str]:
    """Words in lower case."""
    return WORD.findall(text.lower())
