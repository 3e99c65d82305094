"""What is known of features and of pictures, as it is shown."""

from pydantic import Field

from steerboard.spec.base import Spec
from steerboard.spec.jobs import Reference


class Detected(Spec):
    """A class that a feature detects, over the set of its catalogue."""

    name: str = Field(description="such as label=owl")
    ap: float = Field(description="average precision; chance is the share of the class")
    auroc: float = Field(description="chance is 0.5")
    lift: float = Field(description="times as frequent where the feature fires")
    positives: int = Field(description="pictures of the class")


class Neighbour(Spec):
    """A feature that lies near another one."""

    feature: int
    value: float = Field(description="cosine of decoder rows, or overlap of pictures (Jaccard)")


class FeatureCard(Spec):
    """What is known of one feature over an image set; null or empty where it was not measured."""

    dictionary: str
    feature: int
    firing_rate: float = Field(description="share of images on which it fires anywhere")
    maximum: float
    references: tuple[Reference, ...]
    mean: float | None = Field(default=None, description="over the images on which it fires")
    label: str = Field(default="", description="empty where no text scores enough")
    label_score: float | None = Field(default=None, description="of the best text, if too low too")
    clarity: float | None = None
    polysemanticity: float | None = None
    redundancy: float | None = Field(default=None, description="largest decoder cosine to another")
    histogram: tuple[int, ...] = Field(default=(), description="images by response, two bins a 2x")
    classes: tuple[Detected, ...] = ()
    neighbours: tuple[Neighbour, ...] = Field(default=(), description="by decoder cosine")
    coactive: tuple[Neighbour, ...] = Field(default=(), description="by overlap of images")
    sample: tuple[Reference, ...] = Field(default=(), description="drawn by lot, strongest first")


class ImageCard(Spec):
    """One picture of a set and what its manifest says about it."""

    sha256: str
    path: str
    split: str = ""
    group: str = ""
    label: str = ""
    attributes: dict[str, str | float | None] = Field(default_factory=dict)
