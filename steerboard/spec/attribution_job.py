"""Attribution as a job: one picture, ranked and verified, or many pictures, put together."""

from typing import Literal

from pydantic import Field, ValidationError, model_validator

from steerboard.spec.base import Spec
from steerboard.spec.edits import Mask, SiteName
from steerboard.spec.methods import is_composed, is_labelled, labelled
from steerboard.spec.named import Listed
from steerboard.spec.requests import (
    MAX_STEPS,
    Attribute,
    Classifier,
    Digest,
    ImageRef,
    Margin,
    Target,
    UnitActivation,
    UnitKind,
)
from steerboard.spec.tensor import Tensor

MAX_LABELLED = 20_000
_ANY = Digest(sha256="0" * 64)


class _Asked(Spec):
    """What jobs of attribution have in common; all as ``Attribute`` has it.

    ``method`` is any that ``steerboard methods`` lists; ``circuit`` is asked with a unit of a
    later site as the target.
    """

    model: str
    classifier: Classifier
    dictionary: str = ""
    method: str = Field(default="gradient", pattern=r"^[a-z][a-z_]{0,62}$")
    top_k: int = Field(default=24, ge=1, le=256)
    units: UnitKind = "feature"
    site: SiteName | None = None
    directions: Tensor | None = None
    tokens: Mask = Mask()
    steps: int = Field(default=16, ge=1, le=MAX_STEPS)

    def question(
        self, images: tuple[ImageRef, ...], target: Target, maps: bool = False
    ) -> Attribute:
        """What a Runner is asked: what it cannot do itself is begun with a gradient.

        What tells labelled pictures apart has questions of its own; only its units and tokens are
        as here.
        """
        composed = is_composed(self.method) or self.method == "circuit"
        return Attribute(
            model=self.model,
            images=images,
            classifier=self.classifier,
            dictionary=self.dictionary,
            targets=(target,),
            method="gradient" if composed else self.method,
            top_k=self.top_k,
            maps=maps,
            units=self.units,
            site=self.site,
            directions=self.directions,
            tokens=self.tokens,
            steps=self.steps,
        )

    def check(self, targets: tuple[Target, ...]) -> None:
        """Refuse what no step could answer; raises ValueError."""
        try:
            self.question((_ANY,), targets[0])
        except ValidationError as error:
            raise ValueError(first_words(error)) from None
        later = [isinstance(t, UnitActivation) for t in targets]
        if self.method == "circuit" and not all(later):
            raise ValueError(
                "the edges of a circuit lead into a unit of a later site: name it as the target"
            )
        if is_composed(self.method) and any(later):
            raise ValueError(
                "a unit of a later site is reached by gradient, integrated_gradients or circuit"
            )


class AttributeJob(_Asked):
    """Score, rank, join reference images and verify the top units of one image by ablation."""

    kind: Literal["attribute"] = "attribute"
    image: Digest
    target: Target = Margin()
    verify: int = Field(default=12, ge=0, le=64, description="how many to ablate exactly")
    references: int = Field(default=8, ge=0, le=64, description="reference images a unit")

    @model_validator(mode="after")
    def _can_be_asked(self) -> "AttributeJob":
        self.check((self.target,))
        if is_labelled(self.method):
            raise ValueError(
                f"{self.method} tells labelled pictures apart: ask it of a set, with labels"
            )
        return self


class AttributeSetJob(_Asked):
    """The same over many images, in shards, aggregated; a target for each image or one for all.

    ``labels`` say of each image whether it shows the concept, for methods that tell them apart.
    """

    kind: Literal["attribute_set"] = "attribute_set"
    images: Listed
    targets: tuple[Target, ...] = Field(default=(Margin(),), min_length=1)
    labels: tuple[bool, ...] = ()

    @model_validator(mode="after")
    def _can_be_asked(self) -> "AttributeSetJob":
        self.check(self.targets)
        if is_labelled(self.method) != bool(self.labels):
            raise ValueError(
                f"labels belong to the methods {' and '.join(labelled())}, and they need them"
            )
        if self.labels:
            self._check_labels()
        return self

    def _check_labels(self) -> None:
        if len(self.labels) != len(self.images):
            raise ValueError(
                f"{len(self.labels)} labels for {len(self.images)} pictures: give one to each"
            )
        if len(set(self.labels)) < 2:
            raise ValueError("label at least one picture as showing the concept, and one as not")
        if len(self.images) > MAX_LABELLED:
            raise ValueError(f"at most {MAX_LABELLED} labelled pictures are told apart at once")


def first_words(error: ValidationError) -> str:
    """The first thing that is wrong, as our own validators say it."""
    return str(error.errors()[0]["msg"]).removeprefix("Value error, ")
