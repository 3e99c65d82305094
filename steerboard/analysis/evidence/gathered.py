"""What is known so far of a run: a sum of parts that come in any order, and more than once.

Everything stands under the key of its picture, so ``joined`` is associative and commutative, and a
part that is given twice counts once. As JSON it travels between machines; numbers come back as
they were.
"""

from collections.abc import Iterable

from pydantic import Field

from steerboard.analysis.evidence.rows import Row
from steerboard.spec.base import Spec
from steerboard.spec.tensor import Tensor


class Probe(Spec):
    """A picture of the sample: its class under each steer set, and the drift of its embedding.

    ``again`` are its classes under further draws of each random control, ``[kind][draw]``.
    """

    said: tuple[int, ...]
    drift: tuple[float, ...]
    again: tuple[tuple[int, ...], ...] = ()


class Reading(Spec):
    """Activations of one dictionary on one picture, summed over tokens; those never active apart.

    ``before`` and ``after`` stand beside ``features``.
    """

    features: tuple[int, ...]
    before: tuple[float, ...]
    after: tuple[float, ...]


class Gathered(Spec):
    """Of each picture by its key: what the steps of a run have found.

    ``logits [2, c]`` are those before and after, where they are few enough to be kept; ``failed``
    holds the sentence of a picture that cannot be read; ``readings`` are by dictionary, and
    ``skipped`` says of dictionaries why there are none.
    """

    rows: dict[str, Row] = Field(default_factory=dict)
    logits: dict[str, Tensor] = Field(default_factory=dict)
    failed: dict[str, str] = Field(default_factory=dict)
    probes: dict[str, Probe] = Field(default_factory=dict)
    readings: dict[str, dict[str, Reading]] = Field(default_factory=dict)
    skipped: dict[str, str] = Field(default_factory=dict)

    @property
    def pictures(self) -> int:
        """How many were looked at."""
        return len(self.rows) + len(self.failed)

    def as_json(self) -> str:
        """Text that ``from_json`` reads."""
        return self.model_dump_json()

    @classmethod
    def from_json(cls, text: str | bytes) -> "Gathered":
        """What ``as_json`` wrote; raises ValueError for anything else."""
        return cls.model_validate_json(text)


def joined(parts: Iterable[Gathered]) -> Gathered:
    """All parts as one."""
    whole = Gathered()
    for part in parts:
        for name in ("rows", "logits", "failed", "probes", "skipped"):
            getattr(whole, name).update(getattr(part, name))
        for dictionary, pictures in part.readings.items():
            whole.readings.setdefault(dictionary, {}).update(pictures)
    return whole
