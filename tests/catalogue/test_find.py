"""Finding features over the index, and the map, against the same done by hand."""

from datetime import UTC, datetime
from pathlib import Path

import fsspec
import numpy as np
import pytest

from steerboard.catalogue.file import Catalogue
from steerboard.catalogue.find import Clues, find, row
from steerboard.catalogue.index import Index
from steerboard.catalogue.labels import vocabulary
from steerboard.catalogue.layout import layout
from steerboard.catalogue.thumbnails import Thumbnails, write_thumbnails
from steerboard.inprocess.runner import LocalRunner
from steerboard.spec.catalogue import Bound, FeatureQuery, Labels, Said


@pytest.fixture(scope="module")
def catalogue(folder: Path) -> Catalogue:
    return Catalogue(str(folder / "middle.parquet"))


@pytest.fixture(scope="module")
def index(catalogue: Catalogue) -> Index:
    return Index(catalogue)


def found(index: Index, clues: Clues | None = None, **asked: object) -> list[int]:
    query = FeatureQuery.model_validate({"dictionary": "middle", **asked})
    return index.features[find(index, query, clues or Clues()).order].tolist()


def test_what_the_index_holds_is_what_cards_say(index: Index, catalogue: Catalogue) -> None:
    cards = catalogue.cards(index.features)
    for i, card in enumerate(cards):
        query = FeatureQuery(dictionary="middle")
        one = row(index, i, find(index, query, Clues()), Clues())
        same = ("feature", "label", "firing_rate", "maximum", "mean", "clarity", "redundancy")
        for name in same:
            assert getattr(one, name) == getattr(card, name)
        best = card.classes[0]
        assert one.class_name == best.name and one.precision == pytest.approx(best.ap)
    assert {c.name for c in index.info.classes} == {c.name for one in cards for c in one.classes}


def test_sorting_by_each_statistic_is_sorting_cards(index: Index, catalogue: Catalogue) -> None:
    cards = catalogue.cards(index.features)
    for name in ("firing_rate", "mean", "maximum", "clarity", "polysemanticity"):
        known = [c for c in cards if getattr(c, name) is not None]
        want = [c.feature for c in sorted(known, key=lambda c: (-getattr(c, name), c.feature))]
        assert found(index, sort=name)[: len(want)] == want
        low = sorted(getattr(c, name) for c in known)[len(known) // 2]
        some = found(index, bounds=(Bound(statistic=name, low=low),))
        assert some == [c.feature for c in known if getattr(c, name) >= low]
        assert found(index, sort=name, ascending=True)[:1] == [
            min(known, key=lambda c: (getattr(c, name), c.feature)).feature
        ]


def test_sorting_by_how_well_a_class_is_detected_is_sorting_cards(
    index: Index, catalogue: Catalogue
) -> None:
    """By the class that each detects best, and by one that is asked for."""
    cards = catalogue.cards(index.features)
    for name in ("auroc", "lift"):
        for asked in ("", cards[0].classes[0].name):
            value = {
                card.feature: getattr(one, name)
                for card in cards
                for one in card.classes
                if asked in ("", one.name) and (asked or one is card.classes[0])
            }
            want = sorted(value, key=lambda f: (-value[f], f))
            assert len(want) > 3 and found(index, sort=name, class_name=asked)[: len(want)] == want
            low = sorted(value.values())[len(value) // 2]
            bounds = (Bound(statistic=name, low=low),)
            some = found(index, bounds=bounds, class_name=asked)
            assert sorted(some) == sorted(f for f in value if value[f] >= low)
            first = index.place(np.array(want[:1]))[0][0]
            told = find(index, FeatureQuery(dictionary="middle", class_name=asked), Clues())
            assert getattr(row(index, int(first), told, Clues()), name) == value[want[0]]


def test_meaning_by_blocks_is_meaning_at_once(index: Index, runner: LocalRunner) -> None:
    known = vocabulary(runner, "tiny", ["red", "a boat"], "a {}")
    whole = known.scores(index.catalogue.meanings())
    np.testing.assert_allclose(index.meaning(known), whole, atol=1e-6)


def test_names_that_people_gave_come_before_meaning(index: Index) -> None:
    feature = int(index.features[5])
    said = Said(feature=feature, author="ann", at=datetime.now(UTC), kind="tag", text="odd")
    people = {feature: Labels(name="Left Wing", tags=(said.text,), votes=2), 10**6: Labels()}
    far = Clues(meaning=np.linspace(0, 1, len(index)), people=people)
    assert found(index, far, words="left")[0] == feature
    assert found(index, far, tag="odd") == [feature] == found(index, far, naming="by_people")
    assert found(index, far, sort="votes")[0] == feature
    assert found(index, words=str(feature))[0] == feature


def test_the_map_is_the_same_each_time_and_fills_the_plane(index: Index) -> None:
    places = layout(index)
    assert places.shape == (len(index), 2) and np.isfinite(places).all()
    assert np.abs(places).max() <= 1 and places.std(0).min() > 0.1
    np.testing.assert_array_equal(places, layout(Index(index.catalogue)))


def test_thumbnails_are_read_by_digest_from_any_group(tmp_path: Path, catalogue: Catalogue) -> None:
    held = {f"{i:064x}": f"jpeg {i}".encode() for i in range(0, 500, 2)}
    place = tmp_path / "middle.parquet"
    place.write_bytes(Path(catalogue._path).read_bytes())
    write_thumbnails(str(place), held)
    read = Catalogue(str(place))
    asked = [f"{i:064x}" for i in (498, 0, 3, 64, 66, 130)]
    assert read.thumbnails(asked) == {d: held[d] for d in asked if d in held}
    assert read.thumbnails(["f" * 64]) == {}


def test_small_pictures_that_were_read_in_are_not_read_again_and_few_are_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = {f"{i:064x}": f"jpeg {i}".encode() for i in range(100)}
    write_thumbnails(str(tmp_path / "c.parquet"), held)
    read = Thumbnails(fsspec.filesystem("file"), str(tmp_path / "c"))
    monkeypatch.setattr("steerboard.catalogue.thumbnails.HELD", 2)
    for name in (*held, *reversed(held)):
        assert read.get([name]) == {name: held[name]} and len(read._held) <= 2
    monkeypatch.undo()
    read.warm()
    assert read._groups is not None
    monkeypatch.setattr(read._groups, "read", None)
    assert read.get(held) == held
