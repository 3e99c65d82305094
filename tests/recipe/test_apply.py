"""A recipe on a plain open_clip model says what the Runner says, and leaves nothing behind."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, event, given, settings

import steerboard as sb
from steerboard.analysis.evidence.answers import identity_probe
from steerboard.recipe.files import save
from steerboard.recipe.making import make
from steerboard.spec.edits import Edit, Part, Scale, SteerSet
from steerboard.spec.errors import DictionaryMisfit, InvalidRequest, NotFound, SteerboardError
from steerboard.spec.recipe import Recipe
from steerboard.spec.requests import Pixels, Steer
from steerboard.spec.runner import Runner
from steerboard.spec.tensor import Tensor
from tests.recipe.strategies import steer_sets

PIXELS = np.random.default_rng(5).normal(size=(2, 3, 32, 32)).astype(np.float32)


def files(house: Path) -> dict[str, Path]:
    return {name: house / f"{name}.safetensors" for name in ("middle", "last")}


def by_runner(runner: Runner, steer: SteerSet) -> np.ndarray:
    request = Steer(
        model="tiny",
        images=tuple(Pixels(tensor=Tensor.of(p)) for p in PIXELS),
        classifier=identity_probe(16),
        steer_sets=(steer,),
    )
    return np.array([item.steered[0].logits for item in runner.steer(request).results()])


@torch.inference_mode()
def by_model(model: Any) -> np.ndarray:
    return model.encode_image(torch.from_numpy(PIXELS), normalize=True).numpy()


@settings(
    max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(steer=steer_sets)
def test_a_plain_model_under_a_recipe_equals_the_runner(
    runner: Runner, plain: Any, tiny_house: Path, recipe: Recipe, steer: SteerSet
) -> None:
    mine = recipe.model_copy(update={"steer": steer, "provenance": everything(runner, recipe)})
    event("asked")
    try:
        expected = by_runner(runner, steer)
    except SteerboardError as error:
        event("refused")
        with pytest.raises(type(error)):  # what the Runner refuses is refused here as well
            sb.apply(plain, mine, files(tiny_house))
        return
    with sb.apply(plain, mine, files(tiny_house)) as steered:
        np.testing.assert_allclose(by_model(steered), expected, atol=1e-5)


def everything(runner: Runner, recipe: Recipe) -> Any:
    info = runner.model("tiny")
    both = sb.scale("resid_post.1", "middle", 1.0, 0).edits
    both += sb.scale("resid_post.2", "last", 1.0, 0).edits
    full = make(runner, "both", "tiny", SteerSet(edits=both), recipe.classifier)
    return full.provenance.model_copy(update={"n_bar": {s.name: s.n_bar for s in info.sites}})


def test_the_dictionary_of_an_error_term_is_pinned(
    runner: Runner, plain: Any, recipe: Recipe, tiny_house: Path
) -> None:
    error = Edit(site="resid_post.1", unit=Part(of="error", dictionary="middle"), op=Scale(m=-1.0))
    steer = SteerSet(edits=(error,))
    alone = make(runner, "alone", "tiny", steer, recipe.classifier)
    assert [pin.id for pin in alone.provenance.dictionaries] == ["middle"]
    with sb.apply(plain, alone, files(tiny_house)) as steered:
        np.testing.assert_allclose(by_model(steered), by_runner(runner, steer), atol=1e-5)


def test_the_answer_really_moves_and_the_model_is_as_before_after(
    plain: Any, recipe: Recipe, tiny_house: Path, tmp_path: Path
) -> None:
    before, parts = by_model(plain), set(vars(plain.visual))
    save(recipe, tmp_path / "r.recipe.json")
    with sb.apply(plain, tmp_path / "r.recipe.json", files(tiny_house)) as steered:
        assert steered is plain
        assert np.abs(by_model(steered) - before).max() > 1e-3
        with (
            pytest.raises(InvalidRequest, match="steered already"),
            sb.apply(plain, recipe, files(tiny_house)),
        ):
            pass
    assert (by_model(plain) == before).all() and set(vars(plain.visual)) == parts
    applied = sb.apply(plain, recipe, files(tiny_house))
    assert (by_model(plain) == before).all()  # nothing happens outside the with
    with pytest.raises(ZeroDivisionError), applied:
        raise ZeroDivisionError
    assert (by_model(plain) == before).all()


def test_gradients_still_flow(plain: Any, recipe: Recipe, tiny_house: Path) -> None:
    pixels = torch.from_numpy(PIXELS).requires_grad_()
    with sb.apply(plain, recipe, files(tiny_house)):
        plain.encode_image(pixels).sum().backward()
    assert pixels.grad is not None and bool(pixels.grad.abs().sum() > 0)


def test_another_model_and_another_dictionary_are_found_out(
    plain: Any, recipe: Recipe, tiny_house: Path
) -> None:
    paths = files(tiny_house)
    with pytest.raises(NotFound, match="name its file"):
        sb.apply(plain, recipe)
    with pytest.raises(DictionaryMisfit, match=r"belongs to resid_post\.2, not to resid_post\.1"):
        sb.apply(plain, recipe, {"middle": paths["last"]})
    plain.train()
    with pytest.raises(InvalidRequest, match=r"model.eval\(\)"):
        sb.apply(plain, recipe, paths)
    plain.eval()
    weight = plain.visual.transformer.resblocks[0].mlp.c_proj.weight
    with torch.no_grad():
        weight *= -1
    try:
        with pytest.raises(InvalidRequest, match="not the one that recipe no-stripes v1"):
            sb.apply(plain, recipe, paths)
    finally:
        with torch.no_grad():
            weight *= -1
