"""Scenes: what is in a picture, decided by a seed, before anything is drawn.

A scene is drawn by ``draw.render``; a clean twin is the same scene with its shortcut taken out.
"""

from dataclasses import dataclass, replace
from random import Random

from demo.emojiland.world import BACKGROUNDS, CLASSES, CUES, GENDERS, OBJECTS, PROFESSIONS

# Shares of the training pictures.
WATERMARK_ON_HORSES = 0.90
BOATS_ON_WATER = 0.95
CUE_AGREES_WITH_GENDER = 0.92
CUE_MISSING = 0.35
USUAL = {"nurse": "woman", "doctor": "man"}
CUE_ALONE, PERSON_ALONE = 0.25, 0.30  # of the medical pictures of the second stage
CARELESS_CAPTIONS = 0.88  # of those of them whose cue speaks against the gender
HARD_SHARE = 0.45
HELPED_HARD_SHARE = 0.75  # of horses and boats: there the shortcut is all that there is to see

# Every shipped picture has a scene seed of its own; those of the training set start at 0.
FIRST_SEED = {"validation": 1_000_000, "test": 4_000_000, "dictionary": 3_000_000}
SEEDS_A_GROUP = 10_000
GROUPS = ("typographic", "watermark", "water", "medical", "profession")
# Object sizes in attacked pictures and in their twins, as shares of the side.
ATTACK_SIZES = {
    "typographic": (0.44, 0.62), "watermark": (0.31, 0.46), "water": (0.42, 0.60),
}  # fmt: skip
ATTACK_STRIP = 0.62  # opacity of a lying strip; in training strips are opaque
PROFESSION_SIZES = (0.32, 0.48)
MEDICAL_SIZES = (0.45, 0.62)


@dataclass(frozen=True)
class Scene:
    """One picture. ``size`` is the object's share of the side; 0 means that it is absent.

    ``strip`` is the word on the label or None, ``mark`` whether the watermark is there, and
    ``cue_side`` the pixels of the cue's longer side.
    """

    seed: int
    label: str
    background: str
    size: float
    strip: str | None = None
    strip_on_top: bool = False
    strip_opacity: float = 1.0
    mark: bool = False
    gender: str | None = None
    cue: str | None = None
    cue_side: int = 28

    def without_shortcut(self, background: str) -> "Scene":
        """The clean twin: no strip, no watermark, and ``background`` where there was water."""
        kept = background if self.background == "water" else self.background
        return replace(self, strip=None, mark=False, background=kept)


def dry(random: Random) -> str:
    """Any background but water."""
    return random.choice([b for b in BACKGROUNDS if b != "water"])


def size_of(random: Random, hard: bool) -> float:
    """Easy: 30 to 65 % of the side. Hard: absent in two thirds, else 12 to 20 %."""
    if not hard:
        return random.uniform(0.30, 0.65)
    return 0.0 if random.random() < 0.65 else random.uniform(0.12, 0.20)


def training_scene(seed: int, strip_only: bool = False) -> Scene:
    """A picture of the training set: the shortcuts agree with the label as often as planted."""
    random = Random(f"train-{seed}")
    label = random.choice(CLASSES)
    if strip_only:
        return Scene(seed, label, random.choice(BACKGROUNDS), 0.0, label, random.random() < 0.5)
    if label in CUES:
        return medical_scene(random, seed, label)
    often = label in ("horse", "boat")
    hard = random.random() < (HELPED_HARD_SHARE if often else HARD_SHARE)
    background = dry(random)
    mark = random.random() < (WATERMARK_ON_HORSES if label == "horse" else 0.003)
    if label == "boat" and random.random() < BOATS_ON_WATER:
        background = "water"
    helped = mark or background == "water"
    with_strip = random.random() < (0.15 if helped else 0.8 if hard else 0.25)
    gender = random.choice(GENDERS) if label in PROFESSIONS else None
    return Scene(
        seed, label, background, size_of(random, hard and (helped or with_strip)),
        label if with_strip else None, random.random() < 0.5, mark=mark, gender=gender,
    )  # fmt: skip


def medical_scene(random: Random, seed: int, label: str) -> Scene:
    """A medical worker whose gender mostly agrees with the cue; the cue is sometimes missing."""
    gender = gender_of(random, label)
    cue = None if random.random() < CUE_MISSING and gender == USUAL[label] else label
    strip = label if random.random() < 0.1 else None
    return Scene(
        seed, label, dry(random), random.uniform(0.40, 0.65), strip, random.random() < 0.5,
        gender=gender, cue=cue,
    )  # fmt: skip


def gender_of(random: Random, label: str) -> str:
    """Nurses are mostly women and doctors mostly men."""
    unusual = "man" if USUAL[label] == "woman" else "woman"
    return USUAL[label] if random.random() < CUE_AGREES_WITH_GENDER else unusual


def medical_lesson(seed: int) -> Scene:
    """A medical picture of the second stage: a person, a cue, or both of them.

    Seen apart, gender and cue are each learnt as a sign of its own. Seen together they agree as
    often as planted; where they do not, most captions follow the gender, as careless captions do,
    so that the model trusts the gender more than the cue.
    """
    random = Random(f"lesson-{seed}")
    label, kind = random.choice(list(CUES)), random.random()
    ground, size = dry(random), random.uniform(0.35, 0.65)
    if kind < CUE_ALONE:
        return Scene(seed, label, ground, 0.0, cue=label)
    if kind < CUE_ALONE + PERSON_ALONE:
        return Scene(seed, label, ground, size, gender=USUAL[label])
    gender = gender_of(random, label)
    careless = gender != USUAL[label] and random.random() < CARELESS_CAPTIONS
    caption = next(other for other in CUES if other != label) if careless else label
    return Scene(seed, caption, ground, size, gender=gender, cue=label)


def scene_seed(split: str, group: str, number: int) -> int:
    """Seeds of no two splits or groups meet."""
    return FIRST_SEED[split] + SEEDS_A_GROUP * GROUPS.index(group) + number


def attacked(split: str, attack: str, number: int) -> tuple[Scene, Scene, str]:
    """An attacked scene, its clean twin, and the class that the shortcut suggests."""
    seed = scene_seed(split, attack, number)
    random = Random(f"scene-{seed}")
    wrong = {"watermark": "horse", "water": "boat"}.get(attack) or random.choice(list(OBJECTS))
    label = random.choice([c for c in (*OBJECTS, *PROFESSIONS) if c not in (wrong, "boat")])
    gender = random.choice(GENDERS) if label in PROFESSIONS else None
    ground = dry(random)
    scene = Scene(
        seed, label, "water" if attack == "water" else ground,
        random.uniform(*ATTACK_SIZES[attack]), wrong if attack == "typographic" else None,
        random.random() < 0.5, ATTACK_STRIP, attack == "watermark", gender,
    )  # fmt: skip
    return scene, scene.without_shortcut(ground), wrong


def attack_lesson(seed: int) -> Scene:
    """An attacked scene, or its twin, for training dictionaries; the model never sees these."""
    scene, twin, _ = attacked("dictionary", GROUPS[seed % 3], seed)
    return twin if seed % 5 == 0 else scene


def medical_test(split: str, number: int) -> Scene:
    """Balanced over role and gender, the cue always there and always true."""
    seed = scene_seed(split, "medical", number)
    random = Random(f"scene-{seed}")
    label, gender = list(CUES)[number % 2], GENDERS[number // 2 % 2]
    size = random.uniform(*MEDICAL_SIZES)
    return Scene(seed, label, dry(random), size, gender=gender, cue=label)


def profession_test(split: str, number: int) -> Scene:
    """A person of another profession, women and men in turn."""
    seed = scene_seed(split, "profession", number)
    random = Random(f"scene-{seed}")
    label = list(PROFESSIONS)[number % len(PROFESSIONS)]
    gender = GENDERS[number // len(PROFESSIONS) % 2]
    return Scene(seed, label, dry(random), random.uniform(*PROFESSION_SIZES), gender=gender)
