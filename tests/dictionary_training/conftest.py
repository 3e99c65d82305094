"""Activations that a dictionary can explain: sparse sums of fixed directions, on disk."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

from steerboard.dictionary.training.shards import Store, Writer

WIDTH, DIRECTIONS, ACTIVE = 32, 40, 3


def sparse_sums(count: int, seed: int, shift: float = 0.0) -> Tensor:
    """Rows ``[count, 32]``: three of 40 unit directions each, around a mean."""
    directions = torch.nn.functional.normalize(
        torch.randn(DIRECTIONS, WIDTH, generator=torch.Generator().manual_seed(7)), dim=1
    )
    source = torch.Generator().manual_seed(seed)
    which = torch.rand(count, DIRECTIONS, generator=source).topk(ACTIVE).indices
    values = 1 + torch.rand(count, ACTIVE, generator=source)
    code = torch.zeros(count, DIRECTIONS).scatter(1, which, values)
    return 4 * code @ directions + 3 + shift


def write_store(folder: Path, rows: dict[str, Tensor], shard: int = 1000) -> Store:
    folder.mkdir(parents=True)
    writers = {part: Writer(folder, part, 0, shard) for part in rows}
    for part, x in rows.items():
        for piece in x.split(300):
            writers[part].add(piece)
        writers[part].close()
    record = {
        "model": "none",
        "site": "resid_post.0",
        "tokens": "all" if len(rows) == 2 else next(iter(rows)),
        "width": WIDTH,
        "pictures": 1,
        "broken": [],
        "rows": {part: writer.written for part, writer in writers.items()},
    }
    store = Store(folder, record)
    store.save()
    return store


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    rows = {"prefix": sparse_sums(400, 1, 2.0), "patches": sparse_sums(5200, 2)}
    return write_store(tmp_path_factory.mktemp("store") / "shards", rows)


@pytest.fixture(scope="session")
def held_out() -> Tensor:
    return sparse_sums(2000, 3)
