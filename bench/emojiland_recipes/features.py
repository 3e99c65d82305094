"""Recipes of dictionary features: the nurse once more, and one that is bad on purpose."""

import itertools

import numpy as np

from bench.emojiland_recipes.workshop import Workshop
from steerboard.analysis.evidence.statistics import auroc
from steerboard.spec.edits import SteerSet


def nurse_by_features(shop: Workshop):
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
            f"  {many} by {m}, cue {cue} above {only.tau:.2f}: fixed {fixed:.3f}"
            f" broken {broken:.3f}",
            flush=True,
        )
        tried.append((fixed - 2 * broken, steer))
    return shop.recipe(
        "doctor-not-nurse-by-features", max(tried, key=lambda t: t[0])[1], failures,
        f"The features that speak most for nurse against doctor, off where the doctor's cue"
        f" (feature {cue}) fires.",
        "contrastive attributions; condition by AUROC of doctor against nurse",
    )  # fmt: skip


def cue_of(shop: Workshop):
    """The best detector of doctors among medical pictures, and its values on doctors."""
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
