"""Evidence: what a steer set does over an image set, in numbers that say what they are.

Every rate has its Clopper-Pearson interval, the paired change its exact test and two intervals;
nothing here is a share of a score.
"""

from typing import Final, Literal

from pydantic import Field

from steerboard.spec.base import Spec
from steerboard.spec.digest import digest

# Raised at every change of what stands in a saved file; 2 added how often a control was drawn.
EVIDENCE_SCHEMA: Final = 2
ControlName = Literal["random features", "random direction", "top by energy"]
Verdict = Literal["helpful", "costly", "harmful", "no better than controls", "inconclusive"]


class Share(Spec):
    """``hits`` of ``n`` with the 95 % interval of Clopper and Pearson."""

    hits: int = Field(ge=0)
    n: int = Field(ge=0)
    low: float
    high: float

    @property
    def value(self) -> float:
        """Hits / n; 0 where there is nothing to count."""
        return self.hits / self.n if self.n else 0.0


class Effect(Spec):
    """What happened to some pictures: ``fixes`` were wrong and became right, ``breaks`` the rest.

    ``net`` is fixes - breaks per 1,000 pictures. Its intervals: Newcombe's and Tango's for
    independent pictures, the bootstrap's over scenes (null where there is one scene only).
    """

    name: str
    n: int
    fixes: int
    breaks: int
    fix_rate: Share = Field(description="of those that were wrong")
    break_rate: Share = Field(description="of those that were right")
    accuracy_before: Share
    accuracy_after: Share
    net: float
    newcombe: tuple[float, float]
    tango: tuple[float, float]
    scenes: tuple[float, float] | None
    p: float = Field(description="exact McNemar, two-sided")


class Control(Spec):
    """Another change of the same size, on the failing pictures and on a sample of right ones.

    What is drawn at random is drawn ``draws`` times for each failing picture; hits and n of
    ``fix_rate`` count all draws, its interval counts pictures.
    """

    name: ControlName
    draws: int = Field(default=1, ge=1)
    fix_rate: Share
    break_rate: Share


class SweepPoint(Spec):
    """All strengths times ``factor``: local gain beside global loss, on the same sample."""

    factor: float
    fix_rate: Share
    break_rate: Share
    drift: float = Field(description="mean 1 - cosine of the embedding, over right pictures")


class Flow(Spec):
    """``count`` pictures were called ``source`` and are now called ``target``."""

    source: str
    target: str
    count: int


class Spread(Spec):
    """A quantity over pictures."""

    mean: float
    median: float
    p95: float


class Ripple(Spec):
    """What else moved, over the pictures that are not failing.

    KL in nats and total variation compare the probabilities before with those after: over all
    classes but the true one, made to sum to 1, and over a wide vocabulary where one was given.
    """

    pictures: int
    kl: Spread
    tv: Spread
    wide_words: int
    wide_kl: Spread | None
    wide_tv: Spread | None
    drift: Spread = Field(description="1 - cosine of the embedding before and after")
    flows: tuple[Flow, ...]


class FeatureShift(Spec):
    """Mean activation (summed over tokens) of a feature that was not edited."""

    feature: int
    before: float
    after: float
    moved: float = Field(description="mean absolute change over pictures")
    cosine: float | None = Field(description="forecast from decoder rows; null without them")
    coactivation: float = Field(description="forecast from what fires together")


class Forecast(Spec):
    """Rank correlation of forecast and measured movement over ``features`` active features."""

    source: Literal["cosine", "coactivation", "both"]
    spearman: float
    features: int
    informative: bool = Field(description="spearman at least 0.5")


class Downstream(Spec):
    """Features of one dictionary, re-encoded from the steered pass, that moved most."""

    dictionary: str
    site: str
    pictures: int
    active: int
    shifts: tuple[FeatureShift, ...]
    forecasts: tuple[Forecast, ...]


class Detection(Spec):
    """AUROC of a class's own logit as its detector, before and after (cross-concept)."""

    concept: str
    pictures: int
    before: float
    after: float


class Example(Spec):
    """A picture worth looking at."""

    key: str
    digest: str
    truth: str
    before: str
    after: str
    chance_before: float
    chance_after: float


class Source(Spec):
    """Which pictures: their set, split, number and the digest of their digests."""

    image_set: str
    split: str
    pictures: int
    digest: str
    failed: int = 0
    chosen_here: int = Field(default=0, description="of them the recipe was chosen on")


class Evidence(Spec):
    """One run. ``failing`` are pictures of the recipe's failure group that were wrong.

    Where a picture names a clean twin, it counts as failing only if the twin is right.
    """

    schema_number: Literal[1, 2] = EVIDENCE_SCHEMA
    recipe: str = Field(description="name and version")
    recipe_digest: str
    model: str
    model_fingerprint: str
    baked: str = Field(default="", description="fingerprint of the edited weights, if any")
    seed: int
    source: Source
    failures: dict[str, str]
    overall: Effect
    failing: Share = Field(description="fixed of the failing")
    gone: Share = Field(description="of the failing, no longer the wrong class")
    right: Share = Field(description="broken of the right pictures outside the failure group")
    by_group: tuple[Effect, ...]
    by_class: tuple[Effect, ...]
    worst_group: str
    accuracy_drop: float = Field(description="points lost outside the failure group, 0 to 1")
    ripple: Ripple
    controls: tuple[Control, ...]
    sweep: tuple[SweepPoint, ...]
    flips_at: Spread | None = Field(description="smallest factor that fixes, of those that it does")
    downstream: tuple[Downstream, ...]
    detection: tuple[Detection, ...]
    best: tuple[Example, ...]
    worst: tuple[Example, ...]
    verdict: Verdict
    reasons: tuple[str, ...]
    left_out: tuple[str, ...] = ()

    @property
    def digest(self) -> str:
        """Content address; that of an older file is of what stood in it."""
        older = self.schema_number < EVIDENCE_SCHEMA
        return digest(self.schema_number, self.model_dump(exclude_unset=True) if older else self)
