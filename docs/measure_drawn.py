"""Measures on pictures that are drawn for it: a word's own features, and how stable experts are.

    python docs/measure_drawn.py [--scenes N]

The shipped validation split has 8 to 15 pictures of each lying word and about 20 of each object:
too few to tell a detector from luck. Here more scenes of the same generator are drawn, with seeds
that no shipped picture has; detectors are found on those of validation, and the share of pictures
on which one is among the first three is told of test scenes that were never looked at before.
Writes the sections ``drawn words`` and ``drawn stability`` of ``methods.json``.
"""

import argparse
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from measure_methods import DICTIONARY, MODEL, Picture, World
from scipy import sparse

from demo.emojiland.draw import encode
from demo.emojiland.scenes import Scene, attacked
from steerboard.analysis.concepts import half_splits
from steerboard.analysis.curves import random_ranking
from steerboard.analysis.expertise import Expertise, expertise
from steerboard.analysis.responses import responses
from steerboard.spec.requests import Encoded

SHIPPED = 210  # scenes of an attack that a split ships with
# What makes a detector a word's own: as on the shipped pictures, or mostly silent elsewhere.
RULES: dict[str, Callable[[Expertise], npt.NDArray[np.bool_]]] = {
    "AUROC at least 0.9": lambda e: e.auroc >= 0.9,
    "AP at least 0.5": lambda e: e.precision >= 0.5,
}
Case = tuple[Picture, str, str]


def drawn(scene: Scene, **facts: Any) -> Picture:
    """A scene as a picture with what is known of it."""
    known = {"label": scene.label, "on top": scene.strip_on_top, **facts}
    return Picture(known, Encoded(data=encode(scene)))


def scenes(
    split: str, numbers: range, attack: str = "typographic"
) -> Iterator[tuple[Picture, Picture]]:
    """Attacked pictures and their clean twins."""
    for number in numbers:
        lying, clean, wrong = attacked(split, attack, number)
        yield drawn(lying, wrong=wrong), drawn(clean, wrong="")


def detectors(world: World, pictures: Sequence[Picture]) -> dict[str, dict[str, set[int]]]:
    """For each rule and word its own features: those that know it where it stands.

    Words at the top and at the foot are two concepts, because they fall on other patches: the
    same word at the other place is left out, all other pictures are negatives.
    """
    answers = responses(world.runner, MODEL, DICTIONARY, [p.image for p in pictures]).tocsr()
    words = np.array([p.facts["wrong"] for p in pictures])
    above = np.array([p.facts["on top"] for p in pictures])
    own: dict[str, dict[str, set[int]]] = {rule: {} for rule in RULES}
    for word in sorted({*words} - {""}):
        for place in (True, False):
            kept = (words != word) | (above == place)
            found = expertise(answers[kept].tocsc(), (words == word)[kept])
            for rule, good in RULES.items():
                own[rule].setdefault(word, set()).update(np.flatnonzero(good(found)).tolist())
    return own


def misled(world: World, pairs: Sequence[tuple[Picture, Picture]]) -> list[Case]:
    """Those that the word misleads though the clean twin is right, wrong, true."""
    said, clean = (world.says([pair[i] for pair in pairs]) for i in (0, 1))
    return [
        (p, p.facts["wrong"], p.facts["label"])
        for (p, _), s, c in zip(pairs, said, clean, strict=True)
        if s == p.facts["wrong"] and c == p.facts["label"]
    ]


def in_the_top(
    world: World, cases: Sequence[Case], own: dict[str, dict[str, set[int]]]
) -> dict[str, dict[str, float]]:
    """For each rule the shares of pictures with an own feature among three, and by chance."""
    counts = {rule: np.zeros(3) for rule in own}
    for i, (picture, wrong, true) in enumerate(cases):
        (found,) = world.runner.attribute(world.ask(picture, wrong, true, top_k=1000)).one()
        speaks = found.features[np.argsort(-found.scores, kind="stable")]
        chance = random_ranking(found.features.tolist(), i)
        firsts = [set(list(r)[:3]) for r in (found.features.tolist(), speaks.tolist(), chance)]
        for rule, words in own.items():
            counts[rule] += [bool(words[wrong] & first) for first in firsts]
    names = ("by size", "for the wrong class", "by chance")
    sizes = {rule: float(np.mean([len(f) for f in words.values()])) for rule, words in own.items()}
    return {
        rule: {
            "pictures": len(cases),
            "detectors a class": sizes[rule],
            **dict(zip(names, (hits / len(cases)).tolist(), strict=True)),
        }
        for rule, hits in counts.items()
    }


def stability(
    world: World, dictionary: str, clean: Sequence[Picture]
) -> dict[str, dict[str, float]]:
    """Half-split stability of the objects: shipped clean pictures, all, and with drawn ones."""
    shipped = world.of("validation")
    plain = [p for p in shipped if p.facts["group"] == "clean"]
    objects = sorted({p.facts["label"] for p in plain if not p.facts["gender"]} - {"horse", "boat"})
    sets = {"clean": plain, "all groups": shipped, "clean and drawn": [*plain, *clean]}
    out = {}
    for name, pictures in sets.items():
        answers = responses(world.runner, MODEL, dictionary, [p.image for p in pictures])
        out[name] = of_objects(answers, np.array([p.facts["label"] for p in pictures]), objects)
    return out


def of_objects(
    answers: sparse.csc_array, labels: npt.NDArray[np.str_], objects: Sequence[str]
) -> dict[str, float]:
    """Median over objects, and how many positives a half has."""
    found = [float(half_splits(answers, labels == o, splits=2).mean()) for o in objects]
    return {
        "positives a half": float(np.mean([(labels == o).sum() / 2 for o in objects])),
        "median": float(np.median(found)),
        "at least 0.9": float(np.mean(np.array(found) >= 0.9)),
    }


def main() -> None:
    """Both sections; a section that is there already is measured again."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scenes", type=int, default=1000, help="drawn pairs of validation")
    count = parser.parse_args().scenes
    world, path = World(Path("demo")), Path("docs/methods.json")
    pairs = list(scenes("validation", range(SHIPPED, SHIPPED + count)))
    own = detectors(world, [p for pair in pairs for p in pair])
    split = {"validation": range(SHIPPED), "test": range(SHIPPED, SHIPPED + 300)}
    words = {
        name: in_the_top(world, misled(world, list(scenes(name, numbers))), own)
        for name, numbers in split.items()
    }
    write(path, "drawn words", words)
    marked = scenes("validation", range(SHIPPED, SHIPPED + count * 7 // 10), "watermark")
    clean = [twin for _, twin in (*pairs, *marked)]
    for dictionary in ("middle", "last"):
        write(path, f"drawn stability, {dictionary}", stability(world, dictionary, clean))


def write(path: Path, section: str, found: object) -> None:
    """One section, beside all others."""
    known = json.loads(path.read_text())
    path.write_text(json.dumps({**known, section: found}, indent=1) + "\n")
    print(section, json.dumps(found), flush=True)


if __name__ == "__main__":
    main()
