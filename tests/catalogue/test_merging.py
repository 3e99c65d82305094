"""From recorded codes: any sharding, order and number of workers gives the byte-identical file."""

import math
import random
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from steerboard.catalogue.file import Catalogue, write
from steerboard.catalogue.neighbours import nearest
from steerboard.catalogue.panel import Panel
from steerboard.catalogue.partial import Partial, load, save
from steerboard.catalogue.records import Record, pack, unpack
from steerboard.catalogue.shelf import Shelf
from steerboard.catalogue.sums import BINS, Sums, bins, edges
from steerboard.catalogue.table import Known
from steerboard.spec.digest import image_digest
from steerboard.spec.errors import InvalidRequest

SIZE, CELLS = 48, 16
ABOUT = {"dictionary": "middle", "model": "tiny", "grid": [4, 4], "template": "a {}"}


def fresh() -> Partial:
    return Partial(SIZE, CELLS, top=3, sampled=4, panel=40)


DIRECTIONS = np.eye(SIZE, 9) + 1


def by_decoder(features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return nearest(DIRECTIONS, features)


def written(partial: Partial, records: list[Record], place: Path) -> bytes:
    shelf = Shelf(partial)
    shelf.add(records)
    write(str(place), Known(partial, shelf, nearest=by_decoder), ABOUT)
    return place.read_bytes()


def sharded(records: list[Record], dice: random.Random) -> list[tuple[str, list[Record]]]:
    """The records in any order, cut anywhere, each shard through its file."""
    mixed = dice.sample(records, len(records))
    cuts = sorted(dice.sample(range(len(records) + 1), dice.randint(0, 9)))
    parts = [mixed[a:b] for a, b in zip([0, *cuts], [*cuts, len(mixed)], strict=True)]
    return [(f"shard {i}", unpack(pack(part))) for i, part in enumerate(parts)]


def workers(shards: list[tuple[str, list[Record]]], dice: random.Random) -> Partial:
    """Some workers take shards at random, some twice; their parts merge as a tree of any shape."""
    parts = [fresh() for _ in range(dice.randint(1, 4))]
    for name, part in shards:
        worker = dice.choice(parts)
        for _ in range(dice.choice((1, 1, 2))):
            worker.add(name, part)
    while len(parts) > 1:
        a, b = dice.sample(range(len(parts)), 2)
        if dice.random() < 0.5:
            parts[a] = load(save(parts[a]))
        parts[a].merge(parts[b])
        parts[a].merge(parts[b])  # told twice, as after a retry
        del parts[b]
    return parts[0]


def test_any_sharding_order_and_retry_gives_the_same_bytes(
    records: list[Record], tmp_path: Path
) -> None:
    whole = fresh()
    whole.add("all", records)
    wanted = written(whole, records, tmp_path / "whole.parquet")
    beside = (tmp_path / "whole.thumbnails.parquet").read_bytes()
    for seed in range(12):
        dice = random.Random(seed)
        found = workers(sharded(records, dice), dice)
        mixed = dice.sample(records, len(records))  # what the shelf takes comes in any order too
        assert written(found, mixed, tmp_path / "parts.parquet") == wanted, seed
        assert (tmp_path / "parts.thumbnails.parquet").read_bytes() == beside
    # and it could fail: one picture less is another file
    less = fresh()
    less.add("all", records[1:])
    assert written(less, records, tmp_path / "less.parquet") != wanted


def test_a_shard_survives_its_file(records: list[Record]) -> None:
    for before, after in zip(records, unpack(pack(records)), strict=True):
        assert (before.sha256, before.facts) == (after.sha256, after.facts)
        assert before.thumbnail == after.thumbnail
        for name in ("features", "peaks", "starts", "patches", "shades", "embedding"):
            np.testing.assert_array_equal(getattr(before, name), getattr(after, name))
    assert unpack(pack([])) == []


def test_parts_that_overlap_are_refused(records: list[Record]) -> None:
    a, b = fresh(), fresh()
    a.add("one", records[:8])
    b.add("one", records[:8])
    b.add("two", records[8:16])
    with pytest.raises(InvalidRequest, match="overlap"):
        a.merge(b)
    b.merge(a)
    assert b.pictures == 16


def test_a_record_of_another_dictionary_is_refused(records: list[Record]) -> None:
    with pytest.raises(InvalidRequest, match="the dictionary has 8"):
        Partial(8, CELLS).add("one", records)


@settings(deadline=None)
@given(st.lists(st.floats(2**-17, 1e6, width=32), min_size=1, max_size=50), st.randoms())
def test_sums_are_exact_in_any_order(values: list[float], dice: random.Random) -> None:
    """Against rational numbers: nothing of a response above 2^-17 is lost."""
    parts = [Sums.empty(1), Sums.empty(1)]
    for v in dice.sample(values, len(values)):
        dice.choice(parts).add(np.zeros(1, np.int64), np.array([v], np.float32))
    parts[0].merge(parts[1])
    exact = sum(map(Fraction, values), Fraction(0))
    assert Fraction(int(parts[0].whole[0])) + Fraction(int(parts[0].parts[0]), 2**40) == exact
    assert parts[0].mean()[0] == pytest.approx(math.fsum(values) / len(values), rel=1e-15)


@given(st.floats(2**-16, 60_000, width=32))
def test_a_response_lies_between_the_edges_of_its_bin(value: float) -> None:
    (bin_,) = bins(np.array([value], np.float32))
    lower, upper = edges()[bin_ : bin_ + 2]
    assert lower <= value < upper
    assert bins(np.array([1e-30, 1e30], np.float32)).tolist() == [0, BINS - 1]


def record(number: int, features: list[int]) -> Record:
    none = np.zeros(0, np.int32)
    sha = image_digest(str(number).encode())
    starts = np.zeros(len(features) + 1, np.int64)
    peaks = np.ones(len(features), np.float32)
    return Record(sha, (), np.array(features, np.int32), peaks, starts, none, none, none)


def test_the_panel_is_bounded_and_does_not_depend_on_the_order() -> None:
    found = []
    for seed in range(3):
        numbers = random.Random(seed).sample(range(1, 3000), 2999)
        panel = Panel(100)
        panel.add(record(n, [1]) for n in numbers)
        assert len(panel._held) <= 100 + 100 // 4 + 16
        found.append(panel.pictures())
    assert (
        found[0]
        == found[1]
        == found[2]
        == sorted(record(n, []).sha256 for n in range(1, 3000))[:100]
    )


def test_pictures_drawn_by_lot_are_drawn_evenly() -> None:
    """Each of 40 pictures is among the 10 drawn for about a quarter of 400 features."""
    partial = Partial(400, 1, top=1, sampled=10)
    partial.add("all", [record(n, list(range(400))) for n in range(1, 41)])
    _, counts = np.unique(partial.drawn.digests.reshape(-1, 4), axis=0, return_counts=True)
    assert counts.sum() == 4000 and len(counts) == 40
    # 400 draws of 0.25: a standard deviation is 8.7
    assert abs(counts - 100).max() < 40


def test_a_page_of_a_large_catalogue_reads_its_own_groups(tmp_path: Path) -> None:
    partial = Partial(1300, 1, top=2, sampled=2)
    partial.add("all", [record(n, list(range(n, 1300, 29))) for n in range(29)])
    place = str(tmp_path / "large.parquet")
    write(place, Known(partial, Shelf(partial)), {**ABOUT, "grid": [1, 1]})
    catalogue = Catalogue(place)
    read: list[int] = []
    inner = catalogue._group
    catalogue._group = lambda number: read.append(number) or inner(number)
    cards = catalogue.cards([1100, 17, 1101, 1301, -1])
    assert [c.feature for c in cards] == [1100, 17, 1101]
    assert (len(catalogue), len(catalogue._rows.lowest), set(read)) == (1300, 6, {0, 4, 5})
