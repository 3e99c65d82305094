"""Measures on pictures that are drawn for it: what a shortcut's own features are.

    python docs/measure_drawn.py [--scenes N] [--parts words gender]

The shipped validation split has 8 to 15 pictures of each lying word: too few to tell a detector
from luck. Here more scenes of the same generator are drawn, with seeds
that no shipped picture has; detectors are found on those of validation, and the share of pictures
on which one is among the first three is told of test scenes that were never looked at before.
Writes the sections ``drawn words`` and ``drawn gender`` of ``methods.json``.
"""

import argparse
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from measure_methods import DICTIONARY, MODEL, Picture, World, skilled

from demo.emojiland.draw import encode
from demo.emojiland.scenes import Scene, attacked, medical_test
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
    world: World,
    cases: Sequence[Case],
    own: dict[str, dict[str, set[int]]],
    dictionary: str = DICTIONARY,
) -> dict[str, dict[str, float]]:
    """For each rule the shares of pictures with an own feature among three, and by chance."""
    counts = {rule: np.zeros(3) for rule in own}
    for i, (picture, wrong, true) in enumerate(cases):
        request = world.ask(picture, wrong, true, top_k=1000)
        (found,) = world.runner.attribute(
            request.model_copy(update={"dictionary": dictionary})
        ).one()
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


PEOPLE = range(2_000, 2_800)  # numbers of medical scenes that nothing else draws


def people(split: str) -> list[Picture]:
    """Medical workers, balanced over role and gender, whose cue is always true."""
    found = (medical_test(split, number) for number in PEOPLE)
    return [Picture({"label": s.label, "gender": s.gender}, Encoded(data=encode(s))) for s in found]


def gender(world: World, dictionary: str) -> dict[str, dict[str, dict[str, float]]]:
    """The same for gender: a woman's own features alone, and with them those of a man.

    Gender is drawn as one of two: what knows a man knows it too. Detectors are found among medical
    workers, whose faces no other profession has.
    """
    known = people("validation")
    answers = responses(world.runner, MODEL, dictionary, [p.image for p in known])
    of = {
        who: set(skilled(expertise(answers, np.array([p.facts["gender"] == who for p in known]))))
        for who in ("woman", "man")
    }
    own = {
        "a woman's": {"nurse": of["woman"]},
        "either gender's": {"nurse": of["woman"] | of["man"]},
    }
    out = {}
    for split, pictures in (("validation", known), ("test", people("test"))):
        doctors = [p for p in pictures if (p.facts["label"], p.facts["gender"]) == DOCTORS]
        said = zip(doctors, world.says(doctors), strict=True)
        cases = [(p, "nurse", "doctor") for p, s in said if s == "nurse"]
        out[split] = in_the_top(world, cases, own, dictionary)
    return out


DOCTORS = ("doctor", "woman")


def main() -> None:
    """The sections that are asked for; what is there already is measured again."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scenes", type=int, default=1000, help="drawn pairs of validation")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    given = parser.parse_args()
    world = World(Path("demo"))
    for part in given.parts:
        PARTS[part](world, given.scenes)


def of_words(world: World, count: int) -> None:
    """Section ``drawn words``."""
    pairs = list(scenes("validation", range(SHIPPED, SHIPPED + count)))
    own = detectors(world, [p for pair in pairs for p in pair])
    split = {"validation": range(SHIPPED), "test": range(SHIPPED, SHIPPED + 300)}
    words = {
        name: in_the_top(world, misled(world, list(scenes(name, numbers))), own)
        for name, numbers in split.items()
    }
    write(PATH, "drawn words", words)


def of_gender(world: World, _: int) -> None:
    """Section ``drawn gender``."""
    for dictionary in ("middle", "last"):
        write(PATH, f"drawn gender, {dictionary}", gender(world, dictionary))


PATH = Path("docs/methods.json")
PARTS = {"words": of_words, "gender": of_gender}


def write(path: Path, section: str, found: object) -> None:
    """One section, beside all others."""
    known = json.loads(path.read_text())
    path.write_text(json.dumps({**known, section: found}, indent=1) + "\n")
    print(section, json.dumps(found), flush=True)


if __name__ == "__main__":
    main()
