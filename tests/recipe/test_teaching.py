"""Baked weights taught by the live edit: what is told of them is what they then do."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import steerboard as sb
from steerboard.analysis.evidence.pictures import ManifestSet
from steerboard.model.load import LoadedModel
from steerboard.model.load import load as load_model
from steerboard.recipe import teach as teaching
from steerboard.recipe.apply import editor
from steerboard.recipe.bake import bake, held_out
from steerboard.recipe.baked import Baked, projected, with_weights, write_checkpoint
from steerboard.recipe.making import make
from steerboard.recipe.teach import Course, Lesson, teach
from steerboard.spec.edits import Condition, Direction, Edit, Set, SteerSet
from steerboard.spec.errors import InvalidRequest
from steerboard.spec.recipe import Recipe
from steerboard.spec.runner import Runner
from steerboard.spec.tensor import Tensor

ONE, OTHER = (Direction(values=Tensor.of(np.random.default_rng(s).normal(size=24))) for s in (5, 6))


@pytest.fixture(scope="module")
def pictures(tiny_house: Path) -> ManifestSet:
    folder = tiny_house / "images"
    return ManifestSet("tiny", folder, folder / "manifest.jsonl", "validation")


@pytest.fixture(scope="module")
def loaded(tiny_house: Path) -> LoadedModel:
    return load_model(tiny_house / "model")


@pytest.fixture(scope="module")
def live(runner: Runner) -> Recipe:
    """A direction is set behind block 1 at tokens where another one is seen."""
    only = Condition(unit=ONE, tau=0.0, per="token")
    op = Set(value=3.0, everywhere=True)
    edit = Edit(site="resid_post.1", unit=OTHER, op=op, condition=only)
    prompts = sb.Prompts(prompts=("cat", "dog", "horse", "boat"), template="a {}")
    return make(runner, "set", "tiny", SteerSet(edits=(edit,)), prompts)


@pytest.fixture(scope="module")
def nothing(loaded: LoadedModel, live: Recipe, pictures: ManifestSet) -> Baked:
    """What is baked, and none of it written."""
    return replace(bake(loaded, live, {}, pictures), added={}, weights={})


def behind(loaded: LoadedModel, pixels: torch.Tensor) -> torch.Tensor:
    """Output of open_clip's own block 1."""
    kept: list[torch.Tensor] = []
    block = loaded.clip.visual.get_submodule("transformer.resblocks.1")
    handle = block.register_forward_hook(lambda _m, _given, out: kept.append(out))
    with torch.inference_mode():
        loaded.clip.encode_image(pixels)
    handle.remove()
    return kept[0].double()


def test_taught_weights_lie_as_near_to_the_live_edit_as_is_told(
    loaded: LoadedModel, live: Recipe, nothing: Baked, pictures: ManifestSet, tiny_house: Path,
    tmp_path: Path,
) -> None:  # fmt: skip
    """The second way: blocks' outputs of the written checkpoint, by open_clip alone."""
    new, (told,) = teach(loaded, live, {}, list(pictures), nothing, 150)
    assert told.after > told.before + 0.2 and told.steps == 150 and told.size > 0
    write_checkpoint(tiny_house / "model", tmp_path / "new", loaded, new)
    pixels = torch.stack([loaded.pixels(p.data) for p in pictures if held_out(p)])
    old, found = behind(loaded, pixels), behind(load_model(tmp_path / "new"), pixels)
    one, other = (torch.from_numpy(u.values.numpy().copy()).double() for u in (ONE, OTHER))
    one, other = one / one.norm(), other / other.norm()
    change = ((old @ one) > 0)[..., None] * (3.0 - (old @ other)[..., None]) * other
    weight = torch.full((old.shape[1], 1), 1 / (old.shape[1] - 1)).double()
    weight[0] = 1
    mean = (weight * change).sum((0, 1)) / (2 * len(old))
    error = float((weight * (old + change - found).square()).sum())
    # The spread is about the mean that its own weights give.
    spread = float((weight * (change - mean).square()).sum())
    assert told.after == pytest.approx(1 - error / spread, abs=1e-3)


def test_only_the_edited_block_s_mlp_is_taught_and_the_model_stays_as_it_was(
    loaded: LoadedModel, live: Recipe, nothing: Baked, pictures: ManifestSet
) -> None:
    before = {name: w.clone() for name, w in loaded.clip.state_dict().items()}
    new, (told,) = teach(loaded, live, {}, list(pictures), nothing, 20)
    assert not new.added and new.fits == nothing.fits
    assert new.weights and all(".resblocks.1.mlp." in name for name in new.weights)
    own = {name: before[f"visual.{name}"] for name in new.weights}
    apart = sum(float((new.weights[n] - w).square().sum()) for n, w in own.items())
    whole = sum(float(w.square().sum()) for w in own.values())
    assert told.size == pytest.approx((apart / whole) ** 0.5, rel=1e-4)
    after = loaded.clip.state_dict()
    assert all(torch.equal(w, after[name]) for name, w in before.items())
    again, _ = teach(loaded, live, {}, list(pictures), nothing, 20)
    assert all(torch.equal(w, again.weights[name]) for name, w in new.weights.items())


def test_teaching_that_only_harms_keeps_what_regression_found(
    loaded: LoadedModel, live: Recipe, pictures: ManifestSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    baked = bake(loaded, live, {}, pictures)
    monkeypatch.setattr(teaching, "RATE", 2400.0)
    new, (told,) = teach(loaded, live, {}, list(pictures), baked, 3)
    assert told.after == told.before and told.size == 0
    for name, weight in projected(loaded, baked).items():
        torch.testing.assert_close(new.weights[name], weight, rtol=1e-5, atol=1e-8)


def test_batches_weigh_each_token_as_the_whole_does() -> None:
    """However few are changed: a mean over batches is the weighted mean over all tokens."""
    rng = torch.Generator().manual_seed(2)
    value, weight = torch.randn(500, 1, generator=rng), torch.rand(500, generator=rng)
    changed = torch.arange(500) < 7
    value[changed] += 40
    lesson = Lesson(value, value, weight, changed)
    means = [float((count * value[which, 0]).sum()) for which, count in lesson.batches(400)]
    wanted = float((weight * value[:, 0]).sum() / weight.sum())
    error = np.std(means) / len(means) ** 0.5
    assert abs(np.mean(means) - wanted) < 5 * error < 0.1


def test_the_tokens_kept_stand_for_all(
    loaded: LoadedModel, live: Recipe, pictures: ManifestSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = list(pictures)
    monkeypatch.setattr(teaching, "TOKENS", 3)
    course = Course(
        loaded, with_weights(loaded, {}), editor(loaded.tower, live, {}), live.steer, "resid_post.1"
    )
    lesson = course.lesson(own)
    changed = torch.cat([(met.change != 0).any(-1) for met in course.met(own)])
    few = sum(c.sum(1).clamp(max=3).sum() for c in (changed, ~changed))
    assert len(lesson.weight) == int(few) < changed.numel()
    assert int(lesson.changed.sum()) == int(changed.sum(1).clamp(max=3).sum()) > 0


def test_a_few_tokens_of_a_kind_count_for_all_of_it() -> None:
    kind = torch.rand(50, 90, generator=torch.Generator().manual_seed(0)) < torch.rand(50, 1)
    found = teaching.stand_ins(kind, torch.Generator().manual_seed(1))
    assert ((found > 0) <= kind).all() and int((found > 0).sum(1).max()) == teaching.TOKENS
    torch.testing.assert_close(found.sum(1), kind.sum(1).float())


def test_an_mlp_with_more_than_two_layers_is_named(
    loaded: LoadedModel, live: Recipe, nothing: Baked, pictures: ManifestSet,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(teaching, "plain", lambda _mlp: None)
    with pytest.raises(InvalidRequest, match=r"MLP before resid_post\.1 is more than two linear"):
        teach(loaded, live, {}, list(pictures), nothing, 1)
