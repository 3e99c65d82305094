"""Which features fit a question, in which order: over the index alone, whatever asked.

What was measured weighs most: the average precision with which a feature detects a class of the
words' name; then a name that people gave; then a label; then meaning, ``cos(m, t) - cos(m, empty)``
with m the mean embedding of a feature's top pictures.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from steerboard.catalogue.index import Index
from steerboard.catalogue.records import Array
from steerboard.spec.catalogue import FeatureQuery, FeatureRow, Labels, Statistic
from steerboard.spec.errors import InvalidRequest

WORD = re.compile(r"\w+")
NUMBER = re.compile(r"#?(\d{1,9})")
BY_CLASS, BY_NAME, BY_LABEL = 2.0, 1.5, 0.5  # weights beside meaning, which seldom passes 1
SMALL = frozenset(
    ("a", "an", "and", "at", "in", "of", "on", "or", "some", "something", "that", "the", "to",
     "with", "picture", "photo")
)  # fmt: skip
FEWEST = 24  # features that words bring at least, however far off


@dataclass(frozen=True)
class Clues:
    """What is not in the index.

    Attributes:
        meaning: ``[n]`` scores of the words' meaning; None where nobody could be asked.
        activations: ``[n]`` responses to the picture asked about; None without one.
        people: What people said, by feature.
    """

    meaning: Array | None = None
    activations: Array | None = None
    people: Mapping[int, Labels] = field(default_factory=dict)


@dataclass(frozen=True)
class Found:
    """Features in order.

    Attributes:
        order: ``[m]`` their places in the index.
        relevance: ``[n]`` by place; None where nothing was searched for.
        detection: ``[n]`` how well, the class asked for, else the one each detects best.
        chosen: Place of the class asked for, or None.
    """

    order: Array
    relevance: Array | None
    detection: Mapping[Statistic, Array]
    chosen: int | None


def find(index: Index, query: FeatureQuery, clues: Clues) -> Found:
    """The features that fit everything that is asked, in the order that is asked.

    Raises:
        InvalidRequest: No feature detects the class.
    """
    fit = named(index, query, clues)
    relevance = np.zeros(len(index))
    chosen = class_asked(index, query.class_name)
    detection = index.detection
    if chosen is not None:
        detection = index.classes.of(chosen, len(index))
        fit &= detection["precision"] > 0
        relevance += detection["precision"]
    if query.words.strip():
        hit, score = by_words(index, query.words, clues)
        fit &= hit
        relevance += score
    if clues.activations is not None:
        fit &= clues.activations > 0
        relevance += clues.activations / np.maximum(index.statistics["maximum"], 1e-30)
    values = {**index.statistics, **detection, "relevance": relevance}
    values["votes"] = of_people(index, clues, lambda one: one.votes)
    for bound in query.bounds:
        value = values[bound.statistic]
        fit &= value >= (-np.inf if bound.low is None else bound.low)
        fit &= value <= (np.inf if bound.high is None else bound.high)
    searched = query.order == "relevance"
    return Found(sorted_by(values[query.order], fit, query), relevance if searched else None,
                 detection, chosen)  # fmt: skip


def sorted_by(value: Array, fit: Array, query: FeatureQuery) -> Array:
    """``[m]`` places of what fits: by falling value unless asked, by number where that is equal."""
    places = np.flatnonzero(fit)
    rising = query.ascending or (query.order == "feature" and query.sort is None)
    keys = value[places] if rising else -value[places]
    order: Array = places[np.argsort(keys, kind="stable")]  # nan comes last either way
    return order


def named(index: Index, query: FeatureQuery, clues: Clues) -> Array:
    """``[n]`` which are called as is asked."""
    labelled = index.labels.codes >= 0
    spoken = of_people(index, clues, lambda one: 1.0) > 0
    fit = {
        "all": np.ones(len(index), bool),
        "labelled": labelled,
        "unlabelled": ~labelled,
        "by_people": spoken,
    }[query.naming].copy()
    if query.tag:
        fit &= of_people(index, clues, lambda one: float(query.tag in one.tags)) > 0
    return fit


def of_people(index: Index, clues: Clues, value: Callable[[Labels], float]) -> Array:
    """``[n]`` of what people said of each feature; 0 where nobody spoke."""
    out = np.zeros(len(index))
    spoken = np.array(sorted(clues.people), np.int64)
    at, there = index.place(spoken)
    out[at[there]] = [value(clues.people[f]) for f in spoken[there].tolist()]
    return out


def class_asked(index: Index, name: str) -> int | None:
    """Place of a class; None where none is asked for."""
    if not name:
        return None
    if name not in index.classes.names:
        raise InvalidRequest(
            f"no feature of this catalogue detects {name!r}: choose one of its classes",
            field="class_name",
        )
    return index.classes.names.index(name)


def by_words(index: Index, text: str, clues: Clues) -> tuple[Array, Array]:
    """Which features words bring, and how well they fit ``[n]``."""
    wanted = telling(text)
    if not wanted and not NUMBER.fullmatch(text.strip()):
        raise InvalidRequest("there is nothing to search for: give a word or more", field="words")
    labelled = bearing(index, wanted)
    detects = detecting(index, wanted)
    people = of_people(index, clues, lambda one: float(wanted <= said(one)))
    plain = BY_CLASS * detects + BY_NAME * people + BY_LABEL * labelled
    score = plain if clues.meaning is None else plain + clues.meaning
    hit = plain > 0
    if clues.meaning is not None:
        hit |= clues.meaning >= index.info.label_floor
        if hit.sum() < FEWEST:
            hit[np.argsort(-score, kind="stable")[:FEWEST]] = True
    if number := NUMBER.fullmatch(text.strip()):
        own = index.features == int(number[1])
        hit, score = hit | own, np.where(own, score.max(initial=0) + 1, score)
    return hit, score


def bearing(index: Index, wanted: set[str]) -> Array:
    """``[n]`` how many of the words a label holds, see ``fitting``."""
    fits = [fitting(wanted, set(tokens(w or ""))) for w in index.labels.words]
    found: Array = np.array([*fits, 0.0])[index.labels.codes]
    return found


def detecting(index: Index, wanted: set[str]) -> Array:
    """``[n]`` the best average precision for a class, by how many of the words its value holds."""
    out = np.zeros(len(index))
    fits = np.array([fitting(wanted, value(name)) for name in index.classes.names])[
        index.classes.codes
    ]
    own = fits > 0
    np.maximum.at(out, index.classes.rows[own], (fits * index.classes.values["precision"])[own])
    return out


def fitting(wanted: set[str], held: set[str]) -> float:
    """The squared share of words that are held: one of two is worth a quarter, all of them 1."""
    return (len(wanted & held) / len(wanted)) ** 2 if wanted else 0.0


def row(index: Index, place: int, found: Found, clues: Clues) -> FeatureRow:
    """A feature as it is listed, without its pictures."""
    feature, label = int(index.features[place]), int(index.labels.codes[place])
    best = int(index.best[place]) if found.chosen is None else found.chosen
    people = clues.people.get(feature, Labels())
    known = {**index.statistics, **found.detection}
    numbers: dict[str, Any] = {s: number(v[place]) for s, v in known.items()}
    numbers["feature"] = feature
    return FeatureRow(
        label=index.labels.words[label] if label >= 0 else "",
        name=people.name,
        votes=people.votes,
        tags=people.tags,
        class_name=index.classes.names[best] if best >= 0 else "",
        relevance=None if found.relevance is None else number(found.relevance[place]),
        activation=None if clues.activations is None else number(clues.activations[place]),
        **numbers,
    )


def number(value: float) -> float | None:
    """A number; None for one that is not known."""
    return float(value) if np.isfinite(value) else None


def said(one: Labels) -> set[str]:
    """The words of a name and of tags."""
    return set(tokens(" ".join((one.name, *one.tags))))


def value(name: str) -> set[str]:
    """The words of a class's value: of ``background=water`` it is water."""
    return set(tokens(name.partition("=")[2]))


def telling(text: str) -> set[str]:
    """The words of a question without those that say nothing, unless there are no others."""
    found = set(tokens(text))
    return found - SMALL or found


def tokens(text: str) -> list[str]:
    """Words in lower case."""
    return WORD.findall(text.lower())
