"""New scenes of Emojiland: to fit on, to choose by, and to report on; none of them is shipped.

Numbers of scenes within a split and group say what they are for; their seeds meet neither each
other nor those of the shipped pictures, which are numbers below 400.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path

from demo.emojiland.draw import encode
from demo.emojiland.manifest import Entry
from demo.emojiland.scenes import Scene, attacked, medical_test, profession_test
from steerboard.analysis.evidence.pictures import ManifestSet
from steerboard.spec.digest import image_digest
from steerboard.spec.recipe import SHORT, ChosenOn

FITTING, CHOOSING, BAKING = 1000, 4000, 6000  # of the validation split's seeds
REPORTING = 3000  # of the test split's seeds; 2000, 5000, 7000 and 9000 have been reported on
ATTACKS = ("typographic", "watermark")
MANIFEST = "manifest.jsonl"
NO_MORE: Mapping[str, int] = {}


@cache
def drawn(scene: Scene) -> bytes:
    """The encoded picture of a scene."""
    return encode(scene)


def chosen(found: Iterable[Entry]) -> ChosenOn:
    """The record of new scenes that a recipe was chosen on."""
    digests = sorted({image_digest(drawn(e.scene))[:SHORT] for e in found})
    return ChosenOn(image_set="new scenes", split="validation", pictures=tuple(digests))


def pairs(attack: str, count: int, first: int) -> Iterator[tuple[Entry, Entry]]:
    """(attacked, clean twin) of new scenes of the validation split."""
    for number in range(first, first + count):
        yield pair("validation", attack, number)


def pair(split: str, attack: str, number: int) -> tuple[Entry, Entry]:
    """An attacked scene and its twin."""
    scene, twin, wrong = attacked(split, attack, number)
    stem = f"new/{attack}-{number}"
    clean = f"{stem}-clean.jpg"
    one = Entry(f"{stem}.jpg", split, attack, scene, wrong, clean)
    return one, Entry(clean, split, "clean", twin)


def medical(split: str, number: int) -> Entry:
    """A doctor or a nurse."""
    scene = medical_test(split, number)
    return Entry(f"new/medical-{number}.jpg", split, "medical", scene)


def profession(split: str, number: int) -> Entry:
    """A person of another profession."""
    scene = profession_test(split, number)
    return Entry(f"new/profession-{number}.jpg", split, "profession", scene)


def entries(
    split: str, first: int, count: int, more: Mapping[str, int] = NO_MORE
) -> Iterator[Entry]:
    """``count`` pairs an attack, as many medical pictures twice over, and half as many others.

    And ``more`` of some: attacked pictures without their twins, or medical ones.
    """
    for number in range(first, first + count):
        for attack in ATTACKS:
            yield from pair(split, attack, number)
    for attack in ATTACKS:
        for number in range(first + count, first + count + more.get(attack, 0)):
            yield pair(split, attack, number)[0]
    for number in range(first, first + 2 * count + more.get("medical", 0)):
        yield medical(split, number)
    for number in range(first, first + count // 2):
        yield profession(split, number)


def written(
    folder: Path, name: str, split: str, first: int, count: int, more: Mapping[str, int] = NO_MORE
) -> ManifestSet:
    """A set of new pictures in ``folder``, drawn where it is not there yet."""
    manifest = folder / MANIFEST
    if not manifest.is_file():
        (folder / "new").mkdir(parents=True, exist_ok=True)
        found = list(entries(split, first, count, more))
        for entry in found:
            (folder / entry.path).write_bytes(drawn(entry.scene))
        lines = [json.dumps({**e.record(), "split": "new"}) for e in found]
        manifest.write_text("\n".join(lines) + "\n")
    return ManifestSet(name, folder, manifest, "new")
