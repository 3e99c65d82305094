"""``steerboard recipe list|pull|push``: the team's recipes from a terminal."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from steerboard.cli.recipe import File, app

if TYPE_CHECKING:
    from steerboard.store.recipes import Recipes

OWN = "sqlite:///.steerboard/sessions.sqlite"
StoreUrl = Annotated[
    str, typer.Option("--store", envvar="STEERBOARD_STORE", help="the database of the page")
]
__all__ = ["app", "list_", "pull", "push"]
Tenant = Annotated[str, typer.Option(help="whose recipes")]


@contextmanager
def shelf(store: str, tenant: str) -> Iterator["Recipes"]:
    """The recipes of a tenant for the length of a ``with``."""
    from steerboard.store.recipes import Recipes

    opened = Recipes(store, tenant)
    try:
        yield opened
    finally:
        opened.close()


@app.command("list")
def list_(store: StoreUrl = OWN, tenant: Tenant = "default") -> None:
    """The newest version of every recipe, and what its evidence says."""
    with shelf(store, tenant) as recipes:
        found = recipes.latest()
    for saved in found:
        notes = [note for note in saved.recipe.evidence if not note.chosen_here]
        what = f"{notes[-1].verdict} on {notes[-1].image_set}" if notes else "unproven"
        mark = ", published" if saved.published else ""
        typer.echo(f"{saved.recipe.title}  {what}{mark}  {saved.author}, {saved.at:%Y-%m-%d %H:%M}")
    if not found:
        typer.echo("no recipes yet: save one in the workbench, or push a file")


@app.command()
def pull(
    name: str,
    out: Annotated[Path, typer.Option("--out", "-o", help="file to write")],
    version: Annotated[int, typer.Option(min=0, help="0: the newest")] = 0,
    store: StoreUrl = OWN,
    tenant: Tenant = "default",
) -> None:
    """Write a recipe of the team into a file, with the heads of its evidence."""
    from steerboard.recipe.files import save

    with shelf(store, tenant) as recipes:
        recipe = recipes.get(name, version or None).recipe
    save(recipe, out)
    typer.echo(f"{recipe.title}, {recipe.status}: {out}")


@app.command()
def push(
    recipe: File,
    author: Annotated[str, typer.Option(envvar="USER", help="who saves it")] = "",
    store: StoreUrl = OWN,
    tenant: Tenant = "default",
) -> None:
    """Save a file with the team; a name that is taken gets its next version."""
    from steerboard.recipe.files import load

    with shelf(store, tenant) as recipes:
        kept = recipes.save(load(recipe), author).recipe
    typer.echo(f"{kept.title}, {kept.status}")
