"""The steps cut into chunks, shuffled, repeated and sent as JSON are the run in one piece."""

import random
from collections.abc import Iterator

import pytest

from steerboard.analysis.evidence.answers import chunks
from steerboard.analysis.evidence.gathered import Gathered, joined
from steerboard.analysis.evidence.pictures import ManifestSet
from steerboard.analysis.evidence.run import Options, run_evidence
from steerboard.analysis.evidence.steps import (
    Ground,
    asked,
    evidence_of,
    lay,
    look,
    pieces,
    samples,
)
from steerboard.spec.recipe import Recipe
from steerboard.spec.runner import Runner

OPTIONS = Options(failing=3, right=4, encoded=3, vocabulary=("red", "green"))


def sent(parts: list[Gathered]) -> list[Gathered]:
    """As they arrive: some twice, in another order, through JSON."""
    arrived = [*parts, *parts[:2]]
    random.Random(0).shuffle(arrived)
    return [Gathered.from_json(part.as_json()) for part in arrived]


@pytest.fixture(scope="module")
def ground(runner: Runner, recipe: Recipe) -> Ground:
    return lay(runner, recipe, OPTIONS)


def looks(ground: Ground, pictures: ManifestSet) -> Iterator[Gathered]:
    for part in chunks(pictures, 5):
        yield joined(look(ground, part, len(pictures)))


def test_chunks_in_any_order_are_the_run_in_one_piece(
    ground: Ground, runner: Runner, recipe: Recipe, pictures: ManifestSet
) -> None:
    rows = sent(list(looks(ground, pictures)))
    sample = samples(joined(rows), pictures, OPTIONS)
    assert len(sample.challenged) == 7 and set(sample.reread) <= {p.key for p in pictures}
    cut = pieces(sample, 2)
    assert [k for p in cut if p.stage == "challenged" for k in p.keys] == list(sample.challenged)
    assert [k for p in cut if p.stage == "reread" for k in p.keys] == list(sample.reread)
    later = [asked(ground, one, [p for p in pictures if p.key in one.keys]) for one in cut]
    whole, table = evidence_of(ground, pictures, joined([*rows, *sent(later)]))
    expected, others = run_evidence(runner, recipe, pictures, OPTIONS)
    assert whole.controls == expected.controls and whole.sweep == expected.sweep
    assert whole.overall == expected.overall and whole.worst == expected.worst
    assert [(r.key, r.after) for r in table] == [(r.key, r.after) for r in others]
    # Batches of other sizes round otherwise; nothing else may differ.
    for one, two in zip(whole.downstream, expected.downstream, strict=True):
        assert one.active == two.active
        assert [s.feature for s in one.shifts] == [s.feature for s in two.shifts]
        assert one.shifts[0].moved == pytest.approx(two.shifts[0].moved, rel=1e-4)


def test_joining_is_associative_and_commutative_and_counts_once(
    ground: Ground, pictures: ManifestSet
) -> None:
    a, b, c, *_ = looks(ground, pictures)
    left, right = joined([joined([a, b]), c]), joined([a, joined([b, c])])
    assert left == right == joined([c, b, a, a]) and left.pictures == 15
    assert a.pictures == 5  # what is joined stays as it was


def test_what_is_known_so_far_is_an_evidence(ground: Ground, pictures: ManifestSet) -> None:
    first, *_ = looks(ground, pictures)
    partial, rows = evidence_of(ground, pictures, first)
    assert partial.overall.n == len(rows) == 5 and partial.controls == ()
    assert any(line.startswith("controls") for line in partial.left_out)


def test_logits_of_too_large_a_set_are_not_kept(ground: Ground, pictures: ManifestSet) -> None:
    found = joined(look(ground, list(pictures)[:3], total=10_000_000))
    assert len(found.rows) == 3 and not found.logits
    evidence, _ = evidence_of(ground, pictures, found)
    assert "detection of other concepts" in " ".join(evidence.left_out)
