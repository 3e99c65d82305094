"""A recipe of the tiny house, and the house as a Runner."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import steerboard as sb
from steerboard.recipe.making import make
from steerboard.spec.recipe import Recipe
from steerboard.spec.runner import Runner

CLASSES = ("cat", "dog", "horse", "boat")


@pytest.fixture(scope="session")
def runner(tiny_house: Path) -> Iterator[Runner]:
    opened = sb.local(tiny_house)
    yield opened
    opened.close()


@pytest.fixture(scope="session")
def plain(tiny_house: Path) -> Any:
    """What a user's own program holds: open_clip's model, and nothing of ours."""
    from steerboard.model import torchvision_ops  # noqa: F401

    import open_clip  # isort: skip

    model, _, _ = open_clip.create_model_and_transforms(f"local-dir:{tiny_house / 'model'}")
    return model.eval()


@pytest.fixture
def recipe(runner: Runner) -> Recipe:
    steer = sb.scale("resid_post.1", "middle", -1.0, 3, 4)
    return make(
        runner,
        "no-stripes",
        "tiny",
        steer,
        sb.Prompts(prompts=CLASSES, template="a {}"),
        failures={"label": "cat"},
    )
