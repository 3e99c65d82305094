"""Recipes as JSON files, with a schema number, a content digest and a seal over the whole."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from steerboard.spec.digest import canonical_json, digest
from steerboard.spec.errors import Forbidden, InvalidRequest, NotFound
from steerboard.spec.recipe import RECIPE_SCHEMA, Recipe

SUFFIX = ".recipe.json"


def save(recipe: Recipe, path: Path) -> None:
    """Write the file in one piece: it is there whole, or not at all."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    path.parent.mkdir(parents=True, exist_ok=True)
    draft.write_text(json.dumps(as_record(recipe), indent=1) + "\n")
    draft.replace(path)


def as_record(recipe: Recipe) -> dict[str, Any]:
    """What stands in the file; ``status`` is for readers and never read back."""
    body = recipe.model_dump(mode="json")
    return {
        "schema": RECIPE_SCHEMA,
        "digest": recipe.digest,
        "status": recipe.status,
        "seal": digest(RECIPE_SCHEMA, body),
        "recipe": body,
    }


def load(path: Path) -> Recipe:
    """Read and check a file.

    Raises:
        NotFound: No such file.
        InvalidRequest: Not a recipe, of another schema, or changed since it was written.
    """
    try:
        text = path.read_text()
    except OSError as error:
        raise NotFound(f"recipe {path} cannot be read: {error.strerror}", field="recipe") from error
    try:
        return parse(json.loads(text), path.name)
    except (ValueError, RecursionError) as error:
        raise InvalidRequest(f"{path.name} is no JSON: {error}", field="recipe") from error


def parse(record: object, name: str = "the recipe") -> Recipe:
    """A record to a recipe; raises InvalidRequest."""
    if not isinstance(record, Mapping) or "recipe" not in record:
        raise InvalidRequest(f"{name} is no recipe: it has no field 'recipe'", field="recipe")
    if record.get("schema") != RECIPE_SCHEMA:
        raise InvalidRequest(
            f"{name} has schema {record.get('schema')!r}, this version reads {RECIPE_SCHEMA}:"
            " save it anew with the version that wrote it, or update this one",
            field="schema",
        )
    try:
        recipe = Recipe.model_validate_json(canonical_json(record["recipe"]))
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        said = first["msg"] if place != "name" else f"{first['input']!r} is no name for a recipe"
        raise InvalidRequest(f"{name} is not valid: {place}: {said}", field=place) from error
    if record.get("seal") != digest(RECIPE_SCHEMA, recipe.model_dump(mode="json")):
        raise InvalidRequest(
            f"{name} was changed after it was written: its seal does not fit. Make a new version"
            " instead of editing the file",
            field="seal",
        )
    return recipe


def publish(recipe: Recipe, folder: Path) -> Path:
    """Put a proven recipe into a folder that others read; returns the file.

    Raises:
        Forbidden: There is no evidence from pictures other than those it was chosen on.
        InvalidRequest: This name and version is published already with another content.
    """
    if recipe.status != "proven":
        raise Forbidden(
            f"recipe {recipe.title} is unproven: run its evidence on at least one image set that it"
            " was not chosen on (steerboard evidence run), then publish",
            field="evidence",
        )
    path = folder / f"{recipe.name}-v{recipe.version}{SUFFIX}"
    if path.exists() and load(path).digest != recipe.digest:
        raise InvalidRequest(
            f"{recipe.title} is published already with another content: raise its version",
            field="version",
        )
    save(recipe, path)
    return path
