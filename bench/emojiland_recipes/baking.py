"""A recipe baked into weights, beside the live edit."""

from collections.abc import Mapping
from pathlib import Path

from bench.emojiland_recipes import scenes
from bench.emojiland_recipes.workshop import NAME, Workshop
from steerboard.analysis.evidence.pictures import ManifestSet, PictureSet
from steerboard.model.load import load
from steerboard.recipe.bake import bake, worth
from steerboard.recipe.baked import write_checkpoint
from steerboard.recipe.compare import compare
from steerboard.recipe.refine import refine
from steerboard.recipe.serving import serve_folder
from steerboard.spec.evidence import Share
from steerboard.spec.recipe import Recipe

SCENES = 300  # numbers of new scenes that are fitted on
PEOPLE = 1000  # more medical ones: of these a recipe changes few
REFINE = 400  # batches by which gradients refine what explains less than half of the change


def baked(shop: Workshop, recipe: Recipe, folder: Path, sets: Mapping[str, PictureSet]) -> dict:
    """Fit on new scenes of the validation split, compare on each of ``sets``."""
    source, loaded = shop.base / shop.settings.path, load(shop.base / shop.settings.path)
    own = folder.parent.parent / "scenes-to-bake"
    pictures: ManifestSet = scenes.written(
        own, "baking", "validation", scenes.BAKING, SCENES, PEOPLE
    )
    files = {d: shop.base / c.path for d, c in shop.settings.dictionaries.items()}
    found = bake(loaded, recipe, files, pictures, len(loaded.tower.blocks))
    taught = None
    if worth(found) < 1 / 2:
        found, taught = refine(loaded, recipe, files, list(pictures), found, REFINE)
    write_checkpoint(source, folder, loaded, found)
    new = serve_folder(NAME, folder, shop.settings, shop.base)
    line: dict[str, object] = {
        "r2": {fit.site: [fit.r2, fit.r2_prefix, fit.r2_patches] for fit in found.fits},
        "gates": [gate.model_dump(mode="json") for gate in found.gates],
        "refined": taught.model_dump(mode="json") if taught else None,
    }
    for name, images in sets.items():
        beside = compare(shop.runner, new, recipe, images)
        groups = {g.name: g for g in beside.baked.by_group}
        line[name] = {
            "same where changed": told(beside.changed), "same elsewhere": told(beside.rest),
            "fixed": told(beside.baked.failing), "broken, clean": told(groups["clean"].break_rate),
            "broken, all": told(beside.baked.right), "verdict": beside.baked.verdict,
        }  # fmt: skip
    new.close()
    return line


def told(share: Share) -> str:
    """Such as 0.71 [0.60, 0.80] of 92."""
    return f"{share.value:.3f} [{share.low:.3f}, {share.high:.3f}] of {share.n}"
