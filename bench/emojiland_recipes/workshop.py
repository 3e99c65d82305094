"""What recipes are made with: the Runner, the shipped splits, and what is said before any edit."""

from functools import cached_property
from pathlib import Path

import numpy as np

import steerboard as sb
from steerboard.analysis.evidence.answers import Task, ask, chunks, readout
from steerboard.analysis.evidence.pictures import ManifestSet, encoded, matches
from steerboard.inprocess.config import read_config
from steerboard.model.load import load
from steerboard.recipe.making import chosen, make
from steerboard.spec.edits import Condition, Edit, Feature, Scale, SteerSet
from steerboard.spec.requests import Encode, Margin

CONFIG = Path("demo")
NAME, DICTIONARY = "emojiland", "middle"


class Workshop:
    """The Runner, the two splits, and what the validation split says before any edit."""

    def __init__(self) -> None:
        self.runner = sb.local(CONFIG)
        self.info = self.runner.model(NAME)
        self.site = self.info.dictionary(DICTIONARY).site
        self.classifier = sb.Prompts(prompts=self.info.prompts, template=self.info.template)
        config, self.base = read_config(CONFIG)
        self.settings = config.models[NAME]
        self.loaded = load(self.base / self.settings.path)
        images = self.base / config.image_sets[NAME].images
        manifest = self.base / config.image_sets[NAME].manifest
        self.validation, self.test = (
            ManifestSet(NAME, images, manifest, split) for split in ("validation", "test")
        )
        self.head = readout(self.runner, self.info, self.classifier)

    @cached_property
    def said(self) -> dict[str, str]:
        """What is said of each picture of the validation split."""
        return dict(self.answers(list(self.validation), SteerSet()))

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

    def recipe(self, name, steer, failures, summary, method, chosen_on=()):
        """A recipe chosen on the shipped validation split, or on what is named."""
        own = chosen_on or (chosen(NAME, "validation", list(self.validation)),)
        return make(
            self.runner, name, NAME, steer, self.classifier, summary=summary, failures=failures,
            chosen_on=own, method=method,
        )  # fmt: skip
