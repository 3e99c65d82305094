"""Two catalogues side by side, by responses and by meaning, against the same done by hand."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from services.attribution.catalogues import Catalogues
from services.attribution.comparing import Comparisons
from services.attribution.library import Library
from steerboard.api.convert_comparison import comparison_from_message, comparison_to_message
from steerboard.catalogue.file import Catalogue
from steerboard.catalogue.folder import Folder
from steerboard.catalogue.index import Index
from steerboard.catalogue.pairing import Pairing, chosen, pair, summary
from steerboard.inprocess.runner import LocalRunner
from steerboard.spec.catalogue import TOGETHER, ComparedFeatures, Labels, PairSide
from steerboard.spec.errors import InvalidRequest, NotFound, Unavailable

NAMES = ("middle", "last")


@pytest.fixture(scope="module")
def both(folder: Path) -> tuple[Index, Index]:
    first, second = (Index(Catalogue(str(folder / f"{name}.parquet"))) for name in NAMES)
    return first, second


@pytest.fixture(scope="module")
def by_responses(both: tuple[Index, Index]) -> Pairing:
    return pair(*both)


@pytest.fixture
def by_meanings(both: tuple[Index, Index], folder: Path) -> Iterator[Pairing]:
    """As of catalogues that were built slim."""
    beside = folder / "middle.responses.npz"
    beside.rename(folder / "away")
    yield pair(*both)
    (folder / "away").rename(beside)


def meanings(both: tuple[Index, Index]) -> tuple[np.ndarray, np.ndarray]:
    x, y = (index.catalogue.meanings().astype(np.float64) for index in both)
    x, y = (m / np.linalg.norm(m, axis=1, keepdims=True) for m in (x, y))
    middle = np.concatenate([x, y]).mean(0)
    x, y = x - middle, y - middle
    return x / np.linalg.norm(x, axis=1)[:, None], y / np.linalg.norm(y, axis=1)[:, None]


def test_responses_come_first_and_meanings_stand_beside_them(
    both: tuple[Index, Index], by_responses: Pairing
) -> None:
    assert (by_responses.by, by_responses.comparison.pictures) == ("responses", 64)
    x, y = meanings(both)
    match, cosines = by_responses.side(False)
    assert cosines is not None and len(match.features) > 20
    for f, partner, cosine in zip(match.features, match.partners, cosines, strict=True):
        i, j = (int(np.flatnonzero(index.features == n)[0])
                for index, n in zip(both, (f, partner), strict=True))  # fmt: skip
        assert cosine == pytest.approx(x[i] @ y[j], abs=1e-5)


def test_without_responses_the_nearest_meaning_is_the_partner(
    both: tuple[Index, Index], by_meanings: Pairing
) -> None:
    assert (by_meanings.by, by_meanings.comparison.pictures) == ("meanings", 0)
    x, y = meanings(both)
    near = x @ y.T
    rare = [
        np.rint(index.statistics["firing_rate"] * index.catalogue.about["pictures"]) < TOGETHER
        for index in both
    ]
    assert any(one.any() for one in rare) and not any(one.all() for one in rare)
    near[rare[0]], near[:, rare[1]] = np.nan, np.nan  # what fires on few pictures is no partner
    first, second = by_meanings.comparison.first, by_meanings.comparison.second
    usual = near[np.ix_(~rare[0], ~rare[1])]
    np.testing.assert_allclose(first.correlations[~rare[0]], usual.max(1), atol=1e-5)
    np.testing.assert_allclose(second.correlations[~rare[1]], usual.max(0), atol=1e-5)
    for match, few in zip((first, second), rare, strict=True):
        assert np.isnan(match.correlations[few]).all() and not match.mutual[few].any()
        assert match.seldom == few.sum()
    places = np.searchsorted(both[1].features, first.partners)
    np.testing.assert_allclose(near[np.arange(len(x)), places][~rare[0]], usual.max(1), atol=1e-5)
    back = np.searchsorted(both[0].features, second.partners)
    np.testing.assert_array_equal(first.mutual, (back[places] == np.arange(len(x))) & ~rare[0])
    assert first.mutual.sum() == second.mutual.sum() > 0


def test_every_feature_is_listed_once_in_pairs_or_alone(by_responses: Pairing) -> None:
    match = by_responses.comparison.first
    floor = float(np.nanmedian(match.correlations))
    has, none = chosen(by_responses, "matched", floor), chosen(by_responses, "first_alone", floor)
    assert sorted([*has, *none]) == list(range(len(match.features)))
    values = match.correlations[has]
    assert (values >= floor).all() and (np.diff(values) <= 0).all()
    told = summary(match, floor)
    assert (told.features, told.matched) == (len(match.features), len(has))
    assert told.shares[0] == pytest.approx((match.correlations >= -1e-6).mean())
    assert told.shares[-1] == pytest.approx((match.correlations >= 1 - 1e-6).mean())


@pytest.fixture(scope="module")
def comparisons(
    folder: Path, tiny_house: Path, runner: LocalRunner, tmp_path_factory: pytest.TempPathFactory
) -> Comparisons:
    library = Library(tiny_house, str(tmp_path_factory.mktemp("blobs")))
    library._catalogue = Folder(str(folder))
    return Comparisons(Catalogues(library, runner))


def asked(
    comparisons: Comparisons, side: PairSide, stop: int = 5, floor: float = 0.4
) -> ComparedFeatures:
    people: tuple[dict[int, Labels], dict[int, Labels]]
    people = {f: Labels(name="ours") for f in range(100)}, {}
    while True:
        with contextlib.suppress(Unavailable):  # still at work
            return comparisons.page(NAMES, side, floor, slice(0, stop), 2, people)


def test_pages_hold_both_sides_and_survive_the_wire(
    comparisons: Comparisons, by_responses: Pairing, both: tuple[Index, Index]
) -> None:
    page = asked(comparisons, "matched")
    match = by_responses.comparison.first
    best = chosen(by_responses, "matched", 0.4)
    assert page.total == len(best) and page.next == "5" and page.shared == 64
    for one, i in zip(page.pairs, best[:5], strict=True):
        assert one.first is not None and one.second is not None
        assert (one.first.feature, one.second.feature) == (match.features[i], match.partners[i])
        assert one.alike == pytest.approx(match.correlations[i]) and one.first.name == "ours"
        assert one.first.pictures == both[0].catalogue.pictures([one.first.feature], 2)[0]
    assert comparison_from_message(comparison_to_message(page)) == page
    theirs = asked(comparisons, "second_alone", 200, 0.95)
    numbers = [one.second.feature for one in theirs.pairs if one.second]
    alone = by_responses.comparison.second.alone(0.95)
    assert sorted(numbers) == sorted(alone.tolist()) != [] and theirs.next == ""
    assert theirs.second.features - theirs.second.matched == len(alone)
    for one in theirs.pairs:
        assert (one.first is None) == (one.alike is None) == (one.together is None)
    said = [one.alike is None for one in theirs.pairs]
    assert said == sorted(said), "those of which nothing can be said come last"
    assert theirs.second.seldom == by_responses.comparison.second.seldom > 0


def test_what_cannot_be_compared_is_a_sentence(comparisons: Comparisons) -> None:
    def ask(first: str, second: str, floor: float = 0.5) -> None:
        comparisons.page((first, second), "matched", floor, slice(0, 5), 0, ({}, {}))

    with pytest.raises(InvalidRequest, match="not compared with itself"):
        ask("middle", "middle")
    with pytest.raises(NotFound, match="no catalogue of dictionary 'none'"):
        ask("middle", "none")
    with pytest.raises(InvalidRequest, match=r"lies in \[0, 1\]"):
        ask("middle", "last", 2.0)
