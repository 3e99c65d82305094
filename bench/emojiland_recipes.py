"""Recipes for Emojiland's planted faults: chosen on validation, reported on test, then baked.

    .venv/bin/python -m bench.emojiland_recipes OUT [watermark strip nurse bad] [--no-bake]

Writes each recipe, its report and its baked checkpoint below OUT, and prints one table.
"""

import itertools
import json
import sys
import time
from pathlib import Path

import numpy as np
import torch

import steerboard as sb
from demo.emojiland.draw import encode
from demo.emojiland.scenes import attacked
from steerboard.analysis.evidence.answers import Task, ask, chunks, readout
from steerboard.analysis.evidence.pictures import ManifestSet, encoded, matches
from steerboard.analysis.evidence.run import Options, run_evidence
from steerboard.analysis.flip import Question
from steerboard.cli.evidence import noted
from steerboard.dictionary.native import read
from steerboard.inprocess.config import read_config
from steerboard.model.load import load
from steerboard.recipe.bake import bake, write_checkpoint
from steerboard.recipe.compare import compare
from steerboard.recipe.files import load as load_recipe
from steerboard.recipe.files import save
from steerboard.recipe.making import chosen, make
from steerboard.recipe.report import write_report
from steerboard.recipe.serving import serve_folder
from steerboard.spec.edits import (
    Add,
    Condition,
    Direction,
    Edit,
    Feature,
    Mask,
    Scale,
    Set,
    SteerSet,
)
from steerboard.spec.requests import Encode, Margin
from steerboard.spec.tensor import Tensor

CONFIG = Path("demo")
NAME, DICTIONARY = "emojiland", "middle"
EARLY = 0  # the block behind which marks still lie where they were drawn
FITTING, PAIRS = 1000, 300  # numbers of new scenes, and how many of each kind
# Of the difference of means that is put back. All of it mends more, but so does a random change
# of its size, by spoiling the mark: on test .38 of the pictures, on validation at 0.6 about .11.
BACK = 0.6
DIRECTIONS = 4  # that are set under a strip
TEXT = """
red blue green yellow white black dark light big small animal bird fish fruit food meal
vehicle wheel music tool time weather rain sky water grass sand snow night brick wood
field sea person woman man child face hand hat work school court fire star
"""
WORDS = TEXT.split()


class Workshop:
    """The Runner, the two splits, and what the validation split says before any edit."""

    def __init__(self) -> None:
        self.runner = sb.local(CONFIG)
        self.info = self.runner.model(NAME)
        self.site = self.info.dictionary(DICTIONARY).site
        self.classifier = sb.Prompts(prompts=self.info.prompts, template=self.info.template)
        self.question = Question(NAME, self.classifier, DICTIONARY, self.site)
        config, self.base = read_config(CONFIG)
        self.settings = config.models[NAME]
        self.loaded = load(self.base / self.settings.path)
        images = self.base / config.image_sets[NAME].images
        manifest = self.base / config.image_sets[NAME].manifest
        self.validation, self.test = (
            ManifestSet(NAME, images, manifest, split) for split in ("validation", "test")
        )
        self.head = readout(self.runner, self.info, self.classifier)
        self.said = dict(self.answers(list(self.validation), SteerSet()))

    def answers(self, pictures, steer):
        """(key, predicted class) of each."""
        for answered in ask(
            self.runner, self.info, (Task(part, (steer,)) for part in chunks(pictures, 16))
        ):
            top = self.head.logits(answered.embeddings[:, 1]).argmax(-1)
            for picture, index in zip(answered.pictures, top.tolist(), strict=True):
                yield picture.key, self.head.names[index]

    def failing(self, wanted):
        """Wrong ones of the group whose clean twin, if there is one, is right."""
        labels = {p.key: p.label for p in self.validation}
        return [
            p
            for p in self.validation
            if matches(p, wanted)
            and self.said[p.key] != p.label
            and (not (t := p.attributes.get("twin")) or self.said[t] == labels[t])
        ]

    def right(self, **wanted):
        return [p for p in self.validation if matches(p, wanted) and self.said[p.key] == p.label]

    def share(self, pictures, steer):
        """How many are right under ``steer``."""
        labels = {p.key: p.label for p in pictures}
        return float(np.mean([labels[k] == s for k, s in self.answers(pictures, steer)]))

    def contrast(self, pictures, steer=None):
        """Mean R [f] of the margin: what was said (or the rival then) minus the truth."""
        total = np.zeros(self.info.dictionary(DICTIONARY).size)
        for p in pictures:
            true = self.head.names.index(p.label)
            said = None if steer else self.head.names.index(self.said[p.key])
            target = (
                Margin(against=true) if said in (None, true) else Margin(index=said, against=true)
            )
            request = sb.Attribute(
                model=NAME, images=(encoded(p),), classifier=self.classifier, top_k=512,
                dictionary=DICTIONARY, targets=(target,), steer=steer or SteerSet(),
            )  # fmt: skip
            (found,) = self.runner.attribute(request).one()
            np.add.at(total, found.features, found.scores)
        return total / len(pictures)

    def activations(self, pictures):
        """Largest activation over tokens [n, f]."""
        rows = []
        for part in chunks(pictures, 32):
            images = tuple(encoded(p) for p in part)
            codes = self.runner.encode(Encode(model=NAME, images=images, dictionary=DICTIONARY))
            rows += [c.dense().max(0) for c in codes.results()]
        return np.array(rows)

    def edit(self, feature, m, only=None):
        unit = Feature(dictionary=DICTIONARY, index=int(feature))
        return Edit(site=self.site, unit=unit, op=Scale(m=m), condition=only)

    def only(self, feature, tau):
        unit = Feature(dictionary=DICTIONARY, index=int(feature))
        return Condition(unit=unit, when="above", tau=float(tau), per="image")

    def recipe(self, name, steer, failures, summary, method):
        return make(
            self.runner, name, NAME, steer, self.classifier, summary=summary, failures=failures,
            chosen_on=(chosen(NAME, "validation", list(self.validation)),), method=method,
        )  # fmt: skip


def drawn(attack: str, count: int) -> list:
    """(attacked, clean) pairs of new scenes, encoded; seeds of the validation split not shipped."""
    found = []
    for number in range(FITTING, FITTING + count):
        scene, twin, _ = attacked("validation", attack, number)
        found.append((encode(scene), encode(twin)))
    return found


@torch.inference_mode()
def residual(shop: Workshop, pictures: list) -> torch.Tensor:
    """Output of block ``EARLY``, [n, t, d]."""
    loaded, parts = shop.loaded, []
    for start in range(0, len(pictures), 64):
        x = loaded.tower.start(
            torch.stack([loaded.pixels(data) for data in pictures[start : start + 64]])
        )
        for index in range(EARLY + 1):
            x = loaded.tower.block(x, index)
        parts.append(x)
    return torch.cat(parts)


def pairs(shop: Workshop, attack: str):
    """Residuals of attacked pictures and of their twins, and how far each patch moved [n, p]."""
    found = drawn(attack, PAIRS)
    one, two = (residual(shop, [pair[i] for pair in found]) for i in (0, 1))
    return one, two, (one - two).norm(dim=-1)[:, shop.info.prefix_tokens :]


def detector(marked: torch.Tensor, plain: torch.Tensor) -> torch.Tensor:
    """The direction [d] that tells marked tokens from plain ones: ridge regression of which."""
    x = torch.cat([marked, plain]).double()
    y = torch.cat([torch.ones(len(marked)), torch.zeros(len(plain))]).double()
    weight = torch.where(y > 0, 1 / len(marked), 1 / len(plain))[:, None]
    x = torch.cat([x, torch.ones(len(x), 1)], dim=1)
    gram = x.T @ (weight * x)
    lift = 1e-4 * gram.diagonal().mean() * torch.eye(len(gram))
    found = torch.linalg.solve(gram + lift, x.T @ (weight[:, 0] * y))[:-1]
    return (found / found.norm()).float()


def cells(shop: Workshop, patches) -> Mask:
    """A mask of patches by their number."""
    return Mask(kind="patches", cells=tuple(divmod(int(p), shop.info.grid[1]) for p in patches))


def watermark(shop: Workshop):
    """At the patches that the mark covers: back to what is there without it, where it is seen."""
    one, two, moved = pairs(shop, "watermark")
    prefix, site = shop.info.prefix_tokens, f"resid_post.{EARLY}"
    patches = moved.mean(0).argsort(descending=True)[:4].sort().values
    marked = one[:, prefix:][:, patches].flatten(0, 1)
    seen = detector(marked, two[:, prefix:].flatten(0, 1))
    low = (two[:, prefix:][:, patches] @ seen).quantile(0.999)
    only = Condition(
        unit=Direction(values=Tensor.of(seen)), per="token",
        tau=float((low + (marked @ seen).quantile(0.02)) / 2),
    )  # fmt: skip
    n_bar, edits = shop.info.site(site).n_bar, []
    for patch in patches.tolist():
        back = (two - one)[:, prefix + patch].mean(0)
        op = Add(alpha=BACK * float(back.norm()) / n_bar)
        edits.append(
            Edit(site=site, unit=Direction(values=Tensor.of(back)), op=op,
                 mask=cells(shop, [patch]), condition=only)
        )  # fmt: skip
    return shop.recipe(
        "no-watermark", SteerSet(edits=tuple(edits)), {"group": "watermark"},
        "At the four patches that a watermark covers, where one is seen: six tenths of the"
        " mean difference between clean and marked pictures are added.",
        "difference of means; a linear detector of marked tokens",
    )  # fmt: skip


def strip(shop: Workshop):
    """Under a strip of words, where one is seen: what strips move most is set to its clean mean."""
    one, two, moved = pairs(shop, "typographic")
    columns = shop.info.grid[1]
    bottom = range(moved.shape[1] - 2 * columns, moved.shape[1])
    sides = {"top": range(2 * columns), "bottom": bottom}
    above = moved[:, list(sides["top"])].mean(1) > moved[:, list(sides["bottom"])].mean(1)
    tried = {}
    for share in (0.01, 0.02):
        edits = []
        for side, where in sides.items():
            mine = above if side == "top" else ~above
            edits += covered_edits(shop, one, two, moved, mine, list(where), share)
        steer = SteerSet(edits=tuple(edits))
        failing, plain = shop.failing({"group": "typographic"}), shop.right(group="clean")[::3]
        tried[share] = shop.share(failing, steer), 1 - shop.share(plain, steer), steer
        print("  strip: seen in", share, "of clean: fixed, broken", tried[share][:2], flush=True)
    best = max(tried.values(), key=lambda found: found[0] - 10 * found[1])[2]
    return shop.recipe(
        "no-strip", best, {"group": "typographic"},
        "Where a strip of words is seen at the top or the bottom: the directions that strips move"
        " most are set, under it, to what they are without one.",
        "principal directions of the change; linear detectors of covered tokens, one a side",
    )  # fmt: skip


def covered_edits(shop, one, two, moved, mine, where, share) -> list:
    """The edits for strips on one side; ``mine`` are the pairs whose strip is there."""
    prefix, site = shop.info.prefix_tokens, f"resid_post.{EARLY}"
    tokens = [prefix + p for p in where]
    marked, clean = one[mine][:, tokens], two[:, prefix:]
    plain = torch.cat([clean.flatten(0, 1), one[~mine][:, prefix:].flatten(0, 1)])
    hit = moved[mine][:, where] > 0.35 * shop.info.site(site).n_bar
    seen = detector(marked[hit], plain)
    peaks = torch.cat([(clean @ seen).amax(1), (one[~mine][:, prefix:] @ seen).amax(1)])
    only = Condition(
        unit=Direction(values=Tensor.of(seen)), per="image", tau=float(peaks.quantile(1 - share))
    )
    change = (marked - two[mine][:, tokens]).flatten(0, 1)
    rows = torch.linalg.svd(change, full_matrices=False).Vh[:DIRECTIONS]
    values = rows @ two[:, tokens].flatten(0, 1).mean(0)
    return [
        Edit(site=site, unit=Direction(values=Tensor.of(row)), condition=only,
             op=Set(value=float(value), everywhere=True), mask=cells(shop, where))
        for row, value in zip(rows, values, strict=True)
    ]  # fmt: skip


def nurse(shop: Workshop):
    """What speaks for nurse against doctor, off where the doctor's cue fires."""
    failures = {"group": "medical", "label": "doctor", "gender": "woman"}
    failing = shop.failing(failures)
    doctors, nurses = shop.right(group="medical", label="doctor"), shop.right(label="nurse")
    scores = shop.contrast(failing)
    ranked = np.argsort(-scores)
    cue, values = cue_of(shop)
    tried = []
    for share, many, m in itertools.product((0.05, 0.10, 0.15), (10, 16), (-1.0, -1.5)):
        only = shop.only(cue, float(np.quantile(values, share)))
        steer = SteerSet(edits=tuple(shop.edit(f, m, only) for f in ranked[:many]))
        fixed, broken = shop.share(failing, steer), 1 - shop.share(nurses + doctors, steer)
        print(
            f"  nurse: {many} by {m}, cue {cue} above {only.tau:.2f}: fixed {fixed:.3f}"
            f" broken {broken:.3f}",
            flush=True,
        )
        tried.append((fixed - 2 * broken, steer))
    return shop.recipe(
        "doctor-not-nurse", max(tried, key=lambda t: t[0])[1], failures,
        f"The features that speak most for nurse against doctor, off where the doctor's cue"
        f" (feature {cue}) fires.",
        "contrastive attributions; condition by AUROC of doctor against nurse",
    )  # fmt: skip


def cue_of(shop: Workshop):
    """The best detector of doctors among medical pictures, and its values on doctors."""
    from steerboard.analysis.evidence.statistics import auroc

    people = [p for p in shop.validation if p.attributes.get("group") == "medical"]
    table = shop.activations(people)
    doctor = np.array([p.label == "doctor" for p in people])
    often = np.flatnonzero((table[doctor] > 0).mean(0) > 0.5)
    cue = max(often, key=lambda f: auroc(table[:, f], doctor))
    return int(cue), table[doctor, cue]


def bad(shop: Workshop):
    """Deliberately harmful: what many classes are recognised by, off."""
    plain = shop.right(group="clean")[::5]
    scores = shop.contrast(plain)  # of the rival against the truth: the most negative hold it up
    off = np.argsort(scores)[:12]
    steer = SteerSet(edits=tuple(shop.edit(f, -1.0) for f in off))
    return shop.recipe(
        "bad-on-purpose", steer, {"group": "watermark"},
        "Switches off twelve features that many classes are recognised by.", "on purpose",
    )  # fmt: skip


MAKERS = {"watermark": watermark, "strip": strip, "nurse": nurse, "bad": bad}


def one(shop: Workshop, name: str, out: Path, baking: bool) -> dict:
    """Choose, report, bake; the line of the table."""
    began = time.time()
    path = out / f"{name}.recipe.json"
    recipe = MAKERS[name](shop)
    save(recipe, path)
    files = {d: shop.base / c.path for d, c in shop.settings.dictionaries.items()}
    rows = {d: read(p).sae.W_dec.numpy() for d, p in files.items()}
    options = Options(right=100, encoded=16, vocabulary=tuple(WORDS), decoders=rows)
    evidence, table = run_evidence(shop.runner, recipe, shop.test, options)
    noted(path, recipe, evidence)
    write_report(out / name, load_recipe(path), evidence, table, shop.test)
    groups = {g.name: g for g in evidence.by_group}
    line = {
        "recipe": recipe.title,
        "edits": len(recipe.steer.edits),
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
    print(f"{name}: evidence after {time.time() - began:.0f} s", json.dumps(line), flush=True)
    if baking and name != "bad":
        line["baked"] = baked(shop, recipe, files, out / name / "baked")
    print(name, f"{time.time() - began:.0f} s", json.dumps(line.get("baked", {})), flush=True)
    return line


def baked(shop: Workshop, recipe, files, folder: Path) -> dict:
    """Fit on validation, compare on test."""
    source = shop.base / shop.settings.path
    loaded = load(source)
    found = bake(loaded, recipe, files, list(shop.validation)[::2], len(loaded.tower.blocks))
    write_checkpoint(source, folder, loaded, found)
    new = serve_folder(NAME, folder, shop.settings, shop.base)
    beside = compare(shop.runner, new, recipe, shop.test)
    new.close()
    groups = {g.name: g for g in beside.baked.by_group}
    return {
        "r2": {fit.site: [fit.r2, fit.r2_prefix, fit.r2_patches] for fit in found.fits},
        "same where changed": told(beside.changed), "same elsewhere": told(beside.rest),
        "fixed": told(beside.baked.failing), "broken, clean": told(groups["clean"].break_rate),
        "broken, all": told(beside.baked.right), "verdict": beside.baked.verdict,
    }  # fmt: skip


def told(share) -> str:
    """Such as 0.71 [0.60, 0.80] of 92."""
    return f"{share.value:.3f} [{share.low:.3f}, {share.high:.3f}] of {share.n}"


def main() -> None:
    out, *names = [a for a in sys.argv[1:] if not a.startswith("--")]
    shop = Workshop()
    lines = {
        name: one(shop, name, Path(out), "--no-bake" not in sys.argv) for name in names or MAKERS
    }
    shop.runner.close()
    (Path(out) / "table.json").write_text(json.dumps(lines, indent=1) + "\n")


if __name__ == "__main__":
    main()
