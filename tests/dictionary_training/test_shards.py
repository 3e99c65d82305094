"""Rows come back as they went in, each once an epoch, and from any place on."""

from collections import Counter
from itertools import islice
from pathlib import Path

import pytest
import torch

from steerboard.dictionary.training.shards import Writer, draws, open_store
from steerboard.spec.errors import InvalidRequest, NotFound
from tests.dictionary_training.conftest import write_store


def numbered(count: int, start: int = 0) -> torch.Tensor:
    """Rows that can be told apart in half precision."""
    index = torch.arange(start, start + count)
    return torch.stack([index % 1000, index // 1000], 1).float()


def ids(rows: torch.Tensor) -> list[int]:
    return (rows[:, 0] + 1000 * rows[:, 1]).int().tolist()


@pytest.mark.parametrize(("count", "shard"), [(2500, 1000), (1000, 1000), (7, 1000), (9000, 500)])
def test_an_epoch_has_every_row_once_and_in_another_order(
    tmp_path: Path, count: int, shard: int
) -> None:
    store = write_store(tmp_path / "s", {"patches": numbered(count)}, shard)
    assert [len(x) for x in store.shards("patches")] == store.record["rows"]["patches"]
    size = next(n for n in (100, 7) if count % n == 0)
    epochs = [
        [i for rows in islice(draws(store, "patches", size, 0, e * count // size), count // size)
         for i in ids(rows)]
        for e in range(2)
    ]  # fmt: skip
    assert [sorted(epoch) for epoch in epochs] == [list(range(count))] * 2
    if count > 100:
        assert epochs[0] != epochs[1] and epochs[0] != sorted(epochs[0])


def test_batches_go_on_from_any_number_and_join_epochs(tmp_path: Path) -> None:
    store = open_store(write_store(tmp_path / "s", {"patches": numbered(1030)}, 100).folder)
    straight = [ids(rows) for rows in islice(draws(store, "patches", 64, 5, 0), 60)]
    assert Counter(i for batch in straight for i in batch)[0] >= 3  # 60 * 64 > 3 * 1030
    for start in (1, 15, 16, 17, 40):
        assert ids(next(draws(store, "patches", 64, 5, start))) == straight[start]
    assert ids(next(draws(store, "patches", 64, 6, 0))) != straight[0]


def test_a_batch_larger_than_the_store_repeats_it(tmp_path: Path) -> None:
    store = write_store(tmp_path / "s", {"patches": numbered(10)})
    assert Counter(ids(next(draws(store, "patches", 25, 0, 0)))).most_common(1)[0][1] == 3


def test_what_half_precision_cannot_hold_is_refused(tmp_path: Path) -> None:
    for bad in (1e6, float("nan")):
        with pytest.raises(InvalidRequest, match="beyond half precision"):
            Writer(tmp_path, "patches", 0).add(torch.full((2, 3), bad))


def test_an_unfinished_or_older_store_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="no harvest was finished"):
        open_store(tmp_path)
    store = write_store(tmp_path / "s", {"patches": numbered(10)})
    index = store.folder / "index.json"
    index.write_text(index.read_text().replace('"schema": 1', '"schema": 0'))
    with pytest.raises(InvalidRequest, match="harvest again"):
        open_store(store.folder)
