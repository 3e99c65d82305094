"""What is computed of many features, pictures or rows at once is what each alone would give."""

import io
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from scipy import sparse

from steerboard.catalogue import association, neighbours
from steerboard.catalogue.association import Judges, associations
from steerboard.catalogue.columns import Lists, column
from steerboard.catalogue.neighbours import Meetings, together
from steerboard.catalogue.observe import SIDE, is_small
from steerboard.catalogue.records import Record, Seen, pack, record, recorded, unpack
from steerboard.catalogue.shortlist import in_order
from steerboard.spec.answers import Code

PICTURES, FEATURES, CLASSES = 40, 30, 10


@pytest.fixture(scope="module")
def responses() -> sparse.csr_array:
    """With many ties; feature 7 never fires, and feature 8 on all pictures."""
    rng = np.random.default_rng(3)
    values = rng.integers(1, 4, (PICTURES, FEATURES)) * (rng.random((PICTURES, FEATURES)) < 0.3)
    values[:, 7], values[:, 8] = 0, 2
    return sparse.csr_array(values.astype(np.float32))


@pytest.mark.parametrize("held", [1, 50, 2**16])
def test_what_a_feature_detects_by_counting_pairs(
    responses: sparse.csr_array, held: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """AUROC over all pairs, average precision over all thresholds; however many go at a time."""
    monkeypatch.setattr(association, "HELD", held)
    member = np.random.default_rng(4).random((PICTURES, CLASSES)) < 0.3
    facts = [tuple(f"class={c}" for c in np.flatnonzero(row)) for row in member]
    judges = Judges.of(responses, facts)
    scores = responses.toarray()
    found = list(associations(judges, np.arange(FEATURES)))
    assert len(found) == FEATURES and all(len(one) == association.KEPT for one in found)
    for own, one in zip(scores.T, found, strict=True):
        for a in one:
            has = member[:, int(a.name.removeprefix("class="))]
            pairs = np.sign(own[has][:, None] - own[~has][None])
            assert a.auroc == pytest.approx((pairs.mean() + 1) / 2)
            cuts = [own >= v for v in np.unique(own)[::-1]]
            recall = [0.0, *((has & cut).sum() / has.sum() for cut in cuts)]
            precision = [(has & cut).sum() / cut.sum() for cut in cuts]
            assert a.ap == pytest.approx(np.dot(np.diff(recall), precision))
            fired = own > 0
            share = (has & fired).sum() / max(fired.sum(), 1)
            assert (a.lift, a.positives) == (pytest.approx(share / has.mean()), has.sum())


@pytest.mark.parametrize("crowded", [0, 10**9], ids=["as lists", "as an array"])
@pytest.mark.parametrize("count", [1, 8, FEATURES])
def test_features_that_meet_by_counting_pictures(
    responses: sparse.csr_array, crowded: int, count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(neighbours, "CROWDED", crowded)
    monkeypatch.setattr(neighbours, "TOGETHER", 7)
    fires = responses.toarray() > 0
    own = np.array([0, 7, 8, *range(9, FEATURES)])
    found = together(Meetings.of(responses), own, count)
    ends = np.cumsum(found.counts)
    for f, end, many in zip(own, ends, found.counts, strict=True):
        either = (fires[:, [f]] | fires).sum(0)
        overlap = (fires[:, [f]] & fires).sum(0) / np.maximum(either, 1)
        order = [o for o in np.lexsort((np.arange(FEATURES), -overlap)) if overlap[o] and o != f]
        assert found.features[end - many : end].tolist() == order[:count]
        assert found.overlaps[end - many : end].tolist() == overlap[order[:count]].tolist()


Triples = st.lists(st.tuples(*[st.integers(0, 3)] * 3), max_size=40)


@given(Triples, st.sampled_from([0, 2**16]))
def test_places_stand_by_all_three_keys(keys: list[tuple[int, int, int]], beyond: int) -> None:
    """Ties too, and features for which the stable sort does not count."""
    features, order, names = np.array(keys, np.int64).reshape(-1, 3).T
    place = in_order(features + beyond, order.astype(np.uint64), names.astype(np.uint64))
    assert sorted(place) == list(range(len(keys)))
    found = [keys[i] for i in place]
    assert found == sorted(keys)


LISTED: list[tuple[pa.DataType, Lists, list[Any]]] = [
    (pa.list_(pa.int32()), Lists(np.array([2, 0, 1]), np.arange(3)), [[0, 1], [], [2]]),
    (pa.list_(pa.float32()), Lists(np.array([0]), np.zeros(0)), [[]]),
    (pa.binary(), Lists(np.array([1, 2]), np.array([97, 98, 99], np.int8)), [b"a", b"bc"]),
    (
        pa.list_(pa.binary(8)),
        Lists(np.array([0, 2]), np.array([1, 2**64 - 1], ">u8")),
        [[], [b"\0\0\0\0\0\0\0\1", b"\xff" * 8]],
    ),
    (pa.list_(pa.int64()), Lists(np.zeros(0, np.int64), np.zeros(0)), []),
]


@pytest.mark.parametrize(("kind", "rows", "plain"), LISTED, ids=str)
def test_rows_end_to_end_are_what_pyarrow_makes_of_lists(
    kind: pa.DataType, rows: Lists, plain: list[Any]
) -> None:
    found = column(kind, rows)
    found.validate(full=True)
    assert found.equals(pa.array(plain, kind))


def same(a: Record, b: Record) -> None:
    assert (a.sha256, a.facts, a.thumbnail) == (b.sha256, b.facts, b.thumbnail)
    for name in ("features", "peaks", "starts", "patches", "shades", "embedding"):
        np.testing.assert_array_equal(getattr(a, name), getattr(b, name))


def code(seed: int) -> Code:
    """A few entries in no order; of every third picture none."""
    rng = np.random.default_rng(seed)
    dense = rng.normal(0, 1, (5, 12)) * (rng.random((5, 12)) < (0.4 if seed % 3 else 0))
    tokens, features = np.nonzero(dense)
    order = rng.permutation(len(tokens))
    values = dense[tokens, features].astype(np.float32)
    return Code((5, 12), tokens[order], features[order], values[order], np.ones(3, np.float32))


def test_records_of_a_batch_are_those_of_each_picture() -> None:
    codes = [code(seed) for seed in range(7)]
    seen = [Seen(f"{i:064x}", [f"n={i}"], c.embedding, bytes([i])) for i, c in enumerate(codes)]
    for one, c, found in zip(seen, codes, recorded(seen, codes, 2), strict=True):
        same(found, record(one.sha256, c, 2, one.facts, one.embedding, one.thumbnail))
        dense = np.abs(c.dense())
        assert found.features.tolist() == np.flatnonzero(dense.max(0)).tolist()
        assert found.peaks.tolist() == dense.max(0)[found.features].tolist()
        assert np.diff(found.starts).tolist() == (dense[2:] > 0).sum(0)[found.features].tolist()


@pytest.mark.parametrize("small", [False, True])
@pytest.mark.parametrize("count", [0, 1, 5])
def test_a_shard_gives_its_records_back(records: list[Record], small: bool, count: int) -> None:
    back = unpack(pack(records[:count], small))
    assert len(back) == count
    for a, b in zip(records, back, strict=False):
        same(a, b)


def test_what_is_no_shard_is_refused() -> None:
    for data in (b"", b"no shard", pack([])[:30]):
        with pytest.raises((ValueError, EOFError)):
            unpack(data)


def saved(kind: str = "JPEG", mode: str = "RGB", side: int = SIDE, **more: Any) -> bytes:
    out = io.BytesIO()
    Image.new(mode, (side, side // 2), 90).save(out, kind, **more)
    return out.getvalue()


def test_a_picture_s_head_says_what_pillow_finds_in_it() -> None:
    """Which of them are plain, small JPEG pictures."""
    exif = Image.Exif()
    exif[0x010E] = "a secret"
    others = [Image.new("RGB", (8, 8))]
    plain = [saved(), saved(progressive=True), saved(side=8, comment=b"noted"), saved(dpi=(9, 9))]
    told = [
        saved("PNG"), saved(mode="L"), saved(mode="CMYK"), saved(side=SIDE + 1),
        saved(exif=exif), saved(side=8, exif=exif),
        saved("MPO", save_all=True, append_images=others),
    ]  # fmt: skip
    for data in plain + told:
        image = Image.open(io.BytesIO(data))
        wanted = image.format == "JPEG" and image.mode == "RGB" and "exif" not in image.info
        assert is_small(data) == (wanted and max(image.size) <= SIDE) == (data in plain)
    for cut in range(0, len(plain[0]), 7):
        is_small(plain[0][:cut])  # ends, whatever it says of a file that does not decode
