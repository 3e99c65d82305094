"""Whether a catalogue says what is so, over the demo's pictures: statistics, labels, searches.

    python -m bench.catalogue_answers --pictures 2000

*Correctness*: four pictures in five are shipped ones, the others are drawn anew; the build's own
answers of the model also go through a plain computation in memory that keeps every response of
every feature (scikit-learn for precision and AUROC). Prints the largest differences. *Labels*: of
how many objects the best detector bears the name, in each shipped catalogue. *Searches*: of how
many of the tests' queries the right feature is among the first five. ``--pictures 0``: these alone.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.metrics import average_precision_score, roc_auc_score

from bench.catalogue_build import Held
from bench.house import DEMO
from demo.emojiland.draw import encode
from demo.emojiland.scenes import training_scene
from steerboard.catalogue.build import Plan, build
from steerboard.catalogue.file import Catalogue
from steerboard.catalogue.observe import facts
from steerboard.images.image_set import ImageSet, open_images
from steerboard.images.picture import Picture
from steerboard.inprocess.runner import LocalRunner, open_local
from steerboard.spec.digest import image_digest
from tests.catalogue.test_on_emojiland import QUERIES, best_of_each, missed

FIRST_SEED, DRAWN = 7_000_000, 0.2  # scenes that nothing was trained on; their share
BOUND = 1e-6


class Overheard:
    """The runner, whose answers are kept on the way."""

    def __init__(self, runner: LocalRunner) -> None:
        self._runner, self.answers = runner, dict[int, Any]()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._runner, name)

    def stream(self, questions: Iterable[Any]) -> Iterator[tuple[int, Any]]:
        for number, answer in self._runner.stream(questions):
            self.answers[number] = answer
            yield number, answer


def pictures(count: int) -> list[Picture]:
    drawn = round(DRAWN * count)
    source = open_images(str(DEMO / "images" / "manifest.jsonl"))
    shipped = list(ImageSet(source, decode=False))[: count - drawn]
    scenes = (training_scene(FIRST_SEED + i) for i in range(drawn))
    new = ((s, encode(s)) for s in scenes)
    return [
        *shipped,
        *(Picture(str(s.seed), d, image_digest(d), s.label, attributes={"background": s.background})
          for s, d in new),
    ]  # fmt: skip


def plainly(codes: list[Any]) -> np.ndarray:
    """Responses ``[picture, feature]``, float64."""
    return np.stack([np.abs(code.dense()).max(0) for code in codes]).astype(np.float64)


def differences(catalogue: Catalogue, some: list[Picture], overheard: Overheard) -> dict[str, Any]:
    numbers = sorted(overheard.answers)
    codes = [item for n in numbers for item in overheard.answers[n].items]
    a, x = plainly(codes), np.stack([code.embedding for code in codes]).astype(np.float64)
    fired, cards = a > 0, catalogue.cards(np.flatnonzero((a > 0).any(0)), 12)
    place = {p.sha256: i for i, p in enumerate(some)}
    classes = [set(facts(p)) for p in some]
    edges = [2.0 ** (k // 2 - 16) * (1.5 if k % 2 else 1) for k in range(65)]
    worst: dict[str, float] = {}

    def seen(name: str, told: float, so: float, scale: float = 1.0) -> None:
        worst[name] = float(max(worst.get(name, 0.0), abs(told - so) / scale))

    members: dict[str, np.ndarray] = {}
    for card in cards:
        f, own = card.feature, a[:, card.feature]
        seen("firing rate", card.firing_rate, fired[:, f].mean())
        mean = own.sum() / fired[:, f].sum()
        seen("mean (relative)", card.mean or 0.0, mean, mean)
        seen("maximum", card.maximum, own.max())
        values = np.clip(own[own > 0], edges[0], edges[-1] * 0.999)
        counts = np.histogram(values, edges)[0]
        seen("histogram", float(np.abs(counts - card.histogram).max()), 0.0)
        top = x[[place[r.image] for r in card.references]]
        if len(top) > 1:
            pairs = (top @ top.T)[np.triu_indices(len(top), 1)]
            seen("clarity", card.clarity or 0.0, pairs.mean())
        for c in card.classes:
            if c.name not in members:
                members[c.name] = np.array([c.name in held for held in classes])
            member = members[c.name]
            seen("average precision", c.ap, average_precision_score(member, own))
            seen("AUROC", c.auroc, roc_auc_score(member, own))
            seen("lift (relative)", c.lift, member[own > 0].mean() / member.mean(), max(c.lift, 1))
        for near in card.coactive:
            both, either = (
                fired[:, f] & fired[:, near.feature],
                fired[:, f] | fired[:, near.feature],
            )
            seen("overlap", near.value, both.sum() / either.sum())
    return {"pictures": len(some), "features": len(cards), "missing": len(cards) - len(catalogue),
            "largest_difference": worst, "met": bool(max(worst.values()) <= BOUND)}  # fmt: skip


def correctness(runner: LocalRunner, count: int) -> dict[str, Any]:
    some, overheard, began = pictures(count), Overheard(runner), time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        place = str(Path(folder) / "last.parquet")
        plan = Plan("emojiland", "last")
        build(overheard, ImageSet(Held(some), decode=False), plan, place, f"{folder}/work")
        found = differences(Catalogue(place), some, overheard)
    return found | {"seconds": round(time.perf_counter() - began, 1)}


def labels(name: str) -> dict[str, Any]:
    best = best_of_each(Catalogue(str(DEMO / "catalogue" / f"{name}.parquet")))
    named = [name for name, (_, label) in best.items() if label == name]
    rest = {name: best[name] for name in sorted(set(best) - set(named))}
    return {
        "named": len(named),
        "of": len(best),
        "others": rest,
        "met": len(named) >= 0.8 * len(best),
    }


def searches(runner: LocalRunner) -> dict[str, Any]:
    wrong = missed(runner)
    right = len(QUERIES) - len(wrong)
    return {
        "right": right,
        "of": len(QUERIES),
        "missed": wrong,
        "met": right >= 0.8 * len(QUERIES),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pictures", type=int, default=2000)
    asked = parser.parse_args()
    runner = open_local(DEMO, "")
    print(json.dumps({f"labels, {n}": labels(n) for n in ("middle", "last")}), flush=True)
    print(json.dumps({"searches": searches(runner)}), flush=True)
    if asked.pictures:
        print(json.dumps({"correctness": correctness(runner, asked.pictures)}))
    runner.close()


if __name__ == "__main__":
    main()
