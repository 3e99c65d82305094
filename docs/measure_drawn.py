"""Measures on pictures that are drawn for it: is a shortcut's own feature in the top 3?

    python docs/measure_drawn.py [--scenes N] [--parts typographic watermark water gender]

The shipped validation split has 8 to 15 pictures of each lying word: too few to tell a detector
from luck. Here more scenes of the same generator are drawn, with seeds that no shipped picture
has. What a shortcut's own features are is settled on those of validation, without any attribution;
on how many pictures one of them is among the first three is told of the shipped test split, of test
scenes that were looked at while the rule was made, of test scenes that nobody had looked at, of
those that were named before they were drawn, and of all of these together. Writes the sections
``drawn NAME`` of ``methods.json``.
"""

import argparse
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from measure_methods import DICTIONARY, MODEL, Picture, World, skilled

from demo.emojiland.draw import encode
from demo.emojiland.scenes import Scene, attacked, medical_test
from steerboard.analysis.curves import random_ranking
from steerboard.analysis.expertise import Expertise, expertise
from steerboard.analysis.intervals import Rate
from steerboard.analysis.responses import responses
from steerboard.spec.requests import Encoded

SHIPPED = 210  # scenes of an attack that a split ships with
Rule = Callable[[Expertise], npt.NDArray[np.bool_]]
# What makes a detector the shortcut's own: one bar for all of them.
BAR: dict[str, Rule] = {"AUROC at least 0.9": lambda e: e.auroc >= 0.9}
# A second one for words, of which each is rare: mostly silent elsewhere. Where every other picture
# shows the shortcut, an AP of 0.5 is chance.
RULES: dict[str, dict[str, Rule]] = {
    "typographic": {**BAR, "AP at least 0.5": lambda e: e.precision >= 0.5}
}
ATTACKS = ("typographic", "watermark", "water")
# Numbers of test scenes: with which the rule was made, and which nobody had looked at.
SEEN = {"typographic": range(SHIPPED, SHIPPED + 300)}
NEW = {name: range(9_000, 9_500 if name == "typographic" else 9_300) for name in ATTACKS}
# The same of medical scenes; detectors are found among the first ones' validation.
PEOPLE, NEW_PEOPLE = range(2_000, 2_800), range(8_800, 10_000)
# Of the confirmatory look, named before a single one was drawn, when rule (``BAR``), dictionaries
# (middle; last for gender, a woman's own) and order (by size) were settled. The bound of 90 % is
# judged by the share by size on these alone. Their seeds lie behind those of all groups.
CONFIRMED = {
    "typographic": range(60_000, 61_200),
    "watermark": range(60_000, 60_900),
    "water": range(60_000, 60_600),
}
CONFIRMED_PEOPLE = range(60_000, 63_000)
DOCTORS = ("doctor", "woman")
PATH = Path("docs/methods.json")
Case = tuple[Picture, str, str]
Own = dict[str, dict[str, set[int]]]  # features by rule and wrong class


def drawn(scene: Scene, **facts: Any) -> Picture:
    """A scene as a picture with what is known of it."""
    known = {"label": scene.label, "on top": bool(scene.strip and scene.strip_on_top), **facts}
    return Picture(known, Encoded(data=encode(scene)))


def scenes(split: str, numbers: range, attack: str) -> Iterator[tuple[Picture, Picture]]:
    """Attacked pictures and their clean twins."""
    for number in numbers:
        lying, clean, wrong = attacked(split, attack, number)
        yield drawn(lying, wrong=wrong), drawn(clean, wrong="")


def detectors(world: World, pictures: Sequence[Picture], rules: Mapping[str, Rule]) -> Own:
    """For each rule and class its own features: those that know what was drawn where it stands.

    Words at the top and at the foot are two concepts, because they fall on other patches: the
    same word at the other place is left out, all other pictures are negatives. Watermark and water
    have one place.
    """
    answers = responses(world.runner, MODEL, DICTIONARY, [p.image for p in pictures]).tocsr()
    words = np.array([p.facts["wrong"] for p in pictures])
    above = np.array([p.facts["on top"] for p in pictures])
    own: Own = {rule: {} for rule in rules}
    for word in sorted({*words} - {""}):
        for place in np.unique(above[words == word]):
            kept = (words != word) | (above == place)
            found = expertise(answers[kept].tocsc(), (words == word)[kept])
            for rule, good in rules.items():
                own[rule].setdefault(word, set()).update(np.flatnonzero(good(found)).tolist())
    return own


def misled(world: World, pairs: Sequence[tuple[Picture, Picture]]) -> list[Case]:
    """Those that the shortcut misleads though the clean twin is right, wrong, true."""
    said, clean = (world.says([pair[i] for pair in pairs]) for i in (0, 1))
    return [
        (p, p.facts["wrong"], p.facts["label"])
        for (p, _), s, c in zip(pairs, said, clean, strict=True)
        if s == p.facts["wrong"] and c == p.facts["label"]
    ]


def in_the_top(
    world: World, cases: Sequence[Case], own: Own, dictionary: str = DICTIONARY
) -> dict[str, dict[str, Any]]:
    """For each rule on how many pictures an own feature is among three, and by chance."""
    counts = {rule: np.zeros(3, np.int64) for rule in own}
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
    return {rule: told(hits.tolist(), len(cases), own[rule]) for rule, hits in counts.items()}


def told(hits: Sequence[int], n: int, own: Mapping[str, set[int]]) -> dict[str, Any]:
    """Shares with Wilson intervals."""
    names = ("by size", "for the wrong class", "by chance")
    rates = {name: Rate(count, n) for name, count in zip(names, hits, strict=True)}
    return {
        "pictures": n,
        "detectors a class": float(np.mean([len(f) for f in own.values()])),
        **{name: rate.value for name, rate in rates.items()},
        "interval by size": list(rates["by size"].interval),
    }


def together(parts: Sequence[Mapping[str, Mapping[str, Any]]]) -> dict[str, dict[str, Any]]:
    """For each rule how often by size over all pictures of some parts, none of which share one."""
    out = {}
    for rule in parts[0]:
        n = sum(part[rule]["pictures"] for part in parts)
        hits = sum(round(part[rule]["by size"] * part[rule]["pictures"]) for part in parts)
        rate = Rate(hits, n)
        out[rule] = {
            "pictures": n,
            "by size": rate.value,
            "interval by size": list(rate.interval),
        }
    return out


def of_attack(world: World, attack: str, count: int) -> dict[str, object]:
    """One shortcut over all test scenes named above, and over shipped validation ones."""
    pairs = list(scenes("validation", range(SHIPPED, SHIPPED + count), attack))
    own = detectors(world, [p for pair in pairs for p in pair], RULES.get(attack, BAR))
    numbers = {"shipped": range(SHIPPED), "new": NEW[attack], "confirmed": CONFIRMED[attack]}
    numbers |= {"seen": SEEN[attack]} if attack in SEEN else {}
    found = {
        name: in_the_top(world, misled(world, list(scenes("test", which, attack))), own)
        for name, which in numbers.items()
    }
    cases = misled(world, list(scenes("validation", range(SHIPPED), attack)))
    pooled = {"all of test": together(list(found.values()))}
    return {**found, **pooled, "validation": in_the_top(world, cases, own)}


def people(split: str, numbers: range) -> list[Picture]:
    """Medical workers, balanced over role and gender, whose cue is always true."""
    found = (medical_test(split, number) for number in numbers)
    return [Picture({"label": s.label, "gender": s.gender}, Encoded(data=encode(s))) for s in found]


def doctors(world: World, pictures: Sequence[Picture]) -> list[Case]:
    """Women doctors called nurse."""
    women = [p for p in pictures if (p.facts["label"], p.facts["gender"]) == DOCTORS]
    said = zip(women, world.says(women), strict=True)
    return [(p, "nurse", "doctor") for p, s in said if s == "nurse"]


def gender(world: World, dictionary: str) -> dict[str, object]:
    """The same for gender: a woman's own features alone, and with them those of a man.

    Gender is drawn as one of two: what knows a man knows it too. Detectors are found among medical
    workers, whose faces no other profession has.
    """
    known = people("validation", PEOPLE)
    answers = responses(world.runner, MODEL, dictionary, [p.image for p in known])
    experts = {
        who: expertise(answers, np.array([p.facts["gender"] == who for p in known]))
        for who in ("woman", "man")
    }
    of = {who: set(skilled(found)) for who, found in experts.items()}
    own: Own = {
        "a woman's": {"nurse": of["woman"]},
        "either gender's": {"nurse": of["woman"] | of["man"]},
    }
    cases = {
        "shipped": world.cases("gender"),
        "seen": doctors(world, people("test", PEOPLE)),
        "new": doctors(world, people("test", NEW_PEOPLE)),
        "confirmed": doctors(world, people("test", CONFIRMED_PEOPLE)),
    }
    best = {who: float(found.auroc.max()) for who, found in experts.items()}
    tops = {name: in_the_top(world, c, own, dictionary) for name, c in cases.items()}
    tops["all of test"] = together(list(tops.values()))
    tops["validation"] = in_the_top(world, doctors(world, known), own, dictionary)
    return {"largest AUROC": best, **tops}


def main() -> None:
    """The sections that are asked for; what is there already is measured again."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scenes", type=int, default=1000, help="drawn pairs of validation")
    names = (*ATTACKS, "gender")
    parser.add_argument("--parts", nargs="+", choices=names, default=list(names))
    given = parser.parse_args()
    world = World(Path("demo"))
    for name in given.parts:
        if name == "gender":
            for dictionary in ("middle", "last"):
                write(PATH, f"drawn gender, {dictionary}", gender(world, dictionary))
        else:
            write(PATH, f"drawn {name}", of_attack(world, name, given.scenes))


def write(path: Path, section: str, found: object) -> None:
    """One section, beside all others."""
    known = json.loads(path.read_text())
    path.write_text(json.dumps({**known, section: found}, indent=1) + "\n")
    print(section, json.dumps(found), flush=True)


if __name__ == "__main__":
    main()
