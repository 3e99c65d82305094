"""Recipes for Emojiland's planted faults: chosen on validation, reported on test, then baked.

    .venv/bin/python -m bench.emojiland_recipes OUT [watermark strip nurse bad] [--no-bake]

Writes each recipe, its report and its baked checkpoint below OUT, and prints one table.
"""

import json
import sys
import time
from pathlib import Path

import numpy as np
import torch

import steerboard as sb
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
from steerboard.spec.edits import Add, Condition, Direction, Edit, Feature, Mask, Scale, SteerSet
from steerboard.spec.requests import Encode, Margin
from steerboard.spec.tensor import Tensor

CONFIG = Path("demo")
NAME, DICTIONARY = "emojiland", "middle"
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


def midway(low_of, high_of):
    """A threshold between the 98th percentile of one and the 3rd of the other."""
    return (np.quantile(low_of, 0.99) + np.quantile(high_of, 0.03)) / 2


def watermark(shop: Workshop):
    """One feature off and half of what the mark takes from its tokens put back, where it fires."""
    failures = {"group": "watermark"}
    failing, plain = shop.failing(failures), shop.right(group="clean")[::3]
    mark = int(shop.contrast(failing).argmax())
    tau = midway(*(shop.activations(part)[:, mark] for part in (plain, failing)))
    only = shop.only(mark, tau)
    change = difference_of_means(shop, "watermark")
    n_bar, prefix = shop.info.site(shop.site).n_bar, shop.info.prefix_tokens
    edits = [shop.edit(mark, -1.0, only)]
    patches = prefix + np.argsort(-np.linalg.norm(change[prefix:], axis=1))[:4]
    for token in (0, *sorted(patches.tolist())):
        cell = divmod(token - prefix, shop.info.grid[1])
        mask = Mask(kind="prefix") if token < prefix else Mask(kind="patches", cells=(cell,))
        unit = Direction(values=Tensor.of(change[token]))
        part = 0.5 if token < prefix else 1.0  # of 0, 0.25, 0.5 and 1 the best on validation
        op = Add(alpha=part * float(np.linalg.norm(change[token])) / n_bar)
        edits.append(Edit(site=shop.site, unit=unit, op=op, mask=mask, condition=only))
    return shop.recipe(
        "no-watermark", SteerSet(edits=tuple(edits)), failures,
        "Where the watermark's feature fires: switch it off, put the difference of means"
        " between clean and marked pictures back at the four marked patches, half of it at the"
        " class token.",
        "largest contrastive attribution; difference of means",
    )  # fmt: skip


def difference_of_means(shop: Workshop, group: str):
    """Clean twin minus attacked picture at the site, mean over validation, [t, d]."""
    loaded = load(shop.base / shop.settings.path)
    pairs = [p for p in shop.validation if p.attributes.get("group") == group]
    twins = {p.key: p for p in shop.validation}
    total = 0.0
    found: list[torch.Tensor] = []

    def visit(site, x):
        if site == shop.site:
            found.append(x)
        return x

    for part in chunks(pairs, 32):
        both = [p.data for p in part] + [twins[p.attributes["twin"]].data for p in part]
        with torch.inference_mode():
            pixels = torch.stack([loaded.pixels(data) for data in both])
            loaded.tower.run(loaded.tower.start(pixels), 0, visit)
        x = found.pop()
        total = total + (x[len(part) :] - x[: len(part)]).sum(0)
    return (total / len(pairs)).numpy()


def strip(shop: Workshop):
    """What speaks for written words and is rare without a strip, off; the truth's side doubled."""
    failures = {"group": "typographic"}
    failing, plain = shop.failing(failures), shop.right(group="clean")[::3]
    scores = shop.contrast(failing[::2])
    with_, without = (shop.activations(part).mean(0) for part in (failing, plain))
    off = [f for f in np.argsort(-scores) if scores[f] > 0 and with_[f] > 3 * without[f]][:80]
    lower = SteerSet(edits=tuple(shop.edit(f, -1.0) for f in off))
    then = shop.contrast(failing[::2], lower)
    up = [f for f in np.argsort(then) if then[f] < 0 and f not in off][:40]
    tried = {}
    for n in (0, 10, 40):
        steer = SteerSet(edits=(*lower.edits, *(shop.edit(f, 1.0) for f in up[:n])))
        tried[n] = shop.share(failing, steer), 1 - shop.share(plain, steer), steer
        print("  strip: doubled", n, "fixed, broken", tried[n][:2], flush=True)
    best = max(tried.values(), key=lambda found: found[0] - 10 * found[1])[2]
    return shop.recipe(
        "no-strip", best, failures,
        "Features that speak for written words, rare on pictures without a strip, off;"
        " those that then speak for the true class doubled.",
        "contrastive attributions, three times rarer on clean pictures",
    )  # fmt: skip


def nurse(shop: Workshop):
    """What speaks for nurse against doctor, off where the doctor's cue fires."""
    failures = {"group": "medical", "label": "doctor", "gender": "woman"}
    failing = shop.failing(failures)
    doctors, nurses = shop.right(group="medical", label="doctor"), shop.right(label="nurse")
    scores = shop.contrast(failing)
    off = np.argsort(-scores)[:10]
    cue, values = cue_of(shop)
    tried = []
    for share in (0.10, 0.15, 0.20, 0.25):
        tau = float(np.quantile(values, share))
        steer = SteerSet(edits=tuple(shop.edit(f, -1.0, shop.only(cue, tau)) for f in off))
        fixed, broken = shop.share(failing, steer), 1 - shop.share(nurses + doctors, steer)
        print(
            f"  nurse: cue {cue} above {tau:.2f}: fixed {fixed:.3f} broken {broken:.3f}", flush=True
        )
        tried.append((fixed - 2 * broken, steer))
    return shop.recipe(
        "doctor-not-nurse", max(tried, key=lambda t: t[0])[1], failures,
        f"The ten features that speak most for nurse against doctor, off where the doctor's cue"
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
    options = Options(right=150, encoded=32, vocabulary=tuple(WORDS), decoders=rows)
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
    found = bake(loaded, recipe, files, list(shop.validation)[::3])
    write_checkpoint(source, folder, loaded, found)
    new = serve_folder(NAME, folder, shop.settings, shop.base)
    beside = compare(shop.runner, new, recipe, shop.test)
    new.close()
    (fit,) = found.fits
    groups = {g.name: g for g in beside.baked.by_group}
    return {
        "r2": fit.r2, "r2_prefix": fit.r2_prefix, "r2_patches": fit.r2_patches,
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
