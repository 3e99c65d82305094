"""The largest few against a sort of everything, with ties, infinities and NaN."""

import numpy as np
import pytest
import torch
from torch import Tensor

from steerboard.dictionary import largest as module
from steerboard.dictionary.largest import largest
from steerboard.dictionary.sae import Sae


def by_sorting(p: Tensor, k: int) -> Tensor:
    """All in falling order, ties by place; the first k of that, rising."""
    order = np.argsort(-p.numpy(), axis=-1, kind="stable")
    return torch.from_numpy(np.sort(order[..., :k], -1))


@pytest.mark.parametrize("kind", ["no ties", "many ties", "mostly zero", "infinite"])
@pytest.mark.parametrize(("f", "k"), [(1, 1), (7, 7), (40, 3), (300, 20), (301, 9), (2304, 32)])
def test_it_is_what_sorting_gives(kind: str, f: int, k: int) -> None:
    p = torch.randn(3, 5, f, generator=torch.Generator().manual_seed(f))
    if kind == "many ties":
        p = (2 * p).round()
    elif kind == "mostly zero":
        p = (p - 1).relu()
    elif kind == "infinite":
        p = torch.where(p > 1, torch.inf, torch.where(p < 0, -torch.inf, p))
    assert torch.equal(largest(p, k), by_sorting(p, k))


def test_it_is_what_torch_finds_where_nothing_is_tied() -> None:
    p = torch.randn(197, 6144, generator=torch.Generator().manual_seed(0)).double()
    assert torch.equal(largest(p, 32), p.topk(32).indices.sort().values)


def test_a_large_question_is_the_same_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    p = torch.randn(60, 50, generator=torch.Generator().manual_seed(1)).round()
    whole = largest(p, 4)
    monkeypatch.setattr(module, "PIECE", 350)
    assert torch.equal(largest(p, 4), whole)
    assert largest(p[:0], 4).shape == (0, 4)


def test_nan_is_not_lost_and_k_are_named() -> None:
    p = torch.randn(4, 200, generator=torch.Generator().manual_seed(2))
    p[1, 17], p[2] = torch.nan, torch.nan
    found = largest(p, 5)
    assert all(len(set(row.tolist())) == 5 for row in found)
    assert 17 in found[1] and torch.equal(found[3], by_sorting(p, 5)[3])


@pytest.mark.parametrize("kind", ["topk", "abstopk"])
def test_of_equal_features_the_first_are_kept(kind: str) -> None:
    rows = torch.ones(6, 4)
    book = Sae(rows.T.contiguous(), torch.zeros(6), rows, torch.zeros(4), kind, k=2)  # type: ignore[arg-type]
    values, which = book.kept(torch.ones(3, 4))
    assert which.tolist() == [[0, 1]] * 3 and (values == 4).all()
    assert (book.encode(torch.ones(3, 4)) != 0).nonzero()[:, 1].tolist() == [0, 1] * 3


def test_gradients_go_to_what_is_kept() -> None:
    p = torch.randn(3, 40, generator=torch.Generator().manual_seed(3), requires_grad=True)
    which = largest(p, 4)
    p.gather(-1, which).sum().backward()
    assert p.grad is not None and torch.equal(p.grad.nonzero()[:, 1].view(3, 4), which)
