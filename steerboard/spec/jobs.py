"""Jobs of the worker pool: what is asked, how far it is, what came out."""

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from steerboard.spec.attribution_job import AttributeJob as AttributeJob
from steerboard.spec.attribution_job import AttributeSetJob as AttributeSetJob
from steerboard.spec.base import Spec
from steerboard.spec.evidence_job import EvidenceJob as EvidenceJob
from steerboard.spec.named import Listed

Lane = Literal["interactive", "bulk"]
JobState = Literal["queued", "running", "done", "failed", "cancelled"]


class CatalogueJob(Spec):
    """Find out what is known of every feature of a dictionary over many images."""

    kind: Literal["catalogue"] = "catalogue"
    model: str
    images: Listed
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


JobSpec = Annotated[
    AttributeJob | AttributeSetJob | CatalogueJob | EvidenceJob, Field(discriminator="kind")
]


class JobStatus(Spec):
    """How far a job is: chunks done of all, pictures a second, seconds left (null: unknown).

    ``submitted`` is in seconds since 1970, and told with ``kind`` where jobs are listed.
    """

    id: str
    state: JobState
    done: int = 0
    total: int = 1
    rate: float | None = None
    seconds_left: float | None = None
    message: str = ""
    cached: bool = Field(default=False, description="answered from the cache without computing")
    joined: bool = Field(default=False, description="the same question was already running")
    kind: str = ""
    pictures: int = 0
    priority: int = 0
    submitted: float | None = None


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
    standard_error: float | None = Field(default=None, description="where the method samples")
    firing_rate: float | None = None
    maximum: float | None = None
    references: tuple[Reference, ...] = ()
    label: str = Field(default="", description="what the catalogue calls it, if anything")


class AttributeResult(Spec):
    """What an ``attribute`` job found; every number can be had again from ``provenance``.

    ``rest``, ``error`` and ``bias`` are 0 for methods that know none, as ``rest`` is where scores
    are parts of no whole; ``baseline`` is where a method walks up from.
    """

    index: int
    against: int | None
    kind: str = "logit"
    baseline: float | None = None
    value: float
    features: tuple[RankedFeature, ...]
    rest: float
    error: float
    bias: float
    total: float
    provenance: dict[str, Any]
