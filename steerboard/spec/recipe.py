"""Recipes: a named, versioned steer set with all that is needed to apply and to believe it."""

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from steerboard.spec.base import Spec
from steerboard.spec.capabilities import TokenSet
from steerboard.spec.digest import digest
from steerboard.spec.edits import SteerSet
from steerboard.spec.evidence import Share, Verdict
from steerboard.spec.requests import Classifier
from steerboard.spec.tensor import Tensor

# Raised at every change of what stands in a saved file.
RECIPE_SCHEMA = 1
SHORT = 16  # hex digits of a picture's digest that a recipe keeps

RecipeName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")]
Status = Literal["unproven", "proven"]


class ChosenOn(Spec):
    """The pictures that a recipe was made on; evidence must come from others."""

    image_set: str
    split: str = ""
    pictures: tuple[str, ...] = Field(default=(), description="first digits of SHA-256, sorted")


class DictionaryPin(Spec):
    """A dictionary as it was when the recipe was made."""

    id: str
    fingerprint: str
    site: str
    tokens: TokenSet


class Witness(Spec):
    """What the model answers to one fixed picture of noise, so that another model is found out."""

    seed: int = Field(ge=0)
    size: tuple[int, int] = Field(description="(height, width) in pixels")
    embedding: Tensor


class RecipeProvenance(Spec):
    """Where a recipe comes from, and what it needs: ``n_bar`` of each site that it edits."""

    model: str
    model_fingerprint: str
    dictionaries: tuple[DictionaryPin, ...] = ()
    n_bar: dict[str, float] = Field(default_factory=dict)
    witness: Witness | None = None
    chosen_on: tuple[ChosenOn, ...] = ()
    method: str = ""
    parents: tuple[str, ...] = Field(default=(), description="digests of recipes it came from")
    version: str = Field(default="", description="of Steerboard")


class EvidenceNote(Spec):
    """The head of one evidence run; ``digest`` is that of the whole."""

    digest: str
    image_set: str
    split: str
    pictures: int
    fixed: Share
    broken: Share
    net: float
    p: float
    verdict: Verdict
    chosen_here: int = Field(default=0, description="pictures that the recipe was chosen on")


class Recipe(Spec):
    """A steer set that can be handed on.

    ``failures`` says which pictures it is for, as attributes that they have
    (``{"group": "watermark"}``); ``classifier`` is the decision that it is to mend.
    """

    name: RecipeName
    version: int = Field(default=1, ge=1)
    summary: str = ""
    steer: SteerSet
    classifier: Classifier
    failures: dict[str, str] = Field(default_factory=dict)
    provenance: RecipeProvenance
    evidence: tuple[EvidenceNote, ...] = ()

    @property
    def digest(self) -> str:
        """Content address of everything but the evidence, which is about this very content."""
        return digest(RECIPE_SCHEMA, self.model_dump(mode="json", exclude={"evidence"}))

    @property
    def status(self) -> Status:
        """Proven only by evidence from pictures that it was not chosen on."""
        return "proven" if any(not note.chosen_here for note in self.evidence) else "unproven"

    @property
    def title(self) -> str:
        """Such as ``no-watermark v2``."""
        return f"{self.name} v{self.version}"

    @property
    def chosen_pictures(self) -> frozenset[str]:
        """First digits of the digests of all pictures that it was made on."""
        return frozenset(p for part in self.provenance.chosen_on for p in part.pictures)
