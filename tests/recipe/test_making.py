"""A recipe says on which pictures it was made; its evidence leaves those out, and no others."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from steerboard.analysis.evidence.pictures import digest_of
from steerboard.analysis.evidence.run import Options, check_split
from steerboard.cli import app
from steerboard.cli.evidence import image_set, rest
from steerboard.cli.recipe import chosen_on
from steerboard.recipe.files import load
from steerboard.spec.errors import InvalidRequest, NotFound
from steerboard.spec.recipe import SHORT, Recipe

OF = {"images": "tiny", "split": "validation", "pictures": "03.jpg, 07.jpg"}


def chosen(recipe: Recipe, house: Path, **of: str) -> Recipe:
    made = {"chosen_on": chosen_on(house, **{**OF, **of})}
    provenance = recipe.provenance.model_copy(update=made)
    return recipe.model_copy(update={"provenance": provenance})


def test_the_command_writes_down_what_a_recipe_was_chosen_on(
    tiny_house: Path, tmp_path: Path
) -> None:
    path = tmp_path / "r.recipe.json"
    words = ["recipe", "make", "r", "-o", str(path), "--features", "3,4", "--dictionary", "middle"]
    words += ["--model", "tiny", "--config", str(tiny_house)]
    words += [word for name, value in OF.items() for word in (f"--{name}", value)]
    run = CliRunner().invoke(app, words)
    assert run.exit_code == 0, run.output
    (part,) = load(path).provenance.chosen_on
    own = {p.key: digest_of(p)[:SHORT] for p in image_set(tiny_house, "tiny", "")}
    assert part.pictures == tuple(sorted((own["03.jpg"], own["07.jpg"])))
    assert (part.image_set, part.split) == ("tiny", "")


def test_evidence_leaves_out_those_pictures_and_no_others(recipe: Recipe, tiny_house: Path) -> None:
    for split in ("validation", ""):  # a set without splits is not refused for two of its pictures
        whole = image_set(tiny_house, "tiny", split)
        own = chosen(recipe, tiny_house)
        left = rest(whole, own)
        assert {p.key for p in whole} - {p.key for p in left} == {"03.jpg", "07.jpg"}
        assert len(left) == len(whole) - 2 and (left.name, left.split) == ("tiny", split)
        assert check_split(own, left, Options()) == 0
        with pytest.raises(InvalidRequest, match="on 2 of its pictures"):
            check_split(own, whole, Options())


def test_a_whole_split_is_no_evidence_at_all(recipe: Recipe, tiny_house: Path) -> None:
    own = chosen(recipe, tiny_house, pictures="")
    whole = image_set(tiny_house, "tiny", "validation")
    with pytest.raises(InvalidRequest, match="was chosen on split 'validation' of tiny"):
        check_split(own, rest(whole, own), Options())


def test_pictures_that_are_not_there_are_named(tiny_house: Path) -> None:
    with pytest.raises(NotFound, match=r"has no picture 'x\.jpg': its first is '00\.jpg'"):
        chosen_on(tiny_house, "tiny", "", "00.jpg,x.jpg")
    with pytest.raises(InvalidRequest, match="name it by --images"):
        chosen_on(tiny_house, "", "", "00.jpg")
    assert chosen_on(tiny_house, "", "", "") == ()
