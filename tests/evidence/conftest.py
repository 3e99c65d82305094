"""The tiny house as a Runner, and its pictures as a set."""

from collections.abc import Iterator
from pathlib import Path

import pytest

import steerboard as sb
from steerboard.analysis.evidence.pictures import ManifestSet
from steerboard.recipe.making import make
from steerboard.spec.recipe import Recipe
from steerboard.spec.runner import Runner


@pytest.fixture(scope="session")
def runner(tiny_house: Path) -> Iterator[Runner]:
    opened = sb.local(tiny_house)
    yield opened
    opened.close()


@pytest.fixture(scope="session")
def pictures(tiny_house: Path) -> ManifestSet:
    folder = tiny_house / "images"
    return ManifestSet("tiny", folder, folder / "manifest.jsonl", "validation")


@pytest.fixture(scope="session")
def recipe(runner: Runner) -> Recipe:
    return make(
        runner,
        "no-stripes",
        "tiny",
        sb.scale("resid_post.1", "middle", -3.0, 3, 4, 9, 20),
        sb.Prompts(prompts=("cat", "dog", "horse", "boat"), template="a {}"),
        failures={"label": "dog"},
    )
