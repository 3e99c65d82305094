"""A recipe baked into weights, beside the live edit."""

from collections.abc import Mapping
from pathlib import Path

from bench.emojiland_recipes import scenes
from bench.emojiland_recipes.workshop import NAME, Workshop
from steerboard.analysis.evidence.pictures import ManifestSet, PictureSet
from steerboard.model.load import load
from steerboard.recipe.bake import bake
from steerboard.recipe.baked import write_checkpoint
from steerboard.recipe.compare import compare
from steerboard.recipe.serving import serve_folder
from steerboard.recipe.teach import teach
from steerboard.spec.evidence import Share
from steerboard.spec.recipe import Recipe

SCENES = 900  # numbers of new scenes that are fitted on
MORE = {  # of those that a recipe is for: of its other pictures it changes few
    "watermark": {"watermark": 3000}, "strip": {"typographic": 12000}, "nurse": {"medical": 3000},
}  # fmt: skip
TEACH = {"watermark": 4000, "strip": 20000, "nurse": 4000}  # batches of tokens


def baked(shop: Workshop, recipe: Recipe, folder: Path, sets: Mapping[str, PictureSet]) -> dict:
    """Fit on new scenes of the validation split, compare on each of ``sets``."""
    source, loaded = shop.base / shop.settings.path, load(shop.base / shop.settings.path)
    kind = folder.parent.name
    pictures: ManifestSet = scenes.written(
        folder.parent / "scenes", "baking", "validation", scenes.BAKING, SCENES, MORE[kind]
    )
    files = {d: shop.base / c.path for d, c in shop.settings.dictionaries.items()}
    found = bake(loaded, recipe, files, pictures)
    found, taught = teach(loaded, recipe, files, list(pictures), found, TEACH[kind])
    write_checkpoint(source, folder, loaded, found)
    new = serve_folder(NAME, folder, shop.settings, shop.base)
    line: dict[str, object] = {
        "r2": {fit.site: [fit.r2, fit.r2_prefix, fit.r2_patches] for fit in found.fits},
        "gates": [gate.model_dump(mode="json") for gate in found.gates],
        "taught": [lesson.model_dump(mode="json") for lesson in taught],
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
