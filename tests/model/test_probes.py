"""Probe heads on disk: read as they were written by us or by torch, and refused in sentences."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

import steerboard
from steerboard import Encoded, Predict
from steerboard.model.load import load
from steerboard.model.probes import read_probe, write_probe
from steerboard.spec.errors import InvalidRequest, NotFound

NAMES = ["cat", "dog", "boat"]


def head(width: int = 16) -> torch.nn.Linear:
    torch.manual_seed(0)
    return torch.nn.Linear(width, 3)


def saved(path: Path, names: object = NAMES, **tensors: torch.Tensor) -> Path:
    save_file(tensors or dict(head().state_dict()), path, {"names": json.dumps(names)})
    return path


@torch.inference_mode()
def test_a_probe_answers_as_the_linear_layer_that_was_saved(
    tiny_house: Path, tiny_images: list[bytes], tmp_path: Path
) -> None:
    layer, model = head(), load(tiny_house / "model")
    probe = read_probe(saved(tmp_path / "probe.safetensors", **layer.state_dict()))
    images = tuple(Encoded(data=data) for data in tiny_images[:3])
    answer = steerboard.local(tiny_house).predict(
        Predict(model="tiny", images=images, classifier=probe)
    )
    pixels = torch.stack([model.pixels(data) for data in tiny_images[:3]])
    expected = layer(model.clip.encode_image(pixels, normalize=True))
    for item, row in zip(answer.items, expected, strict=True):
        np.testing.assert_allclose(item.logits, row, atol=1e-5)
        np.testing.assert_allclose(item.probabilities, row.softmax(0), atol=1e-6)


def test_what_is_written_is_read(tmp_path: Path) -> None:
    probe = read_probe(saved(tmp_path / "a.safetensors"))
    write_probe(tmp_path / "b.safetensors", probe)
    assert read_probe(tmp_path / "b.safetensors") == probe and probe.names == tuple(NAMES)


def test_other_layouts_are_the_same_probe(tmp_path: Path) -> None:
    plain = read_probe(saved(tmp_path / "plain.safetensors"))
    nested = {f"classifier.{k}": v.clone() for k, v in head().state_dict().items()}
    for names in (NAMES, {"names": NAMES}):
        save_file(nested, tmp_path / "nested.safetensors")
        (tmp_path / "nested.json").write_text(json.dumps(names))
        assert read_probe(tmp_path / "nested.safetensors") == plain
    half = read_probe(
        saved(tmp_path / "half.safetensors", weight=head().weight.detach().bfloat16())
    )
    np.testing.assert_allclose(half.weight.numpy(), plain.weight.numpy(), rtol=1e-2)
    assert not half.bias.numpy().any()


def test_what_is_wrong_is_said(tmp_path: Path) -> None:
    file = tmp_path / "probe.safetensors"

    def said(names: object = NAMES, **tensors: Any) -> str:
        saved(file, names, **tensors)
        with pytest.raises(InvalidRequest) as refused:
            read_probe(file)
        return refused.value.message

    weight = torch.zeros(3, 16)
    assert "3 classes and 2 names" in said(["cat", "dog"])
    assert "no list of texts" in said("cat")
    assert "no list of texts" in said(["cat", 2, "dog"])
    assert "bias (2,)" in said(weight=weight, bias=torch.zeros(2))
    assert "weight [classes, embedding width]" in said(weight=torch.zeros(3))
    assert "not finite" in said(weight=weight / 0)
    assert "no tensor called weight, but kernel" in said(kernel=weight)
    assert "one head" in said(**{"a.weight": weight, "b.weight": weight.clone()})
    assert "is no probe" in said(["cat"], weight=torch.zeros(1, 16))
    save_file({"weight": weight}, file)
    with pytest.raises(InvalidRequest, match=r"probe\.json beside it"):
        read_probe(file)
    save_file({"weight": weight}, file, {"steerboard_probe": "9", "names": "[]"})
    with pytest.raises(InvalidRequest, match="schema 9"):
        read_probe(file)
    file.write_bytes(b"not at all")
    with pytest.raises(InvalidRequest, match="no safetensors file"):
        read_probe(file)
    with pytest.raises(NotFound, match="is missing"):
        read_probe(tmp_path / "nowhere.safetensors")
