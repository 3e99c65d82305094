"""Recipes for Emojiland's planted faults: fitted, chosen, reported on new scenes, then baked.

    python -m bench.emojiland_recipes OUT [watermark strip nurse features bad] [--no-bake]

Writes each recipe, its reports and its baked checkpoint below OUT, and prints a table. A recipe
that is in OUT already is reported on as it stands.
"""

import json
import sys
import time
from pathlib import Path

from bench.emojiland_recipes import scenes
from bench.emojiland_recipes.baking import baked, told
from bench.emojiland_recipes.features import bad, nurse_by_features
from bench.emojiland_recipes.marks import strip, watermark
from bench.emojiland_recipes.people import nurse
from bench.emojiland_recipes.workshop import Workshop
from steerboard.analysis.evidence.pictures import PictureSet
from steerboard.analysis.evidence.run import Options, run_evidence
from steerboard.cli.evidence import noted
from steerboard.dictionary.native import read
from steerboard.recipe.files import load as load_recipe
from steerboard.recipe.files import save
from steerboard.recipe.report import write_report
from steerboard.spec.evidence import Evidence

NEW = 210  # numbers of scenes that are reported on
TEXT = """
red blue green yellow white black dark light big small animal bird fish fruit food meal
vehicle wheel music tool time weather rain sky water grass sand snow night brick wood
field sea person woman man child face hand hat work school court fire star
"""
WORDS = tuple(TEXT.split())
MAKERS = {
    "watermark": watermark, "strip": strip, "nurse": nurse, "features": nurse_by_features,
    "bad": bad,
}  # fmt: skip


def one(shop: Workshop, name: str, out: Path, baking: bool) -> dict:
    """Choose, report, bake; the lines of the table."""
    path = out / f"{name}.recipe.json"
    if not path.is_file():
        save(MAKERS[name](shop), path)
    new = scenes.written(out / "scenes", "new scenes", "test", scenes.REPORTING, NEW)
    sets = {"new scenes": new, "shipped test": shop.test}
    line = {what: reported(shop, path, out / name / what.split()[0], s) for what, s in sets.items()}
    if baking and name in ("watermark", "strip", "nurse"):
        line["baked"] = baked(shop, load_recipe(path), out / name / "baked", sets)
        print(name, json.dumps(line["baked"]), flush=True)
    return line


def reported(shop: Workshop, path: Path, folder: Path, images: PictureSet) -> dict:
    """Evidence over one set, its report, and its line."""
    began, recipe = time.time(), load_recipe(path)
    files = {d: shop.base / c.path for d, c in shop.settings.dictionaries.items()}
    rows = {d: read(p).sae.W_dec.numpy() for d, p in files.items()}
    options = Options(right=100, encoded=16, vocabulary=WORDS, decoders=rows)
    evidence, table = run_evidence(shop.runner, recipe, images, options)
    noted(path, recipe, evidence)
    write_report(folder, load_recipe(path), evidence, table, images)
    line = line_of(evidence)
    print(recipe.title, images.name, f"{time.time() - began:.0f} s", json.dumps(line), flush=True)
    return line


def line_of(evidence: Evidence) -> dict:
    """What the table says of a run."""
    groups = {g.name: g for g in evidence.by_group}
    return {
        "fixed": told(evidence.failing),
        "broken, clean": told(groups["clean"].break_rate),
        "broken, all": told(evidence.right),
        "controls": {c.name: told(c.fix_rate) for c in evidence.controls},
        "net": evidence.overall.net,
        "verdict": evidence.verdict,
        "forecast": {
            d.dictionary: {f.source: round(f.spearman, 2) for f in d.forecasts}
            for d in evidence.downstream
        },
        "worst group": evidence.worst_group,
        "reasons": evidence.reasons,
    }


def main() -> None:
    out, *names = [a for a in sys.argv[1:] if not a.startswith("--")]
    Path(out).mkdir(parents=True, exist_ok=True)
    shop = Workshop()
    lines = {
        name: one(shop, name, Path(out), "--no-bake" not in sys.argv) for name in names or MAKERS
    }
    shop.runner.close()
    (Path(out) / "table.json").write_text(json.dumps(lines, indent=1) + "\n")


if __name__ == "__main__":
    main()
