"""A dictionary for a real model on real photographs, and whether its features can be steered with.

``python -m bench.real_dictionary --model FOLDER --images FOLDER [--out FOLDER]``: trains on the
manifest's training split with ``steerboard dictionary train``, measures on its test split, then
suppresses the three features that say most for the first answer against the second, beside
controls of the same size: the norm of the change over all tokens for random features, the norm at
each token for a random direction, both exact by the dictionary's own rows. Edit and controls are
counted alike, where the answer turns to the runner-up; turns to anything else stand beside it.
Prints a table, and the features that decided most often, which ``bench.feature_sheet`` shows; JSON
beside it.
"""

import argparse
import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import yaml

import steerboard
from steerboard.analysis.faithfulness import faithfulness
from steerboard.analysis.flip import Contrast, Question, off, says
from steerboard.dictionary.formats import read
from steerboard.spec.answers import Code
from steerboard.spec.capabilities import ModelInfo
from steerboard.spec.edits import MAX_SCALE, Add, Direction, Edit, Mask, SteerSet, scale
from steerboard.spec.requests import Attribute, Encode, Encoded, Margin, Predict, Prompts
from steerboard.spec.runner import Runner
from steerboard.spec.tensor import Tensor

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
NAMED = 12  # features that decided most often
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
    elsewhere: float = 0.0  # share that turned to yet another class

    @property
    def held(self) -> bool:
        low = self.at_least is None or self.value >= self.at_least
        return low and (self.at_most is None or self.value <= self.at_most)


def row(name: str, value: float, n: int, elsewhere: float = 0.0) -> Row:
    return Row(name, value, n, *BOUNDS[name], elsewhere)


@dataclass(frozen=True, eq=False)
class Controls:
    """Changes of the same size as switching ``chosen`` off in one picture.

    ``rows [f, d]`` are the dictionary's: what a unit of each feature adds.
    """

    info: ModelInfo
    q: Question
    code: Code
    rows: np.ndarray
    chosen: tuple[int, ...]

    def sizes(self, features: Sequence[int]) -> np.ndarray:
        """Norm at each token ``[t]`` of switching ``features`` off."""
        held = np.isin(self.code.features, np.asarray(features))
        change = np.zeros((self.code.shape[0], self.rows.shape[1]))
        moved = self.code.values[held, None] * self.rows[self.code.features[held]]
        np.add.at(change, self.code.tokens[held], moved)
        return np.asarray(np.linalg.norm(change, axis=1))

    def drawn(self, rng: np.random.Generator) -> list[int]:
        """As many other active features."""
        others = np.setdiff1d(np.unique(self.code.features), self.chosen)
        found: list[int] = rng.choice(others, len(self.chosen), replace=False).tolist()
        return found

    def features(self, drawn: list[int]) -> SteerSet:
        """These turned down by one m, so that the whole change has the chosen ones' norm."""
        m = np.linalg.norm(self.sizes(self.chosen)) / np.linalg.norm(self.sizes(drawn))
        return scale(self.q.site, self.q.dictionary, -min(float(m), MAX_SCALE), *drawn)

    def direction(self, rng: np.random.Generator) -> SteerSet:
        """One random direction, with the chosen ones' norm at each token."""
        place = self.info.site(self.q.site)
        assert place is not None
        unit = Direction(values=Tensor.of(rng.standard_normal(place.width)))
        edits, prefix = [], self.info.prefix_tokens
        for token, size in enumerate(self.sizes(self.chosen)):
            cell = divmod(token - prefix, self.info.grid[1])
            patch = Mask(kind="patches", cells=(cell,)) if token >= prefix else None
            mask = patch or Mask(kind="prefix")
            if size > 0:
                alpha = Add(alpha=float(size / place.n_bar))
                edits.append(Edit(site=self.q.site, unit=unit, op=alpha, mask=mask))
        return SteerSet(edits=tuple(edits))


def train(options: argparse.Namespace) -> float:
    """Seconds from the start of the command to its end, harvest and report included."""
    command = [
        *(sys.executable, "-m", "steerboard.cli", "dictionary", "train"),
        *("--model", options.model, "--images", options.images, "--site", options.site),
        *("--split", options.fit, "--test-split", options.test),
        *("--width", "16x", "--k", str(options.k)),
        *("--steps", options.steps, "--views", options.views),
        *("--out", options.out, *options.training),
    ]
    began = time.monotonic()
    subprocess.run([str(word) for word in command], check=True)
    return time.monotonic() - began


def serve(options: argparse.Namespace) -> Runner:
    images = str(options.images.resolve())
    calibration = {"images": images, "manifest": f"{images}/manifest.jsonl", "split": options.test}
    model = {
        "path": str(options.model.resolve()),
        "dictionaries": {"trained": {"path": "dictionary.safetensors"}},
        "calibration": {**calibration, "count": 200},
    }
    path = options.out / "steerboard.yaml"
    path.write_text(yaml.safe_dump({"models": {"real": model}}))
    return steerboard.local(path)


def photographs(folder: Path, split: str) -> list[Encoded]:
    rows = map(json.loads, (folder / "manifest.jsonl").read_text().splitlines())
    return [
        Encoded(data=(folder / r["path"]).read_bytes()) for r in rows if r.get("split") == split
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


def flips(
    runner: Runner, q: Question, rows: np.ndarray, images: list[tuple[Encoded, int, int]]
) -> tuple[list[Row], list[int]]:
    """How often each change turns the answer to the runner-up, and to anything else.

    Also the features that were among the three most often.
    """
    decided: Counter[int] = Counter()
    info, rng = runner.model(q.model), np.random.default_rng(0)
    names = list(BOUNDS)[2:6]
    turned: dict[str, list[tuple[bool, bool]]] = {name: [] for name in names}
    for image, top, second in images:
        chosen = contrastive(runner, q, image, top, second)
        decided.update(chosen)
        encode = Encode(model=q.model, images=(image,), dictionary=q.dictionary)
        control = Controls(info, q, runner.encode(encode).one(), rows, chosen)
        sets = [off(q, chosen)]
        for _ in range(DRAWS):
            drawn = control.drawn(rng)
            sets += [control.features(drawn), control.direction(rng), off(q, drawn)]
        said = says(runner, q, image, sets)
        order = [names[0], *names[1:] * DRAWS]
        for name, answer in zip(order, said, strict=True):
            turned[name].append((answer == second, answer not in (top, second)))
    shares = {name: np.mean(found, axis=0) for name, found in turned.items()}
    found = [row(n, float(s[0]), len(turned[n]), float(s[1])) for n, s in shares.items()]
    return found, [feature for feature, _ in decided.most_common(NAMED)]


def contrastive(
    runner: Runner, q: Question, image: Encoded, top: int, second: int
) -> tuple[int, ...]:
    """The features that say most for ``top`` against ``second``."""
    ask = Attribute(
        model=q.model,
        images=(image,),
        classifier=q.classifier,
        dictionary=q.dictionary,
        targets=(Margin(index=top, against=second),),
        top_k=64,
    )
    (found,) = runner.attribute(ask).one()
    return Contrast(found.features, found.scores.astype(np.float64)).for_wrong(FEATURES)


def measure(options: argparse.Namespace) -> tuple[list[Row], list[int]]:
    report = json.loads((options.out / "report.json").read_text())
    together, n = report["together"], report["held_out"]
    runner = serve(options)
    classifier = Prompts(prompts=CLASSES, template="a photo of a {}")
    q = Question("real", classifier, "trained", options.site)
    found = sure(runner, q, photographs(options.images, options.test))
    decoder = read(options.out / "dictionary.safetensors").sae.W_dec.double().numpy()
    faithful = faithfulness(runner, q, [image for image, _, _ in found])
    turned, decided = flips(runner, q, decoder, found)
    rows = [
        row("explained variance", together["explained_variance"], n),
        row("its mean over dimensions", together["per_dimension"], n),
        *turned,
        row("predicted against measured, Spearman", faithful.spearman, faithful.images),
    ]
    return rows, decided


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--images", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=Path("build/real_dictionary"))
    parser.add_argument("--site", default="resid_post.8")
    parser.add_argument("--k", type=int, default=20)
    parser.add_argument("--fit", default="train", help="split of the manifest to train on")
    parser.add_argument("--test", default="test", help="split to measure on")
    parser.add_argument("--steps", type=int, default=1800)
    parser.add_argument("--views", type=int, default=3)
    parser.add_argument("--measure-only", action="store_true")
    parser.add_argument("training", nargs="*", help="further options of dictionary train, after --")
    options = parser.parse_args()
    seconds = 0.0 if options.measure_only else train(options)
    rows, decided = measure(options)
    for r in rows:
        bound = f">= {r.at_least}" if r.at_least is not None else f"<= {r.at_most}"
        aside = f"; elsewhere {r.elsewhere:.4f}" if r.elsewhere else ""
        held = "met" if r.held else "short"
        print(f"{r.name:40} {r.value:7.4f} of {r.n:4} {bound:8} {held}{aside}")
    print(f"trained in {seconds:.0f} s, harvest and report included")
    print("decided most often:", *decided)
    table = {"seconds": seconds, "rows": [asdict(r) for r in rows], "decided": decided}
    (options.out / "real_dictionary.json").write_text(json.dumps(table, indent=1) + "\n")


if __name__ == "__main__":
    main()
