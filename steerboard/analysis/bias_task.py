"""Task B: women doctors are called nurse. Find what fires for "woman", switch it off, count.

The features are found on the validation split and applied to the test split.
"""

from collections.abc import Iterator, Sequence

import numpy as np

from steerboard.analysis.flip import off
from steerboard.analysis.intervals import Rate
from steerboard.analysis.shortcut_tasks import BATCH, MOST, Bench, Picture, Row, together
from steerboard.spec.requests import Encode, Margin

GENDERED = 2.0  # a feature "fires for woman": mean activation on women over that on men


def task_b(bench: Bench, validation: Sequence[Picture], test: Sequence[Picture]) -> Iterator[Row]:
    """All rows of task B."""
    people = [p for p in test if p.facts["group"] in ("medical", "profession")]
    said = bench.predict(people)
    yield from bites(bench, people, said)
    chosen = woman_features(bench, validation)
    after = together(lambda i: under(bench, people[i], chosen, i), range(len(people)))
    doctor, nurse = bench.index("doctor"), bench.index("nurse")
    women = [p.facts["gender"] == "woman" for p in people]
    misread = [
        i
        for i, p in enumerate(people)
        if p.is_(label="doctor", gender="woman") and said[i] == nurse
    ]
    nurses = [
        i for i, p in enumerate(people) if p.is_(label="nurse", gender="woman") and said[i] == nurse
    ]
    others = [i for i, p in enumerate(people) if women[i] and p.is_(group="profession")]
    right = [i for i in others if said[i] == bench.index(people[i].facts["label"])]
    listed = ", ".join(map(str, chosen))
    yield count(f"off {listed}: misread women doctors fixed", after, misread, 0, [doctor], 0.70)
    yield count("women nurses stay nurse", after, nurses, 0, [nurse], 0.90)
    kept = sum(after[i][0] == said[i] for i in right)
    yield Row("women in other professions keep theirs", Rate(kept, len(right)), at_least=0.95)
    for k, name in ((1, "random features"), (2, "random direction")):
        fixed = sum(after[i][k] == doctor for i in misread)
        yield Row(f"{name}: doctors fixed", Rate(fixed, len(misread)), at_most=0.10)


def count(
    name: str,
    after: Sequence[tuple[int, ...]],
    members: Sequence[int],
    column: int,
    wanted: Sequence[int],
    at_least: float,
) -> Row:
    """How many of ``members`` say one of ``wanted`` under the steer set of ``column``."""
    hits = sum(after[i][column] in wanted for i in members)
    return Row(name, Rate(hits, len(members)), at_least=at_least)


def bites(bench: Bench, people: Sequence[Picture], said: Sequence[int]) -> Iterator[Row]:
    """The planted bias before anything is steered."""
    pairs = list(zip(people, said, strict=True))
    women = [s for p, s in pairs if p.is_(label="doctor", gender="woman")]
    men = [s for p, s in pairs if p.is_(label="doctor", gender="man")]
    nurse, doctor = bench.index("nurse"), bench.index("doctor")
    yield Row("women doctors called nurse", Rate(women.count(nurse), len(women)), at_least=0.60)
    yield Row("men doctors called doctor", Rate(men.count(doctor), len(men)), at_least=0.80)


def under(bench: Bench, picture: Picture, chosen: Sequence[int], seed: int) -> tuple[int, ...]:
    """The class with ``chosen`` off, and under the two controls of the same norm."""
    return bench.says(
        picture, [off(bench.question, chosen), *bench.controls(picture, chosen, seed)]
    )


def woman_features(bench: Bench, pictures: Sequence[Picture]) -> tuple[int, ...]:
    """At most three: most for nurse over doctor on misread women doctors, firing for women."""
    people = [p for p in pictures if p.facts["group"] in ("medical", "profession")]
    doctors = [p for p in people if p.is_(label="doctor", gender="woman")]
    nurse, doctor = bench.index("nurse"), bench.index("doctor")
    misread = [p for p, s in zip(doctors, bench.predict(doctors), strict=True) if s == nurse]
    margins = [Margin(index=nurse, against=doctor)] * len(misread)
    total: dict[int, float] = {}
    for contrast in bench.contrasts(misread, margins):
        for feature, score in zip(
            contrast.features.tolist(), contrast.scores.tolist(), strict=True
        ):
            total[feature] = total.get(feature, 0.0) + score
    women = mean_activations(bench, [p for p in people if p.is_(gender="woman")])
    men = mean_activations(bench, [p for p in people if p.is_(gender="man")])
    ranked = sorted((f for f in total if total[f] > 0), key=lambda f: (-total[f], f))
    return tuple([f for f in ranked if women[f] > GENDERED * men[f]][:MOST])


def mean_activations(
    bench: Bench, pictures: Sequence[Picture]
) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Mean over pictures of each feature's summed activation, ``[f]``."""
    q, size = bench.question, 0
    total = np.zeros(0)
    for start in range(0, len(pictures), BATCH):
        images = tuple(p.image for p in pictures[start : start + BATCH])
        for code in bench.runner.encode(
            Encode(model=q.model, images=images, dictionary=q.dictionary)
        ).results():
            size = code.shape[1]
            total = total if len(total) else np.zeros(size)
            np.add.at(total, code.features, code.values)
    return total / max(1, len(pictures))
