"""The questions a Runner answers. Each is a value with a content address."""

from typing import Annotated, Literal

from pydantic import Field, field_serializer, field_validator, model_validator

from steerboard.spec.base import Spec
from steerboard.spec.digest import image_digest
from steerboard.spec.edits import Direction, Feature, Mask, Neuron, SiteName, SteerSet
from steerboard.spec.tensor import Tensor

MAX_IMAGES = 512
MAX_PROMPTS = 4096
MAX_PROMPT_CHARACTERS = 500
MAX_STEER_SETS = 256
MAX_TOP_K = 4096
MAX_STEPS = 256
MAX_DIRECTIONS = 256


class Encoded(Spec):
    """The bytes of a picture file (JPEG, PNG, WebP, ...)."""

    kind: Literal["encoded"] = "encoded"
    data: bytes = Field(repr=False)

    @field_serializer("data", when_used="json")
    def _address(self, data: bytes) -> str:
        return image_digest(data)

    @property
    def sha256(self) -> str:
        """Hex digest of the bytes."""
        return image_digest(self.data)


class Digest(Spec):
    """A picture that the server has seen: hex SHA-256 of its encoded bytes."""

    kind: Literal["digest"] = "digest"
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")


class Pixels(Spec):
    """A preprocessed tensor ``[3, height, width]``, exactly as the model wants it."""

    kind: Literal["pixels"] = "pixels"
    tensor: Tensor


ImageRef = Annotated[Encoded | Digest | Pixels, Field(discriminator="kind")]


class Prompts(Spec):
    """A zero-shot classifier: one text per class, put into ``template`` at ``{}``."""

    kind: Literal["prompts"] = "prompts"
    prompts: tuple[str, ...]
    template: str = "{}"

    @field_validator("prompts")
    @classmethod
    def _enough_and_not_too_many(cls, prompts: tuple[str, ...]) -> tuple[str, ...]:
        if len(prompts) < 2:
            raise ValueError(
                f"a decision needs at least two prompts, not {len(prompts)}: add another"
            )
        if len(prompts) > MAX_PROMPTS:
            raise ValueError(
                f"{len(prompts)} prompts are more than the limit of {MAX_PROMPTS}: remove some"
            )
        for i, prompt in enumerate(prompts):
            if not prompt.strip():
                raise ValueError(f"prompt {i + 1} is empty: write a name or remove the line")
            if len(prompt) > MAX_PROMPT_CHARACTERS:
                raise ValueError(
                    f"prompt {i + 1} has more than {MAX_PROMPT_CHARACTERS} characters: shorten it"
                )
        repeated = (
            sorted({p for p in prompts if prompts.count(p) > 1})
            if len(set(prompts)) < len(prompts)
            else []
        )
        if repeated:
            raise ValueError(f"prompt {repeated[0]!r} stands there twice: remove one")
        return prompts

    @field_validator("template")
    @classmethod
    def _has_one_slot(cls, template: str) -> str:
        if template.count("{}") != 1:
            raise ValueError("a template has exactly one {} where the prompt goes")
        return template

    @property
    def names(self) -> tuple[str, ...]:
        """What the classes are called."""
        return self.prompts

    def texts(self) -> list[str]:
        """The sentences that the text tower reads, one a class."""
        return [self.template.replace("{}", prompt) for prompt in self.prompts]


class Probe(Spec):
    """A linear read-out of the embedding: ``logit = weight [c, d] . embedding + bias [c]``."""

    kind: Literal["probe"] = "probe"
    names: tuple[str, ...] = Field(min_length=2, max_length=MAX_PROMPTS)
    weight: Tensor
    bias: Tensor

    @model_validator(mode="after")
    def _shapes_agree(self) -> "Probe":
        if len(self.weight.shape) != 2 or self.weight.shape[0] != len(self.names):
            raise ValueError(
                f"weight {self.weight.shape} is not [{len(self.names)}, embedding width]"
            )
        if self.bias.shape != (len(self.names),):
            raise ValueError(f"bias {self.bias.shape} is not [{len(self.names)}]")
        return self


Classifier = Annotated[Prompts | Probe, Field(discriminator="kind")]


class Logit(Spec):
    """The logit of one class; None: the one predicted in the clean pass."""

    kind: Literal["logit"] = "logit"
    index: int | None = Field(default=None, ge=0)


class Margin(Spec):
    """Logit of ``index`` minus logit of ``against``; None: top and runner-up of the clean pass."""

    kind: Literal["margin"] = "margin"
    index: int | None = Field(default=None, ge=0)
    against: int | None = Field(default=None, ge=0)

    @model_validator(mode="after")
    def _two_classes(self) -> "Margin":
        if self.index is not None and self.index == self.against:
            raise ValueError("a margin needs two different classes")
        return self


class Cosine(Spec):
    """Cosine of the image embedding with the read-out of ``index``; None: the class predicted."""

    kind: Literal["cosine"] = "cosine"
    index: int | None = Field(default=None, ge=0)


class LogProb(Spec):
    """Natural logarithm of the softmax probability of ``index``; None: the class predicted."""

    kind: Literal["log_prob"] = "log_prob"
    index: int | None = Field(default=None, ge=0)


class ProbeOutput(Spec):
    """Output of a linear probe of one's own: ``weight [e] . embedding + bias``."""

    kind: Literal["probe"] = "probe"
    weight: Tensor
    bias: float = 0.0

    @field_validator("weight")
    @classmethod
    def _one_row(cls, weight: Tensor) -> Tensor:
        if len(weight.shape) != 1:
            raise ValueError(f"a probe's weight is one row of numbers, not {list(weight.shape)}")
        return weight


class UnitActivation(Spec):
    """Activation of a unit at a later site, summed over its tokens: the end of a circuit's edge.

    For ``Attribute`` only: a steered answer does not tell activations.
    """

    kind: Literal["unit"] = "unit"
    site: SiteName
    unit: Annotated[Feature | Neuron | Direction, Field(discriminator="kind")]


Target = Annotated[
    Logit | Margin | Cosine | LogProb | ProbeOutput | UnitActivation, Field(discriminator="kind")
]
# Targets whose frozen form says all that is needed to ask for them again.
ClassTarget = Annotated[Logit | Margin, Field(discriminator="kind")]
UnitKind = Literal["feature", "neuron", "head", "direction"]
Images = Annotated[tuple[ImageRef, ...], Field(min_length=1, max_length=MAX_IMAGES)]


class Predict(Spec):
    """What does the model say about each image?"""

    model: str
    images: Images
    classifier: Classifier


class Steer(Spec):
    """What does it say under each of K steer sets? With targets, predicted beside measured."""

    model: str
    images: Images
    classifier: Classifier
    steer_sets: tuple[SteerSet, ...] = Field(min_length=1, max_length=MAX_STEER_SETS)
    targets: tuple[Target, ...] = Field(default=(), max_length=16)


class Attribute(Spec):
    """Which units made each target's value, by ``method``?

    Units are the features of ``dictionary``, or the neurons, the heads or free directions
    ``[n, d]`` of ``site``. Only ``tokens`` count: CLS, patches, a region, or all. ``method`` is one
    that ``steerboard methods`` lists as running beside the model; ``steps`` are those of a path.

    The ``top_k`` units by absolute score come back for each image and target. With a ``steer`` set
    the question is about the model as those edits leave it: its answer freezes what the targets
    leave open, activations are those after the edits, and the edits' changes are held as they are.
    """

    model: str
    images: Images
    classifier: Classifier
    dictionary: str = ""
    targets: tuple[Target, ...] = Field(default=(Margin(),), min_length=1, max_length=16)
    method: str = Field(default="gradient", pattern=r"^[a-z][a-z_]{0,62}$")
    top_k: int = Field(default=32, ge=1, le=MAX_TOP_K)
    maps: bool = False
    steer: SteerSet = SteerSet()
    units: UnitKind = "feature"
    site: SiteName | None = None
    directions: Tensor | None = None
    tokens: Mask = Mask()
    steps: int = Field(default=16, ge=1, le=MAX_STEPS)

    @model_validator(mode="after")
    def _units_have_a_place(self) -> "Attribute":
        features = self.units == "feature"
        if features != bool(self.dictionary) or features != (self.site is None):
            raise ValueError(
                "features are scored of a dictionary, other units of a site: name the one and"
                " leave out the other"
            )
        return self

    @model_validator(mode="after")
    def _directions_are_there(self) -> "Attribute":
        given = self.directions
        if (given is not None) != (self.units == "direction"):
            raise ValueError("directions are given where units are 'direction', and only there")
        if given is not None and (
            len(given.shape) != 2
            or not 1 <= given.shape[0] <= MAX_DIRECTIONS
            or not given.numpy().any(axis=1).all()
        ):
            raise ValueError(
                f"directions {given.shape} are not 1 to {MAX_DIRECTIONS} rows that are not zero"
            )
        return self


class Encode(Spec):
    """The sparse code of each image, token by token.

    With ``embed`` its embedding too, from the same pass through the model.
    """

    model: str
    images: Images
    dictionary: str
    embed: bool = False


class Embed(Spec):
    """Unit-length embeddings of images or of texts."""

    model: str
    images: tuple[ImageRef, ...] = Field(default=(), max_length=MAX_IMAGES)
    texts: tuple[str, ...] = Field(default=(), max_length=MAX_PROMPTS)

    @model_validator(mode="after")
    def _one_of_both(self) -> "Embed":
        if bool(self.images) == bool(self.texts):
            raise ValueError("ask for images or for texts, one of the two")
        return self
