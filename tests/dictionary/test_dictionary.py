"""One contract over all kinds of dictionaries, and the file that holds them."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from steerboard.dictionary.native import KEY, read, write
from steerboard.dictionary.sae import Sae
from steerboard.spec.errors import DictionaryMisfit, NotFound

KINDS: list[dict[str, Any]] = [
    {"architecture": "relu"},
    {"architecture": "relu", "subtract_bias": False, "normalize": "layer_norm"},
    {"architecture": "jumprelu", "threshold": torch.full((20,), 0.5)},
    {"architecture": "batchtopk", "threshold": torch.full((20,), 0.7)},
    {"architecture": "topk", "k": 4},
    {"architecture": "topk", "k": 4, "signed": True, "normalize": "constant_norm_rescale"},
    {"architecture": "abstopk", "k": 4, "signed": True},
    {"architecture": "groupmax", "k": 5},
    {"architecture": "matching_pursuit", "k": 6},
    {"architecture": "matching_pursuit", "k": 6, "least": 1.0, "stop_at_repeat": True},
    {"architecture": "tanh-relu"},
    {"architecture": "gated", "gain": torch.linspace(0.5, 2, 20), "b_mag": torch.ones(20) / 3},
    {"architecture": "topk", "k": 4, "softcap": 1.5, "groups": (5, 15)},
]


def sae(**kind: Any) -> Sae:
    torch.manual_seed(0)
    rows = torch.nn.functional.normalize(torch.randn(20, 6), dim=1)
    return Sae(torch.randn(6, 20), torch.randn(20), rows, torch.randn(6), **kind)


@pytest.mark.parametrize("kind", KINDS)
def test_units_one_by_one_are_the_code(kind: dict[str, Any]) -> None:
    book, x = sae(**kind), torch.randn(20, 5, 6)
    alone = book.encode_units(x, torch.arange(20))
    together = torch.stack([book.encode(row)[:, i] for i, row in enumerate(x)])
    torch.testing.assert_close(alone, together)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if "k" in kind])
def test_what_is_kept_sums_to_the_code(kind: dict[str, Any]) -> None:
    """As the cache of codes reads it: a pursuit may keep one feature in several parts."""
    book, x = sae(**kind), torch.randn(50, 6)
    values, which = book.kept(x)
    summed = torch.stack([(values * (which == f)).sum(-1) for f in range(20)], dim=-1)
    torch.testing.assert_close(summed, book.encode(x))
    assert which.shape[-1] <= kind["k"]


def test_a_pursuit_ends_where_little_is_left_or_nothing_points_there() -> None:
    x = torch.randn(50, 6)
    book = sae(architecture="matching_pursuit", k=400, least=0.5)
    left = x - book.decode(book.encode(x), x)
    small = left.norm(dim=1) < 0.5
    assert small.any() and (small | ((left @ book.W_dec.T).amax(1) < 1e-3)).all()


@pytest.mark.parametrize("kind", KINDS)
def test_decoder_rows_times_scale_are_the_derivative(kind: dict[str, Any]) -> None:
    book, x = sae(**kind), torch.randn(3, 6)
    z = book.encode(x)
    moved = z.clone()
    moved[:, 7] += 1
    torch.testing.assert_close(
        book.decode(moved, x) - book.decode(z, x),
        book.W_dec[7] * book.scale(x),
        atol=1e-5,
        rtol=1e-4,
    )


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_gives_back_what_was_written(kind: dict[str, Any], tmp_path: Path) -> None:
    book = sae(**kind)
    write(tmp_path / "d.safetensors", book, "resid_post.3", {"seed": 1})
    file = read(tmp_path / "d.safetensors")
    x = torch.randn(4, 6)
    assert torch.equal(file.sae.encode(x), book.encode(x)) and file.header.site == "resid_post.3"


def test_top_k_keeps_k_and_only_signed_keeps_negatives() -> None:
    x = torch.randn(50, 6)
    assert int((sae(architecture="topk", k=4).encode(x) != 0).sum(1).max()) <= 4
    assert (sae(architecture="topk", k=4).encode(x) >= 0).all()
    assert (sae(architecture="topk", k=18, signed=True).encode(x) < 0).any()


def test_files_that_are_something_else_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "d.safetensors"
    with pytest.raises(NotFound):
        read(path)
    path.write_bytes(b"\x80\x04 no safetensors")
    with pytest.raises(DictionaryMisfit, match="no dictionary"):
        read(path)
    save_file({"W_enc": torch.ones(2, 2)}, path)
    with pytest.raises(DictionaryMisfit, match="no dictionary"):
        read(path)
    header = {
        "schema": 1,
        "architecture": "topk",
        "k": 3,
        "site": "resid_post.1",
        "tokens": "all",
        "d_in": 2,
        "d_sae": 4,
    }
    save_file({"W_enc": torch.ones(2, 2)}, path, {KEY: json.dumps(header)})
    with pytest.raises(DictionaryMisfit, match="holds tensors"):
        read(path)
