"""The team's recipes from a terminal."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from steerboard.cli import app
from steerboard.recipe.files import load, save
from steerboard.spec.errors import InvalidRequest, NotFound
from steerboard.spec.recipe import Recipe
from tests.recipe.test_files import note


def said(store: str, *words: str) -> str:
    run = CliRunner(env={"STEERBOARD_STORE": store}).invoke(app, ["recipe", *words])
    if run.exception and not isinstance(run.exception, SystemExit):
        raise run.exception
    assert run.exit_code == 0, run.output
    return run.stdout


def test_a_file_goes_to_the_team_and_comes_back(recipe: Recipe, tmp_path: Path) -> None:
    store, path = f"sqlite:///{tmp_path / 's.sqlite'}", tmp_path / "a.recipe.json"
    assert "no recipes yet" in said(store, "list")
    save(recipe, path)
    assert "no-stripes v1, unproven" in said(store, "push", str(path), "--author", "ann")
    save(recipe.model_copy(update={"evidence": (note(),)}), path)
    assert "no-stripes v1, proven" in said(store, "push", str(path), "--author", "bob")
    assert "no-stripes v1  inconclusive on x  ann" in said(store, "list")
    said(store, "pull", "no-stripes", "-o", str(tmp_path / "b.recipe.json"))
    assert load(tmp_path / "b.recipe.json") == load(path)
    with pytest.raises(NotFound, match="no version 3"):
        said(store, "pull", "no-stripes", "--version", "3", "-o", str(tmp_path / "c"))
    with pytest.raises(InvalidRequest, match="say who"):
        said(store, "push", str(path), "--author", " ")
    assert said(store, "list", "--tenant", "others").startswith("no recipes yet")
