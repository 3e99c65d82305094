"""Measures experts and their stability on fresh scenes: the section *Experts* of ``methods.md``.

    python docs/measure_experts.py [--rounds N] [--held-out N]

Every object stands on every background once a round, each time as a scene that no shipped picture,
no training picture and no other round has; the strip and the watermark have as many pictures as a
background has. Experts are chosen on the first seeds and told of the second ones, which nothing
else looks at. Writes the section ``fresh experts`` of ``methods.json``, and prints its tables.
"""

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import numpy.typing as npt
from measure_drawn import write
from measure_methods import MODEL
from scipy import sparse

import steerboard
from demo.emojiland.draw import encode
from demo.emojiland.scenes import ATTACK_STRIP, Scene
from demo.emojiland.world import BACKGROUNDS, OBJECTS
from steerboard.analysis.concepts import half_splits
from steerboard.analysis.expertise import expertise
from steerboard.analysis.responses import responses
from steerboard.spec.requests import Encoded
from steerboard.spec.runner import Runner

FIRST = {"chosen on": 5_000_000, "held out": 6_000_000}  # seeds beyond all that is shipped
THINGS = tuple(sorted({*OBJECTS} - {"horse", "boat"}))
SIZES = (0.30, 0.65)  # of an object, as easy training pictures have them
BOOKS = ("middle", "last")
ROUNDS = (2, 5, 10)  # beside all of them: how stability grows with the positives
Answers = dict[str, sparse.csr_array]
Marks = npt.NDArray[np.bool_]


def scenes(part: str, rounds: int) -> Iterator[Scene]:
    """Clean scenes, each object on each background once a round; then the attacked ones."""
    cells = [(thing, ground) for thing in THINGS for ground in BACKGROUNDS] * rounds
    attacks = ["", "strip", "mark"]
    for attack in attacks:
        wanted = cells if not attack else cells[:: len(BACKGROUNDS)]
        first = FIRST[part] + 100_000 * attacks.index(attack)
        for number, (thing, ground) in enumerate(wanted):
            yield changed(clean(first + number, thing, ground), attack)


def clean(seed: int, thing: str, ground: str) -> Scene:
    """An object on a background, nothing else."""
    random = Random(f"expert-{seed}")
    return Scene(seed, thing, ground, random.uniform(*SIZES))


def changed(scene: Scene, attack: str) -> Scene:
    """With a lying strip at the top or the foot, with the watermark, or as it is."""
    random = Random(f"attack-{scene.seed}")
    if attack == "strip":
        word = random.choice([o for o in THINGS if o != scene.label])
        top = random.random() < 0.5
        return replace(scene, strip=word, strip_on_top=top, strip_opacity=ATTACK_STRIP)
    return replace(scene, mark=attack == "mark")


def asked(runner: Runner, drawn: Sequence[Scene]) -> Answers:
    """Every feature's response to every scene, by dictionary."""
    pictures = [Encoded(data=encode(scene)) for scene in drawn]
    return {book: responses(runner, MODEL, book, pictures).tocsr() for book in BOOKS}


def concepts(drawn: Sequence[Scene]) -> dict[str, tuple[Marks, Marks]]:
    """Name to (pictures that take part, those that show it): 24 objects, 8 backgrounds, 2 attacks.

    Objects and backgrounds are told from others among clean pictures, an attack from all of them.
    """
    strip, mark = (np.array([bool(v) for v in f]) for f in zip(*[(s.strip, s.mark) for s in drawn],
                   strict=True))  # fmt: skip
    plain = ~strip & ~mark
    things = {t: np.array([s.label == t for s in drawn]) for t in THINGS}
    grounds = {f"on {g}": np.array([s.background == g for s in drawn]) for g in BACKGROUNDS}
    clean_ = {name: (plain, labels) for name, labels in {**things, **grounds}.items()}
    return {**clean_, "label strip": (plain | strip, strip), "watermark": (plain | mark, mark)}


def of(answers: sparse.csr_array, member: Marks, labels: Marks) -> tuple[sparse.csc_array, Marks]:
    """The rows that take part, with their labels."""
    return answers[np.flatnonzero(member)].tocsc(), labels[member]


def measured(
    chosen_on: tuple[Answers, list[Scene]], held_out: tuple[Answers, list[Scene]]
) -> dict[str, dict[str, Any]]:
    """For each concept: the expert of each dictionary, its AP on fresh pictures, stability."""
    tried = concepts(held_out[1])
    out: dict[str, dict[str, Any]] = {}
    for name, masks in concepts(chosen_on[1]).items():
        out[name] = {b: one(of(chosen_on[0][b], *masks), of(held_out[0][b], *tried[name]))
                     for b in BOOKS}  # fmt: skip
        # Settled where the expert was chosen: the held-out pictures have no say in it.
        out[name]["book"] = max(BOOKS, key=lambda b, n=name: out[n][b]["chosen with"])
    return out


def one(
    known: tuple[sparse.csc_array, Marks], fresh: tuple[sparse.csc_array, Marks]
) -> dict[str, float]:
    """One concept through one dictionary."""
    found = expertise(*known)
    best, told = int(found.best(1)[0]), expertise(*fresh)
    return {
        "feature": best,
        "chosen with": float(found.precision[best]),
        "precision": float(told.precision[best]),
        "auroc": float(told.auroc[best]),
        "prevalence": told.prevalence,
        "positives a half": int(known[1].sum()) // 2,
        "stability": float(half_splits(*known, splits=4).mean()),
    }


def growth(answers: Answers, drawn: Sequence[Scene], rounds: int) -> list[dict[str, Any]]:
    """Stability of the objects by the number of positives a half."""
    table = []
    for count in (*(r for r in ROUNDS if r < rounds), rounds):
        kept = np.arange(len(drawn)) < count * len(THINGS) * len(BACKGROUNDS)
        row: dict[str, Any] = {"positives a half": count * len(BACKGROUNDS) // 2}
        for book in BOOKS:
            masks = [(m & kept, y) for n, (m, y) in concepts(drawn).items() if n in THINGS]
            found = [half_splits(*of(answers[book], *m), splits=2).mean() for m in masks]
            row[book] = {"median": float(np.median(found)), "least": float(min(found))}
        table.append(row)
    return table


def summary(found: dict[str, dict[str, Any]]) -> dict[str, dict[str, float]]:
    """Shares of the concepts that meet their bounds: each dictionary alone, and the better one."""
    views = {b: [c[b] for c in found.values()] for b in BOOKS}
    views["the better of both"] = [c[c["book"]] for c in found.values()]
    return {
        name: {
            "concepts": len(rows),
            "AP at least 0.9": share([r["precision"] for r in rows]),
            "median AP": float(np.median([r["precision"] for r in rows])),
            "stability, median": float(np.median([r["stability"] for r in rows])),
            "stability at least 0.9": share([r["stability"] for r in rows]),
            "stability, least": min(r["stability"] for r in rows),
        }
        for name, rows in views.items()
    }


def share(values: Sequence[float]) -> float:
    """Of those that are 0.9 at least."""
    return float(np.mean(np.array(values) >= 0.9))


def main() -> None:
    """Draw, ask, choose, tell."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=20, help="of 192 pictures to choose on")
    parser.add_argument("--held-out", type=int, default=5, help="the same, to tell of")
    given = parser.parse_args()
    runner: Runner = steerboard.local(Path("demo"))
    parts = {"chosen on": given.rounds, "held out": given.held_out}
    drawn = {part: list(scenes(part, rounds)) for part, rounds in parts.items()}
    answers = {part: asked(runner, found) for part, found in drawn.items()}
    found = measured(*((answers[p], drawn[p]) for p in parts))
    write(Path("docs/methods.json"), "fresh experts", {
        "pictures": {part: len(scenes_) for part, scenes_ in drawn.items()},
        "summary": summary(found),
        "by positives": growth(answers["chosen on"], drawn["chosen on"], given.rounds),
        "concepts": found,
    })  # fmt: skip


if __name__ == "__main__":
    main()
