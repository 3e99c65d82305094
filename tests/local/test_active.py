"""The features of a picture are found once, and give what the whole dictionary gives."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

import steerboard
from steerboard import Attribute, Encoded, Margin, Prompts
from steerboard.attribution.units import Features
from steerboard.dictionary.sae import Sae
from steerboard.inprocess.active import Active, find


@pytest.fixture
def sae() -> Sae:
    rows = torch.randn(300, 16)
    bias = torch.full((300,), -6.0)
    return Sae(rows.T.contiguous(), bias, rows, torch.randn(16) / 4, normalize="layer_norm")


@pytest.mark.parametrize("level", [-60.0, -6.0, 2.0])
def test_active_features_stand_for_the_whole_dictionary(sae: Sae, level: float) -> None:
    """Where none fires, a few do, and nearly all do."""
    book = replace(sae, b_enc=torch.full_like(sae.b_enc, level))
    x, gradient = torch.randn(9, 16), torch.randn(9, 16)
    whole, found = Features(book), find(Features(book), x)
    some, code = Active(book, found), whole.code(x)
    which = found.features
    assert torch.equal(which, code.any(0).nonzero()[:, 0])
    assert (len(which) == 0) == (level == -60)
    every = torch.arange(len(which))

    def dense(values: torch.Tensor) -> torch.Tensor:
        return some.columns(values, every)

    assert torch.equal(dense(some.code(x)), code[:, which])
    slopes = (code * whole.slopes(x, gradient))[:, which]
    assert torch.allclose(dense(some.code(x) * some.slopes(x, gradient)), slopes, atol=1e-4)
    assert torch.allclose(some.built(some.code(x), x), whole.built(code, x), atol=1e-4)
    sizes = (code * whole.sizes(x))[:, which]
    assert torch.allclose(dense(some.code(x) * some.sizes(x)), sizes, atol=1e-5)
    assert torch.allclose(some.totals(some.code(x)), code.double().sum(0)[which])
    assert torch.equal(some.bias(x), whole.bias(x))
    picked = every.flip(0)[:3]
    assert torch.equal(some.columns(some.code(x), picked), code[:, which[picked]])
    mask = (torch.arange(9) % 2).float()[:, None]
    assert torch.equal(dense(some.code(x) * some.at_tokens(mask)), (code * mask)[:, which])
    each = torch.rand(len(which))
    assert torch.equal(dense(some.code(x) * some.of_units(each)), code[:, which] * each)


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
