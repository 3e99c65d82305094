"""What a recipe does over a set does not hang on the form of the set."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from steerboard.analysis.evidence.pictures import ManifestSet, PictureSet, digest_of
from steerboard.cli import app
from steerboard.cli.evidence import image_set
from steerboard.recipe.files import save
from steerboard.spec.errors import NotFound
from steerboard.spec.recipe import Recipe
from tests.images.forms import as_arrow, as_tar


@pytest.fixture
def file(recipe: Recipe, tmp_path: Path) -> Path:
    path = tmp_path / "no-stripes.recipe.json"
    save(recipe, path)
    return path


def evidence(file: Path, house: Path, images: str) -> dict[str, Any]:
    words = ["evidence", "run", str(file), "--config", str(house), "--images", images]
    run = CliRunner().invoke(app, [*words, "--split", "validation", "--no-keep", "--json"])
    assert run.exit_code == 0, run.output
    found: dict[str, Any] = json.loads(run.stdout)
    return found


@pytest.mark.parametrize("form", [as_tar, as_arrow])
def test_evidence_over_another_form_is_that_over_the_set_that_has_a_name(
    form: Any, file: Path, tiny_house: Path, tmp_path: Path
) -> None:
    place = form(tiny_house, tmp_path)
    named, other = (evidence(file, tiny_house, images) for images in ("tiny", place))
    assert named["source"]["image_set"] == "tiny" and other["source"]["image_set"] == place
    assert named["source"]["pictures"] == other["source"]["pictures"] == 16
    assert named["source"]["digest"] == other["source"]["digest"]
    for part in ("overall", "ripple"):
        assert named[part] == other[part]
    if form is as_tar:  # random controls are drawn by the names of pictures, which a tar keeps
        assert named["controls"] == other["controls"]


def test_a_set_of_the_configuration_is_what_its_manifest_says(
    tiny_house: Path, pictures: ManifestSet
) -> None:
    def told(images: PictureSet) -> list[tuple[str, str, str, object]]:
        return [(p.key, digest_of(p), p.label, p.attributes["group"]) for p in images]

    assert told(image_set(tiny_house, "tiny", "validation")) == told(pictures)
    with pytest.raises(NotFound, match=r"image set 'none'.* names tiny"):
        image_set(tiny_house, "none", "validation")
