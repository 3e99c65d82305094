"""What a server can do, as ``ListModels`` and ``GetModel`` tell it."""

from typing import Literal

from pydantic import Field

from steerboard.spec.base import Spec
from steerboard.spec.requests import Classifier, Probe, Prompts

TokenSet = Literal["prefix", "patches", "all"]
# By the shorter side with the middle kept, by the longer side with the rest filled, or bent to fit.
ResizeMode = Literal["shortest", "longest", "squash"]


class Quality(Spec):
    """How well a dictionary rebuilds one token set of the calibration images.

    Explained variance is taken around the mean of the token type; ``per_dimension`` is the mean
    over dimensions of each one's own explained variance. ``l0`` counts active units a token,
    ``dead`` is the share of units that never fire. All null where no token of the set is there.
    """

    tokens: TokenSet
    explained_variance: float
    per_dimension: float
    cosine: float
    l0: float
    dead: float


class SiteInfo(Spec):
    """A place whose activations ``[b, t, width]`` can be read and changed."""

    name: str
    width: int = Field(gt=0)
    tokens: int = Field(gt=0)
    units: tuple[Literal["feature", "neuron", "head", "direction"], ...]
    heads: int = 0
    n_bar: float = Field(ge=0, description="median token norm on the calibration images")
    patches_read: bool = Field(description="whether anything behind the site reads patch tokens")
    prefix_unread: bool = Field(
        default=False, description="whether nothing behind the site reads prefix tokens"
    )


class DictionaryInfo(Spec):
    """A dictionary that passed its gate."""

    id: str
    fingerprint: str
    site: str
    tokens: TokenSet
    architecture: str
    size: int = Field(gt=0)
    quality: tuple[Quality, ...] = ()


class Limits(Spec):
    """Bounds that a request must keep."""

    max_images: int
    max_prompts: int
    max_steer_sets: int
    max_image_bytes: int
    max_image_pixels: int


class ModelInfo(Spec):
    """A model at fixed weights and all that can be asked of it."""

    id: str
    fingerprint: str
    architecture: str
    image_size: tuple[int, int] = Field(description="(height, width) in pixels")
    resize_mode: ResizeMode = Field(
        default="shortest",
        description="which part of a picture the model sees, in open_clip's words",
    )
    grid: tuple[int, int] = Field(description="patches as (rows, columns)")
    prefix_tokens: int
    pooled_from: Literal["prefix", "patches"]
    embedding_width: int
    logit_scale: float
    precision: str
    sites: tuple[SiteInfo, ...]
    dictionaries: tuple[DictionaryInfo, ...]
    prompts: tuple[str, ...] = Field(default=(), description="class names to begin with")
    template: str = "{}"
    probe: Probe | None = Field(default=None, description="to begin with in place of prompts")
    limits: Limits
    loaded: bool = True
    bytes: int = 0
    server_version: str = ""

    @property
    def classifier(self) -> Classifier | None:
        """What the model begins with: its probe, else its prompts; None where it has neither."""
        if self.probe is not None or len(self.prompts) < 2:
            return self.probe
        return Prompts(prompts=self.prompts, template=self.template)

    def site(self, name: str) -> SiteInfo | None:
        """The site called ``name``, or None."""
        return next((s for s in self.sites if s.name == name), None)

    def dictionary(self, name: str) -> DictionaryInfo | None:
        """The dictionary called ``name``, or None."""
        return next((d for d in self.dictionaries if d.id == name), None)
