"""What a steer set does to pictures other than the one it was made on (methods, section 5).

    fixed = initially wrong and then right,   broken = initially right and then wrong

A tally is made of the answers as they come, and tallies add up in any order.
"""

from collections.abc import Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from steerboard.analysis.intervals import Rate
from steerboard.spec.answers import Steered
from steerboard.spec.edits import SteerSet
from steerboard.spec.errors import SteerboardError
from steerboard.spec.requests import Classifier, ImageRef, Steer
from steerboard.spec.runner import Runner

CHUNK = 16  # pictures a question


@dataclass(frozen=True)
class Case:
    """One picture of the probe set: its key, the index of its true class, its group and name."""

    key: str
    truth: int
    group: str = ""
    name: str = ""


@dataclass(frozen=True)
class Outcome:
    """What the model said of a case before and after, as indices of classes."""

    case: Case
    before: int
    after: int

    @property
    def fixed(self) -> bool:
        """Wrong before, right after."""
        return self.before != self.case.truth == self.after

    @property
    def broken(self) -> bool:
        """Right before, wrong after."""
        return self.before == self.case.truth != self.after


@dataclass(frozen=True)
class Tally:
    """All outcomes so far; ``failed`` pictures could not be answered."""

    outcomes: tuple[Outcome, ...] = ()
    failed: int = 0
    error: SteerboardError | None = field(default=None, compare=False)

    def __add__(self, other: "Tally") -> "Tally":
        outcomes = self.outcomes + other.outcomes
        return Tally(outcomes, self.failed + other.failed, self.error or other.error)

    @property
    def seen(self) -> int:
        """Pictures answered or failed."""
        return len(self.outcomes) + self.failed

    @property
    def fixed(self) -> tuple[Outcome, ...]:
        """Outcomes put right."""
        return tuple(o for o in self.outcomes if o.fixed)

    @property
    def broken(self) -> tuple[Outcome, ...]:
        """Outcomes put wrong."""
        return tuple(o for o in self.outcomes if o.broken)

    @property
    def net(self) -> int:
        """Fixes minus breaks."""
        return len(self.fixed) - len(self.broken)

    @property
    def fix_rate(self) -> Rate:
        """Fixed of those that were wrong."""
        return Rate(len(self.fixed), sum(o.before != o.case.truth for o in self.outcomes))

    @property
    def break_rate(self) -> Rate:
        """Broken of those that were right."""
        return Rate(len(self.broken), sum(o.before == o.case.truth for o in self.outcomes))

    def groups(self) -> dict[str, "Tally"]:
        """A tally a group, in the order of their names."""
        names = sorted({o.case.group for o in self.outcomes})
        return {
            name: replace(
                self, outcomes=tuple(o for o in self.outcomes if o.case.group == name), failed=0
            )
            for name in names
        }


def tally(cases: Sequence[Case], items: Sequence[Steered | SteerboardError]) -> Tally:
    """The answers to one question, one steer set, beside what is true."""
    found = [
        Outcome(case, item.clean.top, item.steered[0].top)
        for case, item in zip(cases, items, strict=True)
        if isinstance(item, Steered)
    ]
    wrong = next((item for item in items if isinstance(item, SteerboardError)), None)
    return Tally(tuple(found), len(cases) - len(found), wrong)


def side_effects(
    runner: Runner,
    model: str,
    classifier: Classifier,
    steer: SteerSet,
    cases: Iterable[tuple[Case, ImageRef]],
    chunk: int = CHUNK,
) -> Generator[Tally]:
    """What ``steer`` does to each case, in tallies of at most ``chunk`` as they are answered.

    The questions go as a stream, which is the lane of batch work: a slider that somebody moves
    meanwhile comes first.
    """
    asked: list[list[Case]] = []

    def questions() -> Iterator[Steer]:
        for part in pieces(cases, chunk):
            asked.append([case for case, _ in part])
            images = tuple(image for _, image in part)
            yield Steer(model=model, images=images, classifier=classifier, steer_sets=(steer,))

    for number, answer in runner.stream(questions()):
        if isinstance(answer, SteerboardError):
            yield Tally((), len(asked[number]), answer)
        else:
            yield tally(asked[number], answer.items)


def pieces(
    cases: Iterable[tuple[Case, ImageRef]], size: int
) -> Iterator[list[tuple[Case, ImageRef]]]:
    """At most ``size`` cases at a time."""
    part: list[tuple[Case, ImageRef]] = []
    for case in cases:
        part.append(case)
        if len(part) == size:
            yield part
            part = []
    if part:
        yield part
