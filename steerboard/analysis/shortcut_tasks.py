"""Task A: make planted shortcuts lose. Pictures, rows of the table, and the attacks themselves."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from steerboard.analysis.controls import random_direction, random_features
from steerboard.analysis.flip import (
    Contrast,
    Question,
    against_rival,
    off,
    off_and_double,
    says,
)
from steerboard.analysis.intervals import Rate
from steerboard.spec.edits import SteerSet
from steerboard.spec.requests import Encode, Encoded, Margin, Predict
from steerboard.spec.runner import Runner

T = TypeVar("T")
U = TypeVar("U")
BATCH, THREADS, MOST = 64, 8, 3
SUCCEEDS = {"typographic": 0.50, "watermark": 0.40, "water": 0.25}
RESTORES = {"typographic": 0.70, "watermark": 0.80, "water": 0.80}


@dataclass(frozen=True)
class Picture:
    """Encoded bytes and the manifest's line about them."""

    image: Encoded
    facts: dict[str, Any]

    def is_(self, **wanted: str) -> bool:
        """Whether the manifest says all of ``wanted``."""
        return all(self.facts.get(k) == v for k, v in wanted.items())


@dataclass(frozen=True)
class Row:
    """One line of the table: a rate and the bound it must keep, None where it only informs."""

    name: str
    rate: Rate
    at_least: float | None = None
    at_most: float | None = None

    @property
    def passed(self) -> bool | None:
        """Whether the bound is kept; None without a bound. Nothing to count keeps none."""
        if self.at_least is None and self.at_most is None:
            return None
        low = self.at_least is None or self.rate.value >= self.at_least
        high = self.at_most is None or self.rate.value <= self.at_most
        return bool(self.rate.n) and low and high


Contrasts = Callable[[Sequence[Picture], Sequence[Margin]], list[Contrast]]


@dataclass(frozen=True)
class Bench:
    """Everything a task needs.

    Args:
        runner: Who answers.
        question: Model, classifier, dictionary and its site.
        names: Class names in the classifier's order.
        contrasts: Attributions of pictures for margins (wrong minus true), in order.
        seed: Of the random controls.
    """

    runner: Runner
    question: Question
    names: tuple[str, ...]
    contrasts: Contrasts
    seed: int = 0

    def index(self, name: object) -> int:
        """A class by name."""
        return self.names.index(str(name))

    def predict(self, pictures: Sequence[Picture]) -> list[int]:
        """The class predicted for each picture."""
        found: list[int] = []
        for start in range(0, len(pictures), BATCH):
            part = tuple(p.image for p in pictures[start : start + BATCH])
            q = self.question
            request = Predict(model=q.model, images=part, classifier=q.classifier)
            found += [p.top for p in self.runner.predict(request).results()]
        return found

    def says(self, picture: Picture, sets: Sequence[SteerSet]) -> tuple[int, ...]:
        """The class predicted under each set."""
        return says(self.runner, self.question, picture.image, sets)

    def controls(self, pictures: Picture, chosen: Sequence[int], seed: int) -> list[SteerSet]:
        """Random active features and a random direction, of the same norm of change."""
        q, rng = self.question, np.random.default_rng([self.seed, seed])
        request = Encode(model=q.model, images=(pictures.image,), dictionary=q.dictionary)
        code = self.runner.encode(request).one()
        info = self.runner.model(q.model)
        return [
            random_features(code, q.site, q.dictionary, chosen, rng),
            random_direction(code, info, q.site, chosen, rng),
        ]


def together(call: Callable[[T], U], items: Sequence[T]) -> list[U]:
    """Ask about several at once, so that the server can batch them; answers in order."""
    with ThreadPoolExecutor(THREADS) as pool:
        return list(pool.map(call, items))


def clean_accuracy(bench: Bench, pictures: Sequence[Picture]) -> Row:
    """Top-1 on pictures without any shortcut."""
    said = bench.predict(pictures)
    hits = sum(bench.index(p.facts["label"]) == s for p, s in zip(pictures, said, strict=True))
    return Row("clean pictures: top-1", Rate(hits, len(pictures)), at_least=0.95)


def task_a(bench: Bench, pictures: Sequence[Picture]) -> Iterator[Row]:
    """All rows of task A; ``pictures`` are those of the test split, clean twins among them."""
    by_path = {p.facts["path"]: p for p in pictures}
    for attack in SUCCEEDS:
        attacked = [p for p in pictures if p.is_(group=attack)]
        twins = [by_path[p.facts["twin"]] for p in attacked]
        yield from one_attack(bench, attack, attacked, twins)


def one_attack(
    bench: Bench, attack: str, attacked: Sequence[Picture], twins: Sequence[Picture]
) -> Iterator[Row]:
    """Success of the attack, then what steering does where it succeeded and the twin is right."""
    said, clean = bench.predict(attacked), bench.predict(twins)
    fell = [s == bench.index(p.facts["wrong"]) for p, s in zip(attacked, said, strict=True)]
    right = [s == bench.index(p.facts["label"]) for p, s in zip(attacked, clean, strict=True)]
    yield Row(f"{attack}: attack wins", Rate(sum(fell), len(fell)), at_least=SUCCEEDS[attack])
    part = [p for p, f, r in zip(attacked, fell, right, strict=True) if f and r]
    outcomes = steered_answers(bench, part)
    hits = np.array([judge(bench, p, o) for p, o in zip(part, outcomes, strict=True)])
    counts = hits.reshape(-1, 6).sum(0).tolist()
    n, most = len(part), 0.05
    yield Row(f"{attack}: off 3, wrong class gone", Rate(counts[0], n), at_least=0.85)
    yield Row(f"{attack}: off 3, true class back", Rate(counts[1], n))
    yield Row(f"{attack}: off 3 + double 3, true back", Rate(counts[2], n), RESTORES[attack])
    yield Row(f"{attack}: random features, wrong gone", Rate(counts[3], n), at_most=most)
    yield Row(f"{attack}: random direction, wrong gone", Rate(counts[4], n), at_most=most)
    yield Row(f"{attack}: any control, true back", Rate(counts[5], n), at_most=most)


def judge(bench: Bench, picture: Picture, said: tuple[int, ...]) -> tuple[bool, ...]:
    """Gone, back, back with doubling, gone by either control, back by a larger one ``[6]``."""
    wrong, true = bench.index(picture.facts["wrong"]), bench.index(picture.facts["label"])
    off3, both, features, direction, *larger = said
    gone = (features != wrong, direction != wrong)
    return (off3 != wrong, off3 == true, both == true, *gone, true in larger)


def steered_answers(bench: Bench, pictures: Sequence[Picture]) -> list[tuple[int, ...]]:
    """The class under off 3, off 3 and double 3, and the controls of each.

    Off are the three that speak most for the wrong class against the true one. Doubled are the
    three that speak most for the true class against its strongest rival in the model with those
    off. The first two controls have the size of off 3, the last two that of off 3 and double 3.
    """
    q, true = bench.question, [bench.index(p.facts["label"]) for p in pictures]
    wrong = [bench.index(p.facts["wrong"]) for p in pictures]
    margins = [Margin(index=w, against=t) for w, t in zip(wrong, true, strict=True)]
    found = bench.contrasts(pictures, margins)

    def ask(i: int) -> tuple[int, ...]:
        lower, image = found[i].for_wrong(MOST), pictures[i].image
        then = against_rival(bench.runner, q, image, true[i], off(q, lower))
        higher = then.for_true(MOST, without=lower)
        sets = [off(q, lower), off_and_double(q, lower, higher)]
        sets += bench.controls(pictures[i], lower, i)
        sets += bench.controls(pictures[i], lower + higher, i)
        return bench.says(pictures[i], sets)

    return together(ask, range(len(pictures)))
