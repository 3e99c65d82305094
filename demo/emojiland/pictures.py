"""Training pictures, drawn once and kept as raw bytes."""

from io import BytesIO
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from demo.emojiland.draw import SIDE, encode
from demo.emojiland.scenes import training_scene
from demo.emojiland.world import CLASSES

Pictures = tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]


def draw_one(job: tuple[int, bool]) -> tuple[bytes, int]:
    """Pixels ``[SIDE, SIDE, 3]`` as bytes, and the index of the class."""
    seed, strip_only = job
    scene = training_scene(seed, strip_only)
    pixels = Image.open(BytesIO(encode(scene))).tobytes()
    return pixels, CLASSES.index(scene.label)


def training_pictures(folder: Path, count: int, strip_only: bool) -> Pictures:
    """``count`` pictures uint8 ``[n, SIDE, SIDE, 3]`` and their classes ``[n]``."""
    path = folder / f"{'strips' if strip_only else 'train'}-{count}.npz"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        with get_context("spawn").Pool() as pool:
            drawn = pool.map(draw_one, [(seed, strip_only) for seed in range(count)], chunksize=200)
        pixels = np.frombuffer(b"".join(data for data, _ in drawn), np.uint8)
        labels = np.array([label for _, label in drawn])
        np.savez(path, pixels=pixels.reshape(count, SIDE, SIDE, 3), labels=labels)
    stored = np.load(path)
    return stored["pixels"], stored["labels"]
