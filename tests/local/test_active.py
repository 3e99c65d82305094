"""The features of a picture are found once, and give what the whole dictionary gives."""

from pathlib import Path

import pytest
import torch

import steerboard
from steerboard import Attribute, Encoded, Margin, Prompts
from steerboard.attribution.units import Features
from steerboard.dictionary.sae import Sae
from steerboard.inprocess import active
from steerboard.inprocess.active import Active, find


@pytest.fixture
def sae() -> Sae:
    rows = torch.randn(300, 16)
    bias = torch.full((300,), -6.0)
    return Sae(rows.T.contiguous(), bias, rows, torch.randn(16) / 4, normalize="layer_norm")


@pytest.mark.parametrize("dense", [1, 10**6])
def test_active_features_stand_for_the_whole_dictionary(
    sae: Sae, dense: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(active, "DENSE", dense)
    monkeypatch.setattr(active, "PIECE", 7)
    x, gradient = torch.randn(9, 16), torch.randn(9, 16)
    whole, found = Features(sae), find(Features(sae), x)
    some, code = Active(sae, found), whole.code(x)
    which = found.features
    assert 0 < len(which) < 300 and torch.equal(which, code.any(0).nonzero()[:, 0])
    assert torch.equal(some.code(x), code[:, which])
    assert torch.allclose(
        some.code(x) * some.slopes(x, gradient),
        (code * whole.slopes(x, gradient))[:, which],
        atol=1e-4,
    )
    assert torch.allclose(some.built(some.code(x), x), whole.built(code, x), atol=1e-4)
    assert torch.allclose(some.sizes(x).expand(9, -1), whole.sizes(x)[:, which].expand(9, -1))
    assert torch.equal(some.bias(x), whole.bias(x))


def test_a_second_question_about_a_picture_encodes_nothing(
    tiny_house: Path, tiny_images: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    encoded: list[int] = []
    encode = Sae.encode

    def counted(self: Sae, x: torch.Tensor) -> torch.Tensor:
        encoded.append(len(x))
        return encode(self, x)

    runner = steerboard.local(tiny_house)
    monkeypatch.setattr(Sae, "encode", counted)

    def ask(image: bytes, index: int, off: int | None = None) -> None:
        steer = steerboard.scale("resid_post.1", "middle", -1.0, *([] if off is None else [off]))
        request = Attribute(
            model="tiny",
            images=(Encoded(data=image),),
            classifier=Prompts(prompts=("cat", "dog", "horse")),
            dictionary="middle",
            targets=(Margin(index=index),),
            steer=steer,
        )
        runner.attribute(request).one()

    ask(tiny_images[0], 0)
    ask(tiny_images[0], 1)
    assert len(encoded) == 1
    ask(tiny_images[1], 1)
    ask(tiny_images[0], 1, off=3)
    assert len(encoded) == 3  # Another picture, and the same one steered.
    runner.close()
