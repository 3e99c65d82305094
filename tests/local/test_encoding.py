"""Codes of several pictures against the dense code of each alone."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch

from steerboard.dictionary.sae import Sae
from steerboard.inprocess import encoding
from steerboard.inprocess.encoding import encoded

KINDS: list[dict[str, Any]] = [
    {"architecture": "relu"},
    {"architecture": "topk", "k": 5},
    {"architecture": "topk", "k": 70, "signed": True},
    {"architecture": "abstopk", "k": 5, "signed": True},
    {"architecture": "groupmax", "k": 10},
    {"architecture": "matching_pursuit", "k": 6},
]
ALIVE = {"all": [True] * 9, "prefix": [True] + [False] * 8, "some": [False, True, True] * 3}


def sae(kind: dict[str, Any]) -> Sae:
    torch.manual_seed(0)
    rows = torch.nn.functional.normalize(torch.randn(80, 12), dim=1)
    return Sae(rows.T.contiguous(), torch.randn(80) / 9, rows, torch.randn(12) / 9, **kind)


@pytest.fixture(params=[1, 2], ids=["one core", "two cores"])
def cores(request: pytest.FixtureRequest) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("alive", ALIVE)
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind["architecture"])
@pytest.mark.usefixtures("cores")
def test_codes_are_those_of_each_picture_alone(
    kind: dict[str, Any], alive: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(encoding, "PIECE", 20)
    book, x, lives = sae(kind), torch.randn(7, 9, 12), torch.tensor(ALIVE[alive])
    found = encoded(book, x, lives)
    assert len(found) == 7 and sum(len(code.values) for code in found) > 7
    for code, row in zip(found, x, strict=True):
        wanted = book.encode(row) * lives[:, None]
        np.testing.assert_allclose(code.dense(), wanted.numpy(), atol=1e-6)
        assert code.shape == (9, 80) and (code.values != 0).all()
        places = code.tokens * 80 + code.features
        assert (np.diff(places) > 0).all() and code.tokens.dtype == code.features.dtype == np.int64


def test_no_picture_and_no_token_have_no_codes() -> None:
    none, some = torch.zeros(4, dtype=torch.bool), torch.ones(4, dtype=torch.bool)
    assert encoded(sae(KINDS[0]), torch.randn(0, 4, 12), some) == []
    codes = encoded(sae(KINDS[1]), torch.randn(3, 4, 12), none)
    assert [len(code.values) for code in codes] == [0, 0, 0]
