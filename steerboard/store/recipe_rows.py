"""A recipe as it is kept: who saved it when, what was found out of it, whether it is published."""

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Literal

from pydantic import Field, ValidationError

from steerboard.spec.base import Spec
from steerboard.spec.errors import InvalidRequest
from steerboard.spec.recipe import RECIPE_SCHEMA, EvidenceNote, Recipe
from steerboard.store.recipe_tables import RecipeEvidenceRow, RecipeRow
from steerboard.store.store import utc

LONGEST_AUTHOR = 200
Mark = Literal["published", "withdrawn"]
Key = tuple[str, int]  # name, version


class Ran(Spec):
    """An evidence run as it stands beside its recipe; ``net`` per 1,000 pictures, Tango 95 %."""

    note: EvidenceNote
    net: tuple[float, float] | None = Field(description="null where the whole run is elsewhere")
    author: str
    at: datetime


class Saved(Spec):
    """One version as it is kept; ``recipe.evidence`` has the heads of all runs."""

    recipe: Recipe
    author: str
    at: datetime
    newest: int = Field(description="the newest version under this name")
    runs: tuple[Ran, ...] = Field(default=(), description="those made here, oldest first")
    mark: Mark | None = None

    @property
    def published(self) -> bool:
        """Whether the team may rely on it."""
        return self.mark == "published"


def check_author(author: str) -> None:
    """Raises InvalidRequest where nobody says who speaks."""
    if not author.strip() or len(author) > LONGEST_AUTHOR:
        raise InvalidRequest(
            f"say who saves this, in at most {LONGEST_AUTHOR} characters", field="author"
        )


def same(one: Recipe, two: Recipe) -> bool:
    """Whether two recipes differ in nothing but their version; evidence comes by other ways."""
    aside = {"version": 1, "evidence": ()}
    return one.model_copy(update=aside) == two.model_copy(update=aside)


def read(row: RecipeRow) -> Recipe:
    """A recipe as it was written; raises InvalidRequest for one that this version cannot read."""
    try:
        return Recipe.model_validate_json(row.body)
    except ValidationError as error:
        why = (
            f"it has schema {row.schema_number}, this version reads {RECIPE_SCHEMA}"
            if row.schema_number > RECIPE_SCHEMA
            else error.errors()[0]["msg"]
        )
        raise InvalidRequest(
            f"recipe {row.name} v{row.version} cannot be read: {why}: update Steerboard"
        ) from error


def ran_of(row: RecipeEvidenceRow) -> Ran:
    """The head of a run."""
    return Ran.model_validate_json(
        json.dumps({**json.loads(row.head), "author": row.author, "at": utc(row.at).isoformat()})
    )


def as_saved(row: RecipeRow, newest: int, runs: Sequence[Ran], mark: str | None) -> Saved:
    """A row with what was later said of it."""
    recipe = read(row)
    own = {note.digest: note for note in (*recipe.evidence, *(ran.note for ran in runs))}
    return Saved.model_validate(
        {
            "recipe": recipe.model_copy(update={"evidence": tuple(own.values())}),
            "author": row.author,
            "at": utc(row.at),
            "newest": newest,
            "runs": tuple(runs),
            "mark": mark,
        }
    )
