"""Baked weights taught by the live recipe: what is told of them is what they then do."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional

import steerboard as sb
from steerboard.analysis.evidence.pictures import ManifestSet
from steerboard.model.load import LoadedModel
from steerboard.model.load import load as load_model
from steerboard.recipe.bake import bake, held_out
from steerboard.recipe.baked import Baked, projected, write_checkpoint
from steerboard.recipe.making import make
from steerboard.recipe.refine import SHARE, course_of, head_of, mixed, refine, within_memory
from steerboard.spec.edits import Add, Condition, Direction, Edit, SteerSet
from steerboard.spec.errors import InvalidRequest
from steerboard.spec.recipe import Recipe
from steerboard.spec.requests import Probe
from steerboard.spec.runner import Runner
from steerboard.spec.tensor import Tensor


@pytest.fixture(scope="module")
def pictures(tiny_house: Path) -> ManifestSet:
    folder = tiny_house / "images"
    return ManifestSet("tiny", folder, folder / "manifest.jsonl", "validation")


@pytest.fixture(scope="module")
def loaded(tiny_house: Path) -> LoadedModel:
    return load_model(tiny_house / "model")


def pushed(runner: Runner, alpha: float) -> Recipe:
    """A direction is added at tokens where it is seen: a step, which no regression says.

    It changes the answer on some of the pictures.
    """
    unit = Direction(values=Tensor.of(np.random.default_rng(5).normal(size=24)))
    only = Condition(unit=unit, tau=0.0, per="token")
    edit = Edit(site="resid_post.0", unit=unit, op=Add(alpha=alpha), condition=only)
    prompts = sb.Prompts(prompts=("cat", "dog", "horse", "boat"), template="a {}")
    return make(runner, "pushed", "tiny", SteerSet(edits=(edit,)), prompts)


@pytest.fixture(scope="module")
def live(runner: Runner) -> Recipe:
    return pushed(runner, 1.0)


@pytest.fixture(scope="module")
def baked(loaded: LoadedModel, live: Recipe, pictures: ManifestSet) -> Baked:
    return bake(loaded, live, {}, pictures, 2)


def test_refined_weights_lie_as_near_to_the_live_edit_as_is_told(
    loaded: LoadedModel, live: Recipe, baked: Baked, pictures: ManifestSet, tiny_house: Path,
    tmp_path: Path,
) -> None:  # fmt: skip
    """The second way: the written checkpoint beside the applied recipe, by open_clip alone.

    From nothing, for on these few pictures the regression leaves nothing to teach.
    """
    none = replace(baked, added={}, weights={})
    new, told = refine(loaded, live, {}, list(pictures), none, 60, 3e-3)
    assert told.after < told.before and 0 < told.kept <= told.steps == 60
    write_checkpoint(tiny_house / "model", tmp_path / "new", loaded, new)
    unseen = [p for p in pictures if held_out(p)]
    pixels = torch.stack([loaded.pixels(p.data) for p in unseen])
    text = loaded.logit_scale * loaded.text(live.classifier.texts())
    with torch.inference_mode():
        clean = loaded.clip.encode_image(pixels, normalize=True) @ text.T
        with sb.apply(loaded.clip, live) as steered:
            said = steered.encode_image(pixels, normalize=True) @ text.T
        plain = load_model(tmp_path / "new").clip
        found = plain.encode_image(pixels, normalize=True) @ text.T
    changed = (clean.argmax(1) != said.argmax(1)).numpy()
    p, q = (functional.softmax(x.double(), -1).numpy() for x in (said, found))
    apart = (p * np.log(p / q)).sum(1)
    kinds = ((SHARE, apart[changed]), (1 - SHARE, apart[~changed]))
    mean = sum(share * kind.mean() for share, kind in kinds if len(kind))
    assert told.after == pytest.approx(mean, rel=1e-3)


def test_only_blocks_from_the_first_edited_one_are_taught_and_the_model_stays_as_it_was(
    loaded: LoadedModel, live: Recipe, baked: Baked, pictures: ManifestSet
) -> None:
    before = {name: w.clone() for name, w in loaded.clip.state_dict().items()}
    later = live.model_copy(
        update={"steer": SteerSet(edits=tuple(moved(e, 1) for e in live.steer.edits))}
    )
    later = later.model_copy(
        update={
            "provenance": later.provenance.model_copy(
                update={"n_bar": {"resid_post.1": later.provenance.n_bar["resid_post.0"]}}
            )
        }
    )
    new, told = refine(loaded, later, {}, list(pictures), replace(baked, added={}, weights={}), 2)
    assert not new.added and new.fits == baked.fits
    assert new.weights and all(".resblocks.0." not in name for name in new.weights)
    assert told.pictures == len(pictures) and 0 < told.changed < told.pictures
    own = [before[f"visual.{name}"] for name in new.weights]
    apart = sum(
        float((w - o).square().sum()) for w, o in zip(new.weights.values(), own, strict=True)
    )
    whole = sum(float(o.square().sum()) for o in own)
    assert told.size == pytest.approx((apart / whole) ** 0.5, rel=1e-4) and told.size > 0
    after = loaded.clip.state_dict()
    assert all(torch.equal(w, after[name]) for name, w in before.items())
    again, _ = refine(loaded, later, {}, list(pictures), replace(baked, added={}, weights={}), 2)
    assert all(torch.equal(w, again.weights[name]) for name, w in new.weights.items())


def moved(edit: Edit, block: int) -> Edit:
    return edit.model_copy(update={"site": f"resid_post.{block}"})


def test_teaching_that_only_harms_keeps_what_regression_found(
    loaded: LoadedModel, live: Recipe, baked: Baked, pictures: ManifestSet
) -> None:
    new, told = refine(loaded, live, {}, list(pictures), baked, 3, 100.0)
    assert told.kept == 0 and told.after == told.before
    for name, weight in projected(loaded, baked).items():
        torch.testing.assert_close(new.weights[name], weight, rtol=1e-5, atol=1e-8)


def test_a_mixed_picture_is_one_of_two_at_every_patch_and_the_first_at_the_prefix(
    loaded: LoadedModel, live: Recipe, pictures: ManifestSet
) -> None:
    course = course_of(loaded, live, {}, list(pictures))
    one, two = torch.arange(8), torch.arange(8, 16)
    x = mixed(course, one, two, torch.Generator().manual_seed(0))
    from_one = (x == course.x[one]).all(-1)
    assert from_one[:, : loaded.tower.prefix].all()
    assert ((x == course.x[two]).all(-1) | from_one).all()
    # A rectangle: what its rows take of the columns is the same in each.
    taken = ~from_one[:, loaded.tower.prefix :].unflatten(1, loaded.tower.grid)
    assert (taken == (taken.any(2, keepdim=True) & taken.any(1, keepdim=True))).all()
    assert 0 < int(taken.sum()) < taken.numel()


def test_a_recipe_that_changes_no_answer_has_nothing_to_teach(
    runner: Runner, loaded: LoadedModel, baked: Baked, pictures: ManifestSet
) -> None:
    with pytest.raises(InvalidRequest, match="changes no answer on these 16 pictures"):
        refine(loaded, pushed(runner, 1e-6), {}, list(pictures), baked, 2)
    with pytest.raises(InvalidRequest, match="use at most 7281"):
        within_memory(10_000, 192 * 768)


def test_a_probe_decides_as_it_says(loaded: LoadedModel) -> None:
    rng = np.random.default_rng(0)
    weight, bias = rng.normal(size=(3, 16)), rng.normal(size=3)
    probe = Probe(names=("a", "b", "c"), weight=Tensor.of(weight), bias=Tensor.of(bias))
    head = head_of(loaded, probe)
    np.testing.assert_allclose(head[0].numpy(), weight, rtol=1e-6)
    np.testing.assert_allclose(head[1].numpy(), bias, rtol=1e-6)
