"""Sixty-four small pictures with classes, and the records that a real model gives of them."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from steerboard.catalogue.build import Plan, build
from steerboard.catalogue.observe import batched, observe
from steerboard.catalogue.records import Record
from steerboard.images.image_set import ImageSet, open_images
from steerboard.inprocess.runner import LocalRunner, open_local

COUNT = 64
COLOURS = ("red", "green", "blue", "grey")


def write_pictures(folder: Path) -> None:
    """Noise tinted by class, so that some features do go with some classes."""
    rng = np.random.default_rng(5)
    folder.mkdir()
    rows = []
    for i in range(COUNT):
        pixels = rng.integers(0, 140, (4, 4, 3))
        if i % 4 < 3:
            pixels[..., i % 4] += 110
        image = Image.fromarray(pixels.astype(np.uint8)).resize((40, 32))
        image.save(folder / f"{i:02d}.png")
        row = {"path": f"{i:02d}.png", "label": COLOURS[i % 4], "scene": f"scene {i % 6}"}
        rows.append(json.dumps({**row, "size": i / COUNT}))
    (folder / "manifest.jsonl").write_text("\n".join(rows))


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pictures") / "set"
    write_pictures(folder)
    return folder


@pytest.fixture(scope="session")
def images(pictures: Path) -> ImageSet:
    return ImageSet(open_images(str(pictures / "manifest.jsonl")), decode=False)


@pytest.fixture(scope="session")
def runner(tiny_house: Path) -> Iterator[LocalRunner]:
    found = open_local(tiny_house, "")
    yield found
    found.close()


@pytest.fixture(scope="session")
def records(runner: LocalRunner, images: ImageSet) -> list[Record]:
    parts = observe(runner, runner.model("tiny"), "middle", batched(images, 16))
    return [r for part in parts for r in part.records]


@pytest.fixture(scope="session")
def folder(runner: LocalRunner, images: ImageSet, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Catalogues of both dictionaries, for all tests that only read."""
    out = tmp_path_factory.mktemp("catalogues")
    for name in ("middle", "last"):
        build(runner, images, Plan("tiny", name), str(out / f"{name}.parquet"), str(out / "work"))
    return out
