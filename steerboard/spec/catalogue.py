"""What is known of features and image sets (read side; built by the catalogue script)."""

from pydantic import Field

from steerboard.spec.base import Spec
from steerboard.spec.jobs import Reference


class FeatureCard(Spec):
    """What is known of one feature over an image set."""

    dictionary: str
    feature: int
    firing_rate: float = Field(description="share of images on which it fires anywhere")
    maximum: float
    references: tuple[Reference, ...]


class ImageCard(Spec):
    """One picture of a set and what its manifest says about it."""

    sha256: str
    path: str
    split: str = ""
    group: str = ""
    label: str = ""
    attributes: dict[str, str | float | None] = Field(default_factory=dict)
