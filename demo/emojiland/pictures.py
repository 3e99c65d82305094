"""Training pictures, drawn once and kept as raw bytes."""

from collections.abc import Callable
from io import BytesIO
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from demo.emojiland.draw import SIDE, encode
from demo.emojiland.scenes import Scene, attack_lesson, medical_lesson, training_scene
from demo.emojiland.world import CLASSES

Pictures = tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]


def strip_scene(seed: int) -> Scene:
    """A label strip and nothing else."""
    return training_scene(seed, strip_only=True)


SETS: dict[str, Callable[[int], Scene]] = {
    "train": training_scene, "strips": strip_scene, "medical": medical_lesson,
    "attacked": attack_lesson,
}  # fmt: skip


def draw_one(job: tuple[str, int]) -> tuple[bytes, int]:
    """Pixels ``[SIDE, SIDE, 3]`` as bytes, and the index of the class."""
    kind, seed = job
    scene = SETS[kind](seed)
    pixels = Image.open(BytesIO(encode(scene))).tobytes()
    return pixels, CLASSES.index(scene.label)


def training_pictures(folder: Path, count: int, kind: str = "train") -> Pictures:
    """``count`` pictures uint8 ``[n, SIDE, SIDE, 3]`` of one set and their classes ``[n]``."""
    path = folder / f"{kind}-{count}.npz"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        with get_context("spawn").Pool() as pool:
            drawn = pool.map(draw_one, [(kind, seed) for seed in range(count)], chunksize=200)
        pixels = np.frombuffer(b"".join(data for data, _ in drawn), np.uint8)
        labels = np.array([label for _, label in drawn])
        np.savez(path, pixels=pixels.reshape(count, SIDE, SIDE, 3), labels=labels)
    stored = np.load(path)
    return stored["pixels"], stored["labels"]
