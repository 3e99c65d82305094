"""What a steer set does to other pictures, over the tiny house."""

from collections.abc import Iterator
from itertools import permutations
from pathlib import Path

import numpy as np
import pytest

from steerboard.analysis.side_effects import Case, Outcome, Tally, side_effects, tally
from steerboard.inprocess.runner import LocalRunner, open_local
from steerboard.spec.edits import scale
from steerboard.spec.errors import InvalidRequest, NotFound
from steerboard.spec.requests import Encoded, Predict, Probe, Steer
from steerboard.spec.tensor import Tensor

RANDOM = np.random.default_rng(3)
HEAD = Probe(
    names=("cat", "dog", "horse", "boat"),
    weight=Tensor.of(RANDOM.normal(size=(4, 16)).astype(np.float32)),
    bias=Tensor.of(np.zeros(4, np.float32)),
)
STRONG = scale("resid_post.1", "middle", 12.0, *range(3, 15))


@pytest.fixture(scope="module")
def runner(tiny_house: Path) -> Iterator[LocalRunner]:
    found = open_local(tiny_house, "")
    yield found
    found.close()


def said(runner: LocalRunner, data: bytes, steered: bool) -> int:
    """One picture alone, one question alone."""
    images = (Encoded(data=data),)
    if not steered:
        return runner.predict(Predict(model="tiny", images=images, classifier=HEAD)).one().top
    ask = Steer(model="tiny", images=images, classifier=HEAD, steer_sets=(STRONG,))
    return runner.steer(ask).one().steered[0].top


def test_counts_are_those_of_every_picture_alone(
    runner: LocalRunner, tiny_images: list[bytes]
) -> None:
    cases = [
        (Case(str(i), i % 4, "even" if i % 2 else "odd"), Encoded(data=d))
        for i, d in enumerate(tiny_images)
    ]
    parts = list(side_effects(runner, "tiny", HEAD, STRONG, iter(cases), chunk=5))
    assert [p.seen for p in parts] == [5, 5, 5, 1]
    found = sum(parts, Tally())
    pairs = [(said(runner, d, False), said(runner, d, True)) for d in tiny_images]
    assert any(a != b for a, b in pairs)
    fixed = [str(i) for i, (a, b) in enumerate(pairs) if a != i % 4 == b]
    broken = [str(i) for i, (a, b) in enumerate(pairs) if a == i % 4 != b]
    assert [o.case.key for o in found.fixed] == fixed
    assert [o.case.key for o in found.broken] == broken
    assert found.net == len(fixed) - len(broken)
    right = sum(a == i % 4 for i, (a, _) in enumerate(pairs))
    assert (found.fix_rate.n, found.break_rate.n) == (len(pairs) - right, right)
    groups = found.groups()
    assert sum(len(part.fixed) for part in groups.values()) == len(fixed)


def test_a_picture_that_cannot_be_read_is_counted_and_the_others_answered(
    runner: LocalRunner, tiny_images: list[bytes]
) -> None:
    pictures = [tiny_images[0], b"no picture", tiny_images[1]]
    cases = [(Case(str(i), 0), Encoded(data=d)) for i, d in enumerate(pictures)]
    (found,) = side_effects(runner, "tiny", HEAD, STRONG, cases)
    assert (len(found.outcomes), found.failed, found.seen) == (2, 1, 3)
    assert [o.case.key for o in found.outcomes] == ["0", "2"]


def test_a_question_that_fails_as_a_whole_is_counted(
    runner: LocalRunner, tiny_images: list[bytes]
) -> None:
    cases = [(Case(str(i), 0), Encoded(data=d)) for i, d in enumerate(tiny_images[:3])]
    (found,) = side_effects(runner, "unknown", HEAD, STRONG, cases)
    assert (found.failed, found.outcomes) == (3, ())
    assert isinstance(found.error, NotFound)


def test_tallies_add_up_in_any_order() -> None:
    parts = [
        Tally((Outcome(Case("a", 0), 1, 0),)),
        Tally((Outcome(Case("b", 0), 0, 1), Outcome(Case("c", 2), 1, 3))),
        tally([Case("d", 0)], [InvalidRequest("no")]),
    ]
    for order in permutations(parts):
        found = sum(order, Tally())
        assert (len(found.fixed), len(found.broken), found.failed) == (1, 1, 1)
        assert (found.net, found.seen) == (0, 4)
        assert (found.fix_rate.n, found.break_rate.n) == (2, 1)
