"""An evidence run as a job: a recipe, a named set of pictures, and what is known of each."""

from typing import Literal

from pydantic import Field, model_validator

from steerboard.spec.base import Spec
from steerboard.spec.errors import InvalidRequest
from steerboard.spec.recipe import SHORT, Recipe


class EvidencePicture(Spec):
    """One picture of the set."""

    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    key: str = Field(min_length=1, description="its name in the set")
    label: str = Field(default="", description="its true class")
    facts: tuple[str, ...] = Field(default=(), description="such as group=watermark")


class EvidenceJob(Spec):
    """Does the fix hold over these pictures, and what does it break?

    Refused where pictures are among those that the recipe was chosen on: see ``unchosen``.
    """

    kind: Literal["evidence"] = "evidence"
    recipe: Recipe
    image_set: str = Field(min_length=1)
    split: str = ""
    images: tuple[EvidencePicture, ...] = Field(min_length=1, max_length=20_000)
    vocabulary: tuple[str, ...] = Field(
        default=(), max_length=4000, description="words of the wide read-out"
    )
    seed: int = Field(default=0, ge=0)

    @property
    def model(self) -> str:
        """The model that is asked."""
        return self.recipe.provenance.model

    @model_validator(mode="after")
    def _chosen_elsewhere(self) -> "EvidenceJob":
        keys = {picture.key for picture in self.images}
        if len(keys) < len(self.images):
            raise ValueError(f"{len(self.images)} pictures have {len(keys)} names: give each one")
        check_chosen(self.recipe, self.image_set, self.split, [p.sha256 for p in self.images])
        return self


def check_chosen(recipe: Recipe, image_set: str, split: str, pictures: list[str]) -> None:
    """Raises ValueError where the recipe was chosen on any of these pictures (by digest)."""
    met = sum(sha256[:SHORT] in recipe.chosen_pictures for sha256 in pictures)
    if met or chosen_split(recipe, image_set, split):
        raise ValueError(
            f"recipe {recipe.title} was chosen on split {split or 'all'!r} of {image_set} or on"
            f" {met} of its pictures: report on another split, or leave those pictures out"
        )


def chosen_split(recipe: Recipe, image_set: str, split: str) -> bool:
    """Whether a whole split was declared as the one that the recipe was chosen on.

    Under no split pictures are listed one by one: of a set without splits the others are left.
    """
    parts = recipe.provenance.chosen_on
    whole = [part for part in parts if part.split or not part.pictures]
    return any((part.image_set, part.split) == (image_set, split) for part in whole)


def unchosen(
    recipe: Recipe, image_set: str, split: str, images: tuple[EvidencePicture, ...]
) -> tuple[EvidencePicture, ...]:
    """The pictures that the recipe was not chosen on.

    Raises:
        InvalidRequest: The whole split was, or none is left.
    """
    chosen = recipe.chosen_pictures
    left = tuple(p for p in images if p.sha256[:SHORT] not in chosen)
    if chosen_split(recipe, image_set, split) or not left:
        raise InvalidRequest(
            f"recipe {recipe.title} was chosen on {image_set}, split {split or 'all'!r}: choose"
            " another split or another image set for its evidence",
            field="images",
        )
    return left
