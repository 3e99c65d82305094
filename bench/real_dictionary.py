"""A dictionary for a real model on real photographs, and whether its features can be steered with.

``python -m bench.real_dictionary --model FOLDER --images FOLDER [--out FOLDER]``: trains on the
manifest's training split with ``steerboard dictionary train``, measures on its test split, then
suppresses the three features that say most for the first answer against the second, beside
controls of the same size. Prints a table; JSON beside it.
"""

import argparse
import json
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import yaml

import steerboard
from steerboard.analysis.controls import random_direction, random_features
from steerboard.analysis.faithfulness import faithfulness
from steerboard.analysis.flip import Contrast, Question, off, says
from steerboard.spec.requests import Attribute, Encode, Encoded, Margin, Predict, Prompts
from steerboard.spec.runner import Runner

CLASSES = (
    "cowboy hat",
    "jeans",
    "gown",
    "running shoe",
    "T-shirt",
    "trench coat",
    "miniskirt",
    "sweatshirt",
)
SURE = 0.5  # probability of the first answer
FEATURES = 3
DRAWS = 3  # of each control a picture
BOUNDS = {
    "explained variance": (0.95, None),
    "its mean over dimensions": (0.80, None),
    "top three off: the runner-up": (0.70, None),
    "random features of the same size": (None, 0.10),
    "random direction of the same size": (None, 0.10),
    "random features off": (None, 0.05),
    "predicted against measured, Spearman": (0.85, None),
}


@dataclass(frozen=True)
class Row:
    name: str
    value: float
    n: int
    at_least: float | None
    at_most: float | None

    @property
    def held(self) -> bool:
        low = self.at_least is None or self.value >= self.at_least
        return low and (self.at_most is None or self.value <= self.at_most)


def row(name: str, value: float, n: int) -> Row:
    return Row(name, value, n, *BOUNDS[name])


def train(options: argparse.Namespace) -> float:
    """Seconds from the start of the command to its end, harvest and report included."""
    command = [
        *(sys.executable, "-m", "steerboard.cli", "dictionary", "train"),
        *("--model", options.model, "--images", options.images, "--site", options.site),
        *("--split", "train", "--test-split", "test", "--width", "16x", "--k", "32"),
        *("--minutes", options.minutes, "--out", options.out, *options.training),
    ]
    began = time.monotonic()
    subprocess.run([str(word) for word in command], check=True)
    return time.monotonic() - began


def serve(options: argparse.Namespace) -> Runner:
    images = str(options.images.resolve())
    calibration = {"images": images, "manifest": f"{images}/manifest.jsonl", "split": "test"}
    model = {
        "path": str(options.model.resolve()),
        "dictionaries": {"trained": {"path": "dictionary.safetensors"}},
        "calibration": {**calibration, "count": 200},
    }
    path = options.out / "steerboard.yaml"
    path.write_text(yaml.safe_dump({"models": {"real": model}}))
    return steerboard.local(path)


def photographs(folder: Path) -> list[Encoded]:
    rows = map(json.loads, (folder / "manifest.jsonl").read_text().splitlines())
    return [
        Encoded(data=(folder / r["path"]).read_bytes()) for r in rows if r.get("split") == "test"
    ]


def sure(runner: Runner, q: Question, images: list[Encoded]) -> list[tuple[Encoded, int, int]]:
    """Pictures with a sure first answer; that, and the runner-up."""
    found = []
    for start in range(0, len(images), 32):
        part = tuple(images[start : start + 32])
        answers = runner.predict(Predict(model=q.model, images=part, classifier=q.classifier))
        for image, said in zip(part, answers.results(), strict=True):
            order = np.argsort(-said.probabilities)
            if said.probabilities[order[0]] > SURE:
                found.append((image, int(order[0]), int(order[1])))
    return found


def flips(runner: Runner, q: Question, images: list[tuple[Encoded, int, int]]) -> list[Row]:
    info, rng = runner.model(q.model), np.random.default_rng(0)
    turned: dict[str, list[bool]] = {name: [] for name in list(BOUNDS)[2:6]}
    for image, top, second in images:
        ask = Attribute(
            model=q.model,
            images=(image,),
            classifier=q.classifier,
            dictionary=q.dictionary,
            targets=(Margin(index=top, against=second),),
            top_k=64,
        )
        (found,) = runner.attribute(ask).one()
        contrast = Contrast(found.features, found.scores.astype(np.float64))
        chosen = contrast.for_wrong(FEATURES)
        encode = Encode(model=q.model, images=(image,), dictionary=q.dictionary)
        code = runner.encode(encode).one()
        sets = [off(q, chosen)]
        others = np.setdiff1d(np.unique(code.features), chosen)
        for _ in range(DRAWS):
            sets.append(random_features(code, q.site, q.dictionary, chosen, rng))
            sets.append(random_direction(code, info, q.site, chosen, rng))
            sets.append(off(q, rng.choice(others, FEATURES, replace=False).tolist()))
        said = says(runner, q, image, sets)
        names = list(turned)
        turned[names[0]].append(said[0] == second)
        for i, answer in enumerate(said[1:]):
            turned[names[1 + i % 3]].append(answer != top)
    return [row(name, float(np.mean(hits)), len(hits)) for name, hits in turned.items()]


def measure(options: argparse.Namespace) -> list[Row]:
    report = json.loads((options.out / "report.json").read_text())
    together, n = report["together"], report["held_out"]
    runner = serve(options)
    classifier = Prompts(prompts=CLASSES, template="a photo of a {}")
    q = Question("real", classifier, "trained", options.site)
    found = sure(runner, q, photographs(options.images))
    faithful = faithfulness(runner, q, [image for image, _, _ in found])
    return [
        row("explained variance", together["explained_variance"], n),
        row("its mean over dimensions", together["per_dimension"], n),
        *flips(runner, q, found),
        row("predicted against measured, Spearman", faithful.spearman, faithful.images),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--images", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=Path("build/real_dictionary"))
    parser.add_argument("--site", default="resid_post.8")
    parser.add_argument("--minutes", type=float, default=6.0)
    parser.add_argument("--measure-only", action="store_true")
    parser.add_argument("training", nargs="*", help="further options of dictionary train, after --")
    options = parser.parse_args()
    seconds = 0.0 if options.measure_only else train(options)
    rows = measure(options)
    for r in rows:
        bound = f">= {r.at_least}" if r.at_least is not None else f"<= {r.at_most}"
        print(f"{r.name:40} {r.value:7.4f} of {r.n:4} {bound:8} {'met' if r.held else 'short'}")
    print(f"trained in {seconds:.0f} s, harvest and report included")
    table = {"seconds": seconds, "rows": [asdict(r) for r in rows]}
    (options.out / "real_dictionary.json").write_text(json.dumps(table, indent=1) + "\n")


if __name__ == "__main__":
    main()
