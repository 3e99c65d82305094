"""Jobs of the worker pool: what is asked, how far it is, what came out."""

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from steerboard.spec.base import Spec
from steerboard.spec.requests import Classifier, ClassTarget, Digest, Margin

Lane = Literal["interactive", "bulk"]
JobState = Literal["queued", "running", "done", "failed", "cancelled"]


class AttributeJob(Spec):
    """Score, rank, join reference images and verify the top units of one image by ablation."""

    kind: Literal["attribute"] = "attribute"
    model: str
    image: Digest
    classifier: Classifier
    dictionary: str
    target: ClassTarget = Margin()
    method: Literal["gradient", "activation", "energy"] = "gradient"
    top_k: int = Field(default=24, ge=1, le=256)
    verify: int = Field(default=12, ge=0, le=64, description="how many to ablate exactly")
    references: int = Field(default=8, ge=0, le=64, description="reference images a unit")


class AttributeSetJob(Spec):
    """The same over many images, in shards, aggregated; a target for each image or one for all."""

    kind: Literal["attribute_set"] = "attribute_set"
    model: str
    images: tuple[Digest, ...] = Field(min_length=1, max_length=100_000)
    classifier: Classifier
    dictionary: str
    targets: tuple[ClassTarget, ...] = Field(default=(Margin(),), min_length=1)
    method: Literal["gradient", "activation", "energy"] = "gradient"
    top_k: int = Field(default=24, ge=1, le=256)


class CatalogueJob(Spec):
    """Find out what is known of every feature of a dictionary over many images."""

    kind: Literal["catalogue"] = "catalogue"
    model: str
    images: tuple[Digest, ...] = Field(min_length=1, max_length=100_000)
    dictionary: str
    facts: tuple[tuple[str, ...], ...] = Field(
        default=(), description="classes of each image, such as label=owl; none: unknown"
    )
    words: tuple[str, ...] = Field(
        default=(), max_length=4000, description="to label with, besides the model's class names"
    )
    references: int = Field(default=12, ge=1, le=64, description="strongest images a feature")

    @model_validator(mode="after")
    def _facts_of_each(self) -> "CatalogueJob":
        if self.facts and len(self.facts) != len(self.images):
            raise ValueError(
                f"facts of {len(self.facts)} images, and there are {len(self.images)}: give those"
                " of each, or none"
            )
        return self


JobSpec = Annotated[AttributeJob | AttributeSetJob | CatalogueJob, Field(discriminator="kind")]


class JobStatus(Spec):
    """How far a job is: chunks done of all, pictures a second, seconds left (null: unknown)."""

    id: str
    state: JobState
    done: int = 0
    total: int = 1
    rate: float | None = None
    seconds_left: float | None = None
    message: str = ""
    cached: bool = Field(default=False, description="answered from the cache without computing")
    joined: bool = Field(default=False, description="the same question was already running")


class Reference(Spec):
    """A picture that a feature answers to, with the feature's largest activation on it."""

    image: str = Field(description="hex SHA-256 of the picture's bytes")
    activation: float
    heat: tuple[tuple[float, ...], ...] = Field(default=(), description="activation on the grid")


class RankedFeature(Spec):
    """One row of the review: what the feature adds to the target, and what it is."""

    feature: int
    score: float
    activation: float
    peak: float
    heat: tuple[tuple[float, ...], ...] = ()
    measured: float | None = Field(default=None, description="y - y(feature off), exact")
    firing_rate: float | None = None
    maximum: float | None = None
    references: tuple[Reference, ...] = ()
    label: str = Field(default="", description="what the catalogue calls it, if anything")


class AttributeResult(Spec):
    """What an ``attribute`` job found; every number can be had again from ``provenance``."""

    index: int
    against: int | None
    value: float
    features: tuple[RankedFeature, ...]
    rest: float
    error: float
    bias: float
    total: float
    provenance: dict[str, Any]
