"""Interaction, fitted strengths, baked weights and reports, each against a second way."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

import steerboard as sb
from steerboard.analysis.evidence.pictures import ManifestSet
from steerboard.cli import app
from steerboard.inprocess.config import read_config
from steerboard.model.load import load as load_model
from steerboard.recipe.bake import bake
from steerboard.recipe.baked import write_checkpoint
from steerboard.recipe.compare import compare
from steerboard.recipe.files import load, save
from steerboard.recipe.fit import bench_of, fit
from steerboard.recipe.interaction import compare as interact
from steerboard.recipe.interaction import interaction
from steerboard.recipe.making import make
from steerboard.recipe.moments import Moments
from steerboard.recipe.serving import serve_folder
from steerboard.spec.edits import Add, Condition, Direction, Edit, Remove, Scale, SteerSet
from steerboard.spec.errors import InvalidRequest
from steerboard.spec.recipe import Recipe
from steerboard.spec.runner import Runner
from steerboard.spec.tensor import Tensor


@pytest.fixture(scope="session")
def pictures(tiny_house: Path) -> ManifestSet:
    folder = tiny_house / "images"
    return ManifestSet("tiny", folder, folder / "manifest.jsonl", "validation")


def wanted(recipe: Recipe, steer: SteerSet, label: str = "dog") -> Recipe:
    return recipe.model_copy(update={"steer": steer, "failures": {"label": label}})


def test_edits_that_add_up_do_not_interact_and_others_do(
    runner: Runner, recipe: Recipe, pictures: ManifestSet
) -> None:
    clean = np.array([[[2.0, 1.0, 0.0]]])
    one, two = clean + np.array([0.5, 0, 0]), clean + np.array([0, -0.25, 0])
    exact = interact(np.concatenate([clean, one, two, one + two - clean], axis=1))
    assert exact.gap == pytest.approx(0) and exact.moved == pytest.approx(0.75)
    odd = interact(np.concatenate([clean, one, two, clean], axis=1))
    assert odd.gap == pytest.approx(0.75) and odd.strong
    # Twice the same recipe moves half of the sum of both.
    same = interaction(runner, [recipe, recipe], pictures)
    assert same.strong and same.excess == pytest.approx(0.5, abs=1e-6)


def test_fitting_raises_what_it_says_and_drops_what_only_breaks(
    runner: Runner, recipe: Recipe, pictures: ManifestSet
) -> None:
    start = wanted(recipe, sb.scale("resid_post.1", "middle", -2.0, 3, 9, 20, 30))
    steps = []
    better, told = fit(runner, start, pictures, penalty=0.5, tell=steps.append)
    assert list(told) == steps and better.version == 2 and better.status == "unproven"
    scores = [s.score for s in steps]
    assert scores == sorted(scores) and scores[-1] > scores[0]
    assert better.provenance.parents == (start.digest,)
    assert len(better.chosen_pictures) == len(pictures)
    bench = bench_of(runner, start, pictures, 0.5, 120)
    assert bench.scores([better.steer])[0][0] == pytest.approx(scores[-1], abs=1e-6)
    _, dear = fit(runner, start, pictures, penalty=100.0)
    assert dear[-1].broken <= steps[-1].broken


def test_fitting_needs_failures_and_strengths(
    runner: Runner, recipe: Recipe, pictures: ManifestSet
) -> None:
    with pytest.raises(InvalidRequest, match="no picture of tiny validation fails"):
        fit(runner, wanted(recipe, recipe.steer, "unicorn"), pictures)
    gone = SteerSet(edits=(recipe.steer.edits[0].model_copy(update={"op": Remove()}),))
    with pytest.raises(InvalidRequest, match="no edit of this recipe has a strength"):
        fit(runner, wanted(recipe, gone), pictures)


def test_ridge_by_moments_is_ridge_by_all_tokens() -> None:
    rng = torch.Generator().manual_seed(0)
    h = torch.randn(200, 6, generator=rng, dtype=torch.float64)
    c = h @ torch.randn(6, 3, generator=rng, dtype=torch.float64) + 0.5
    c = c + 0.1 * torch.randn(200, 3, generator=rng, dtype=torch.float64)
    moments = Moments.empty(6, 3)
    for part in range(0, 200, 50):
        moments.add(h[part : part + 50], c[part : part + 50], 1.0)
    full = torch.cat([h, torch.ones(200, 1, dtype=torch.float64)], 1)
    lift = 0.01 * (full.T @ full).diagonal().mean() * torch.eye(7, dtype=torch.float64)
    solution = torch.linalg.solve(full.T @ full + lift, full.T @ c)
    torch.testing.assert_close(moments.solve(0.01), solution)
    residual = ((c - full @ solution) ** 2).sum() / ((c - c.mean(0)) ** 2).sum()
    assert moments.r2(solution) == pytest.approx(1 - float(residual))


def test_a_constant_push_is_baked_exactly_and_open_clip_loads_it(
    runner: Runner, recipe: Recipe, pictures: ManifestSet, tiny_house: Path, tmp_path: Path
) -> None:
    """A bias can carry ``add`` on all tokens without loss: baked and live must be the same."""
    unit = Direction(values=Tensor.of(np.random.default_rng(1).normal(size=24)))
    steer = SteerSet(edits=(Edit(site="resid_post.1", unit=unit, op=Add(alpha=2.0)),))
    mine = wanted(make(runner, "push", "tiny", steer, recipe.classifier), steer)
    loaded = load_model(tiny_house / "model")
    found = bake(loaded, mine, {}, pictures)
    write_checkpoint(tiny_house / "model", tmp_path / "baked", loaded, found)
    import open_clip

    plain, _, _ = open_clip.create_model_and_transforms(f"local-dir:{tmp_path / 'baked'}")
    original, _, _ = open_clip.create_model_and_transforms(f"local-dir:{tiny_house / 'model'}")
    pixels = torch.randn(3, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode(), sb.apply(original.eval(), mine) as steered:
        torch.testing.assert_close(
            plain.eval().encode_image(pixels), steered.encode_image(pixels), atol=2e-3, rtol=1e-3
        )
    config, base = read_config(tiny_house)
    new = serve_folder("tiny", tmp_path / "baked", config.models["tiny"], base)
    beside = compare(runner, new, mine, pictures)
    new.close()
    assert beside.changed.hits + beside.rest.hits == beside.changed.n + beside.rest.n == 16
    assert beside.baked.baked and beside.live.overall == beside.baked.overall
    with pytest.raises(InvalidRequest, match="is there already"):
        write_checkpoint(tiny_house / "model", tmp_path / "baked", loaded, found)


def test_features_are_baked_as_well_as_the_fit_says(
    recipe: Recipe, pictures: ManifestSet, tiny_house: Path
) -> None:
    loaded = load_model(tiny_house / "model")
    found = bake(loaded, recipe, {"middle": tiny_house / "middle.safetensors"}, pictures)
    (fit_,) = found.fits
    assert fit_.r2 is not None and fit_.r2 <= 1 and fit_.edits == 2
    # Two features: what is added has rank two, v w^T for each.
    ranks = torch.linalg.matrix_rank(found.added["resid_post.1"], rtol=1e-6)
    assert int(ranks) == 2


def test_blocks_behind_mend_what_the_edited_one_cannot_say(
    runner: Runner, recipe: Recipe, pictures: ManifestSet, tiny_house: Path, tmp_path: Path
) -> None:
    """The written weights are the second way: their embeddings, by open_clip alone."""
    steer = sb.scale("resid_post.0", "middle", -3.0, 3, 4, 9, 20)
    steer = SteerSet(edits=tuple(_along(edit) for edit in steer.edits))
    mine = wanted(make(runner, "far", "tiny", steer, recipe.classifier), steer)
    loaded = load_model(tiny_house / "model")
    pixels = torch.stack([loaded.pixels(p.data) for p in pictures])
    with torch.inference_mode(), sb.apply(loaded.clip, mine) as steered:
        live = steered.encode_image(pixels, normalize=True)
    away = []
    for further in (0, 2):
        found = bake(loaded, mine, {}, pictures, further)
        assert [f.site for f in found.fits] == [f"resid_post.{i}" for i in range(1 + further)]
        # A block that mends nothing on held-out pictures is tried, told, and left as it is.
        worth = {f.site for f in found.fits if f.edits or (f.r2 or 0) > 0}
        assert set(found.added) == worth
        target = tmp_path / str(further)
        write_checkpoint(tiny_house / "model", target, loaded, found)
        with torch.inference_mode():
            new = load_model(target).clip.encode_image(pixels, normalize=True)
        away.append(float((new - live).norm(dim=1).mean()))
    assert away[1] <= away[0]


def _along(edit: Edit) -> Edit:
    """A free direction in place of a feature, where it is positive: what no line can say."""
    unit = Direction(values=Tensor.of(np.random.default_rng(edit.unit.index).normal(size=24)))
    only = Condition(unit=unit, tau=0.0, per="image")
    return Edit(site=edit.site, unit=unit, op=Add(alpha=1.0), condition=only)


def test_what_cannot_be_baked_is_refused(
    recipe: Recipe, pictures: ManifestSet, tiny_house: Path
) -> None:
    unit = Direction(values=Tensor.of(np.ones(24)))
    steer = SteerSet(edits=(Edit(site="resid_pre.1", unit=unit, op=Scale(m=1)),))
    with pytest.raises(InvalidRequest, match="only edits of a block's output"):
        bake(load_model(tiny_house / "model"), wanted(recipe, steer), {}, pictures)


def invoke(*words: object) -> Any:
    return CliRunner().invoke(app, [str(w) for w in words], catch_exceptions=False)


def test_the_commands_from_a_new_recipe_to_a_report(tiny_house: Path, tmp_path: Path) -> None:
    first, second = tmp_path / "a.recipe.json", tmp_path / "b.recipe.json"
    house = ("--config", tiny_house)
    made = invoke(
        "recipe", "make", "less", "-o", first, "--features", "3,4", "--dictionary", "middle",
        "--m", "-2", "--model", "tiny", "--failing", "label=dog", *house,
    )  # fmt: skip
    assert made.exit_code == 0 and load(first).failures == {"label": "dog"}
    out, on = tmp_path / "report", ("--images", "tiny", "--split", "validation")
    ran = invoke("evidence", "run", first, *on, *house, "--out", out, "--json")
    evidence = json.loads(ran.stdout)
    assert evidence["recipe"] == "less v1" and load(first).status == "proven"
    page = (out / "report.html").read_text()
    assert "less v1" in page and "http" not in page.replace("http://www.w3.org", "")
    assert page.count("data:image/jpeg;base64,") == len(
        {x["key"] for x in evidence["best"] + evidence["worst"]}
    )
    assert json.loads((out / "evidence.json").read_text())["evidence"] == evidence
    import pyarrow.parquet as pq

    table = pq.read_table(out / "rows.parquet")
    assert table.num_rows == 16 == evidence["overall"]["n"]
    save(load(first).model_copy(update={"name": "more"}), second)
    assert "name: less -> more" in invoke("recipe", "diff", first, second).stdout
    assert "less v1: proven" in invoke("recipe", "show", first).stdout
    assert invoke("recipe", "publish", first, "--folder", tmp_path / "all").exit_code == 0
    merged = invoke(
        "recipe", "merge", "both", first, second, *on, *house, "-o", tmp_path / "c.recipe.json"
    )
    assert "together against the sum" in merged.stdout
    baked = invoke(
        "recipe", "bake", first, *on, "--report-split", "validation", "--teach", 3, *house,
        "-o", tmp_path / "new",
    )  # fmt: skip
    assert baked.exit_code == 0 and "R^2" in baked.stdout and "over 3 steps" in baked.stdout
    told = json.loads((tmp_path / "new" / "steerboard_baked.json").read_text())
    assert [lesson["steps"] for lesson in told["taught"]] == [3]
    assert (tmp_path / "new" / "open_clip_model.safetensors").is_file()
