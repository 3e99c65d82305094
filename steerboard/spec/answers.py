"""What a Runner answers, in numpy: ``c`` class, ``t`` token, ``n`` row of a sparse list."""

from dataclasses import dataclass, field
from typing import Generic, Literal, TypeVar

import numpy as np
import numpy.typing as npt

from steerboard.spec.errors import SteerboardError

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]
T = TypeVar("T")


@dataclass(frozen=True)
class Prediction:
    """Logits and probabilities ``[c]`` of one image."""

    logits: Floats
    probabilities: Floats

    @property
    def top(self) -> int:
        """Index of the predicted class."""
        return int(self.logits.argmax())


@dataclass(frozen=True)
class ResolvedTarget:
    """A target as it was frozen from the clean pass.

    ``against`` is there for a margin only, which is a difference of two logits. A probe or a unit
    of a later site names no class: its ``index`` is 0.
    """

    index: int
    against: int | None = None
    kind: Literal["logit", "cosine", "log_prob", "probe", "unit"] = "logit"


@dataclass(frozen=True)
class Steered:
    """The clean answer once, then one for each steer set.

    ``predicted`` and ``measured`` ``[k, target]`` hold the change of each target's value: the
    first from the clean gradient, the second from the steered pass. Empty without targets.
    """

    clean: Prediction
    steered: tuple[Prediction, ...]
    targets: tuple[ResolvedTarget, ...]
    predicted: Floats
    measured: Floats


@dataclass(frozen=True)
class Attribution:
    """Scores of the top units for one image and target, with the error and bias rows.

    By ``gradient``, over *all* units, ``sum of scores + error + bias = total``, where total is
    x . grad y over the units' tokens. Methods that walk up from ``baseline``, the target's value
    with every unit at 0 and the error kept, have no error row: their scores sum to ``total``, the
    value minus that baseline, up to the size of their steps. Scores balance each other: they are
    no shares of the target's value. Those of other methods (``activation``, ``energy``,
    ``logit_lens``) are parts of nothing, so that ``rest``, ``error``, ``bias`` and ``total`` are 0.
    """

    target: ResolvedTarget
    value: float
    features: Ints  # [n] units by falling absolute score
    scores: Floats  # [n] R_f
    activations: Floats  # [n] sum over tokens of z_tf
    peaks: Floats  # [n] largest z_tf over tokens
    prefix_scores: Floats  # [n] the part of R_f on prefix tokens
    rest: float  # sum of R_f over the units not listed
    error: float
    bias: float
    total: float
    maps: Floats  # [n, rows, columns] R_tf on the patch grid; [0, rows, columns] unless asked
    baseline: float | None = None


@dataclass(frozen=True)
class Code:
    """A sparse code: ``values[i]`` at (``tokens[i]``, ``features[i]``); shape ``[t, f]``.

    ``embedding`` of the picture, ``[d]`` of unit length, where it was asked for.
    """

    shape: tuple[int, int]
    tokens: Ints
    features: Ints
    values: Floats
    embedding: Floats | None = None

    def dense(self) -> Floats:
        """The code as ``[t, f]``."""
        out = np.zeros(self.shape, np.float32)
        out[self.tokens, self.features] = self.values
        return out


@dataclass(frozen=True)
class Embedding:
    """A unit-length vector ``[d]``."""

    values: Floats


@dataclass(frozen=True)
class Neighbours:
    """The features nearest to each of n others by cosine of decoder rows, the nearest first."""

    features: Ints  # [n, count]
    cosines: Floats  # [n, count]


@dataclass(frozen=True)
class Provenance:
    """What is needed to have an answer again."""

    model: str = ""
    model_fingerprint: str = ""
    dictionary: str = ""
    dictionary_fingerprint: str = ""
    version: str = ""
    precision: str = "float32"


@dataclass(frozen=True)
class Timing:
    """Milliseconds waited and computed, pictures whose prefix was cached, rows in the batch."""

    queued_ms: float = 0.0
    computed_ms: float = 0.0
    prefix_hits: int = 0
    batch_rows: int = 0


@dataclass(frozen=True)
class Answer(Generic[T]):
    """One item for each image (or text), in order: the result, or the error of that image alone."""

    items: tuple[T | SteerboardError, ...]
    provenance: Provenance = field(default_factory=Provenance)
    timing: Timing = field(default_factory=Timing)

    def results(self) -> list[T]:
        """All results; raises the first error among them."""
        found: list[T] = []
        for item in self.items:
            if isinstance(item, SteerboardError):
                raise item
            found.append(item)
        return found

    def one(self) -> T:
        """The result of a question about a single image; raises its error."""
        (result,) = self.results()
        return result
