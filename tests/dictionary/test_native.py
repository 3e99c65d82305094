"""Our own file: what it keeps, and the schema before it."""

import errno
import json
from pathlib import Path

import pytest
import torch
from made import D, F, Weights
from safetensors import safe_open
from safetensors.torch import save_file

from steerboard.dictionary.native import KEY, read, save, write
from steerboard.dictionary.sae import Sae
from steerboard.spec.errors import InvalidRequest

DEMO = sorted((Path(__file__).parents[2] / "demo").rglob("*.safetensors"))


def header_of(path: Path) -> dict[str, object]:
    with safe_open(path, "pt") as file:
        record: dict[str, object] = json.loads((file.metadata() or {}).get(KEY, "{}"))
    return record


def test_schema_1_is_still_read(tmp_path: Path) -> None:
    path = tmp_path / "d.safetensors"
    header = {"schema": 1, "architecture": "topk", "k": 3, "site": "resid_post.1"}
    header |= {"tokens": "all", "d_in": D, "d_sae": F, "training": {"seed": 1}}
    save_file(Weights().tensors(), path, {KEY: json.dumps(header)})
    file = read(path)
    assert file.header.schema_ == 1 and file.header.gate == "explained_variance"
    again = tmp_path / "again.safetensors"
    save(again, file.header, file.sae)
    assert header_of(again)["schema"] == 2 and header_of(again)["training"] == {"seed": 1}


@pytest.mark.parametrize("path", [p for p in DEMO if header_of(p)], ids=lambda p: p.stem)
def test_the_dictionaries_of_the_demo_are_read(path: Path) -> None:
    file = read(path)
    assert file.sae.size == file.header.d_sae and file.header.site.startswith("resid_post")


def test_all_that_a_header_says_is_kept(tmp_path: Path) -> None:
    w = Weights(3, gain=(F,), b_mag=(F,))
    sae = Sae(**w.tensors(), architecture="gated", softcap=2.5, groups=(4, F - 4), tokens="prefix")
    path = tmp_path / "d.safetensors"
    facts = {"model": "vit", "schema": 3, "class_token": True}
    write(path, sae, "resid_post.3", gate="cosine", source="elsewhere", facts=facts)
    file = read(path)
    assert (file.header.gate, file.header.source, file.header.facts) == (
        "cosine",
        "elsewhere",
        facts,
    )
    assert (file.sae.softcap, file.sae.groups, file.sae.tokens) == (2.5, (4, F - 4), "prefix")
    x = torch.randn(9, D)
    assert torch.equal(file.sae.encode(x), sae.encode(x))


def test_moved_to_another_precision_it_is_the_same_dictionary() -> None:
    w = Weights(3, gain=(F,), b_mag=(F,))
    sae, x = Sae(**w.tensors(), architecture="gated"), torch.randn(9, D)
    wide = sae.to(torch.float64)
    assert all(tensor.dtype == torch.float64 for tensor in wide.tensors().values())
    torch.testing.assert_close(wide.encode(x.double()).float(), sae.encode(x))


def test_a_file_is_whole_or_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who reads it while another is written in its place has the one or the other."""
    sae, path = Sae(**Weights(3).tensors()), tmp_path / "d.safetensors"
    write(path, sae, "resid_post.3")
    before = path.read_bytes()

    def halfway(_tensors: object, draft: Path, _metadata: object) -> None:
        draft.write_bytes(before[:100])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("steerboard.dictionary.native.save_file", halfway)
    with pytest.raises(InvalidRequest, match=r"d\.safetensors cannot be written: .*No space left"):
        write(path, sae, "resid_post.3")
    assert path.read_bytes() == before and list(tmp_path.iterdir()) == [path]
