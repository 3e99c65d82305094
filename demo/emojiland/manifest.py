"""Write the validation and test pictures with a manifest that says the truth about each."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from demo.emojiland.draw import encode
from demo.emojiland.scenes import Scene, attacked, medical_test, profession_test

SPLITS = ("validation", "test")
ATTACKS = ("typographic", "watermark", "water")
ATTACKED = 210  # pictures an attack and split, each with its clean twin
MEDICAL = 400
PROFESSION = 140


@dataclass(frozen=True)
class Entry:
    """A picture to write: its scene, its place, and what the shortcut does in it."""

    path: str
    split: str
    group: str
    scene: Scene
    wrong: str | None = None
    twin: str | None = None

    def record(self) -> dict[str, object]:
        """One line of the manifest."""
        scene = self.scene
        return {
            "path": self.path, "split": self.split, "group": self.group, "label": scene.label,
            "attack": self.group if self.wrong else None, "wrong": self.wrong, "twin": self.twin,
            "gender": scene.gender, "cue": scene.cue, "background": scene.background,
            "size": round(scene.size, 4), "seed": scene.seed,
        }  # fmt: skip


def attack_entries(split: str, attack: str, count: int) -> Iterator[Entry]:
    """Attacked pictures and their twins, side by side."""
    for number in range(count):
        scene, twin, wrong = attacked(split, attack, number)
        stem = f"{split}/{attack}-{number:03d}"
        yield Entry(f"{stem}.jpg", split, attack, scene, wrong, f"{stem}-clean.jpg")
        yield Entry(f"{stem}-clean.jpg", split, "clean", twin)


def entries(share: float = 1.0) -> Iterator[Entry]:
    """Every picture of both splits, or the first ``share`` of each kind, at least eight."""
    counts = [max(8, round(share * n)) for n in (ATTACKED, MEDICAL, PROFESSION)]
    for split in SPLITS:
        for attack in ATTACKS:
            yield from attack_entries(split, attack, counts[0])
        for number in range(counts[1]):
            scene = medical_test(split, number)
            yield Entry(f"{split}/medical-{number:03d}.jpg", split, "medical", scene)
        for number in range(counts[2]):
            scene = profession_test(split, number)
            yield Entry(f"{split}/profession-{number:03d}.jpg", split, "profession", scene)


def write(folder: Path, share: float = 1.0) -> int:
    """Draw the pictures below ``folder``; returns how many."""
    lines = []
    for entry in entries(share):
        path = folder / entry.path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encode(entry.scene))
        lines.append(json.dumps(entry.record()))
    (folder / "manifest.jsonl").write_text("\n".join(lines) + "\n")
    return len(lines)


if __name__ == "__main__":
    print(write(Path("demo/images")), "pictures")
