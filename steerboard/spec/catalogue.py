"""What is known of features and of pictures, as it is shown."""

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Literal
from urllib.parse import quote

from pydantic import Field

from steerboard.spec.answers import Floats, Ints
from steerboard.spec.base import Spec
from steerboard.spec.jobs import Reference
from steerboard.spec.requests import ImageRef

Statistic = Literal[
    "feature",
    "firing_rate",
    "mean",
    "maximum",
    "clarity",
    "polysemanticity",
    "redundancy",
    "label_score",
    "precision",
    "auroc",
    "lift",
    "relevance",
    "votes",
]
Naming = Literal["all", "labelled", "unlabelled", "by_people"]
Kind = Literal["name", "note", "tag", "untag", "vote"]
PairSide = Literal["matched", "first_alone", "second_alone"]
MatchedBy = Literal["responses", "meanings"]
MAX_ROWS, MAX_THUMBNAILS, MAX_SCANNED = 200, 2000, 64
TOGETHER = 5  # pictures on which features of two catalogues must both fire to be matched by them


def name_of(dictionary: str, model: str) -> str:
    """What the catalogue of a model's dictionary is asked for by, whatever others there are."""
    return f"{dictionary}@{quote(model, safe='')}" if model else dictionary


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


class Bound(Spec):
    """Bounds of a statistic, ends included; a feature of which it is not known is left out."""

    statistic: Statistic
    low: float | None = None
    high: float | None = None


class FeatureQuery(Spec):
    """Which features, in which order; all that is given must fit."""

    dictionary: str = Field(min_length=1, description="its id")
    words: str = Field(default="", max_length=200, description="of labels, classes, or a meaning")
    image: Annotated[ImageRef, Field(discriminator="kind")] | None = Field(
        default=None, description="a picture on which they fire"
    )
    class_name: str = Field(default="", max_length=200, description="such as label=owl")
    bounds: tuple[Bound, ...] = Field(default=(), max_length=16)
    naming: Naming = "all"
    tag: str = Field(default="", max_length=60, description="given by people")
    sort: Statistic | None = Field(
        default=None, description="None: by relevance where something is searched for, else number"
    )
    ascending: bool = False

    @property
    def order(self) -> Statistic:
        """By what they are sorted."""
        searched = self.words.strip() or self.image is not None or self.class_name
        return self.sort or ("relevance" if searched else "feature")


class FeatureRow(Spec):
    """A feature in a list; None where it was not measured."""

    feature: int
    label: str = ""
    name: str = Field(default="", description="what people call it")
    votes: int = 0
    tags: tuple[str, ...] = ()
    firing_rate: float
    maximum: float
    mean: float | None = None
    clarity: float | None = None
    polysemanticity: float | None = None
    redundancy: float | None = None
    label_score: float | None = None
    class_name: str = Field(default="", description="asked for, else the one it detects best")
    precision: float | None = Field(default=None, description="average precision for that class")
    auroc: float | None = Field(default=None, description="for that class")
    lift: float | None = Field(default=None, description="for that class")
    relevance: float | None = None
    activation: float | None = Field(default=None, description="on the picture asked about")
    pictures: tuple[str, ...] = Field(default=(), description="its strongest, by digest")


class FeaturePair(Spec):
    """A feature and the one of another catalogue that is most like it."""

    first: FeatureRow | None = None
    second: FeatureRow | None = None
    alike: float | None = Field(default=None, description="at most 1; None: unknown")
    cosine: float | None = Field(default=None, description="of mean embeddings; None: other models")
    mutual: bool = False
    together: int | None = Field(
        default=None, description="pictures on which both fire; None: not matched by responses"
    )


class ComparedSide(Spec):
    """What one side of a comparison comes to."""

    features: int
    matched: int = Field(description="with a partner")
    mutual: int = Field(description="with a partner whose partner they are")
    shares: tuple[float, ...] = Field(description="matched at least i / (n - 1) well, of n numbers")
    seldom: int = Field(default=0, description="that fire on too few pictures to be matched")


class ComparedFeatures(Spec):
    """A page of pairs, and what the comparison comes to."""

    pairs: tuple[FeaturePair, ...]
    next: str = ""
    total: int = 0
    by: MatchedBy
    shared: int = Field(description="pictures that both hold; 0: not matched by responses")
    first: ComparedSide
    second: ComparedSide


class StatisticRange(Spec):
    """The values of a statistic, and of how many features it is known."""

    statistic: Statistic
    low: float
    high: float
    known: int


class CatalogueClass(Spec):
    """A class that features detect, and its pictures."""

    name: str
    positives: int


class CatalogueInfo(Spec):
    """What a catalogue is of."""

    dictionary: str
    fingerprint: str = ""
    model: str = ""
    pictures: int = 0
    features: int = Field(description="that fired on any picture")
    size: int = Field(description="features of the dictionary")
    label_floor: float = 0.0
    labelled: int = 0
    grid: tuple[int, int] = (0, 0)
    classes: tuple[CatalogueClass, ...] = ()
    statistics: tuple[StatisticRange, ...] = ()
    name: str = Field(default="", description="what it is asked for by; empty: the dictionary")
    trouble: str = Field(default="", description="why it is not to be gone by; empty: it is")

    @property
    def key(self) -> str:
        """What it is asked for by."""
        return self.name or self.dictionary

    def range(self, statistic: Statistic) -> StatisticRange | None:
        """The values of a statistic; None where it is of no feature known."""
        return next((s for s in self.statistics if s.statistic == statistic), None)


class Said(Spec):
    """One thing that a person said of a feature; ``at`` in UTC."""

    feature: int
    author: str
    at: datetime
    kind: Kind
    text: str = ""
    value: int = 0


class Labels(Spec):
    """What holds of a feature, from all that was said."""

    name: str = Field(default="", description="the last one given; an empty one takes it back")
    named_by: str = ""
    notes: tuple[Said, ...] = ()
    tags: tuple[str, ...] = ()
    votes: int = Field(default=0, description="for less against its name, one a person, the last")


class Firing(Spec):
    """A page of pictures on which a feature fires."""

    firing: tuple[Reference, ...]
    seen: int = Field(description="pictures looked at so far")
    total: int
    next: str = ""
    failed: int = 0


@dataclass(frozen=True)
class FeatureMap:
    """All features of a catalogue as points of a plane, ``n`` of them.

    Attributes:
        features: ``[n]`` their numbers.
        places: ``[n, 2]`` in [-1, 1].
        firing_rates: ``[n]``.
        clarities: ``[n]``; -2 where it is not known.
        labels: ``[n]`` places in ``words``.
        words: Labels; the first is empty: none.
    """

    features: Ints
    places: Floats
    firing_rates: Floats
    clarities: Floats
    labels: Ints
    words: tuple[str, ...]
