"""A recipe made on five photographs of a class by a real model, and its evidence on all others.

``python -m bench.real_recipe --model FOLDER --images FOLDER --dictionary FILE [--out FOLDER]``:
the manifest's classes are read off the model's embeddings by a linear probe, fitted on the first
photographs of each class. Of the others the first five that it misreads, all of one class, choose
the recipe: off are the features whose contrastive attributions for the wrong class, summed over the
five, are largest. Evidence comes from the rest. Nothing is chosen by looking at that.

Leaves a folder that any command reads: ``steerboard.yaml``, the recipe's file, the report. The
recipe is kept with its run as a team's, so that ``steerboard demo --config OUT --folder OUT/demo``
shows both on the page.
"""

import argparse
import json
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import yaml
from sklearn.linear_model import LogisticRegression

import steerboard
from steerboard.analysis.ablation import site_of
from steerboard.analysis.evidence.assemble import note
from steerboard.analysis.evidence.pictures import FilePicture, ManifestSet
from steerboard.analysis.evidence.run import Options, run_evidence
from steerboard.analysis.flip import Contrast, Question, off
from steerboard.cli.evidence import summary
from steerboard.dictionary.formats import read
from steerboard.model.probes import write_probe
from steerboard.recipe.files import save
from steerboard.recipe.making import Rest, chosen, make
from steerboard.recipe.report import write_report
from steerboard.spec.errors import InvalidRequest
from steerboard.spec.recipe import Recipe
from steerboard.spec.requests import Attribute, Embed, Encoded, Margin, Predict, Probe
from steerboard.spec.runner import Runner
from steerboard.spec.tensor import Tensor
from steerboard.store.recipes import Recipes

NAME, MODEL, DICTIONARY = "photographs", "real", "trained"
READ, REST = "probe", "others"  # splits: what the probe is fitted on, and all else
CHUNK = 32


@dataclass(frozen=True)
class Misread:
    """A photograph, its class, and what the model calls it."""

    picture: FilePicture
    truth: int
    said: int


def lay(options: argparse.Namespace) -> None:
    """``manifest.jsonl`` with our two splits, and ``steerboard.yaml`` without a probe."""
    seen: Counter[str] = Counter()
    lines = []
    for line in (options.images / "manifest.jsonl").read_text().splitlines():
        row = json.loads(line)
        seen[row["label"]] += 1
        split = READ if seen[row["label"]] <= options.read else REST
        facts = {"path": row["path"], "label": row["label"], "split": split, "group": row["label"]}
        lines.append(json.dumps(facts))
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "manifest.jsonl").write_text("\n".join(lines) + "\n")
    configure(options, {})


def configure(options: argparse.Namespace, begin: dict[str, str]) -> None:
    """Write ``steerboard.yaml``; ``begin`` may name a probe."""
    own = {"images": str(options.images.resolve()), "manifest": "manifest.jsonl"}
    model = {
        "path": str(options.model.resolve()),
        "dictionaries": {DICTIONARY: {"path": str(options.dictionary.resolve())}},
        "calibration": {**own, "split": READ, "count": 200},
        **begin,
    }
    house = {"models": {MODEL: model}, "image_sets": {NAME: own}}
    (options.out / "steerboard.yaml").write_text(yaml.safe_dump(house))


def photographs(options: argparse.Namespace, split: str) -> ManifestSet:
    """Those of one split."""
    return ManifestSet(NAME, options.images, options.out / "manifest.jsonl", split)


def parts(pictures: Iterable[FilePicture]) -> Iterator[list[FilePicture]]:
    """A few at a time."""
    held = list(pictures)
    yield from (held[i : i + CHUNK] for i in range(0, len(held), CHUNK))


def encoded(part: Iterable[FilePicture]) -> tuple[Encoded, ...]:
    """Their bytes."""
    return tuple(Encoded(data=picture.data) for picture in part)


def fit_probe(options: argparse.Namespace) -> None:
    """A logistic head over unit-length embeddings, which the model then begins with."""
    runner = steerboard.local(options.out)
    pictures = list(photographs(options, READ))
    rows = [
        answer.values
        for part in parts(pictures)
        for answer in runner.embed(Embed(model=MODEL, images=encoded(part))).results()
    ]
    runner.close()
    x = np.stack(rows).reshape(len(rows), -1)
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    head = LogisticRegression(C=options.c, max_iter=2000).fit(x, [p.label for p in pictures])
    weight, bias = (Tensor.of(a.astype(np.float32)) for a in (head.coef_, head.intercept_))
    probe = Probe(names=tuple(head.classes_), weight=weight, bias=bias)
    write_probe(options.out / "probe.safetensors", probe)
    configure(options, {"probe": "probe.safetensors"})


def misread(runner: Runner, q: Question, options: argparse.Namespace) -> dict[str, list[Misread]]:
    """The others that are called another class than theirs, by their own, in the set's order."""
    names = q.classifier.names
    found: dict[str, list[Misread]] = {name: [] for name in names}
    for part in parts(photographs(options, REST)):
        ask = Predict(model=MODEL, images=encoded(part), classifier=q.classifier)
        for picture, answer in zip(part, runner.predict(ask).results(), strict=True):
            if names[answer.top] != picture.label:
                one = Misread(picture, names.index(picture.label), answer.top)
                found[picture.label].append(one)
    return found


def five_of(found: dict[str, list[Misread]], options: argparse.Namespace) -> list[Misread]:
    """The first of one class, where enough are left to be mended; raises InvalidRequest."""
    counts = ", ".join(f"{name} {len(own)}" for name, own in found.items())
    print(f"misread: {counts}")
    name = options.of or max(found, key=lambda name: len(found[name]))
    own = found.get(name, [])
    if len(own) < 2 * options.five:
        raise InvalidRequest(
            f"{len(own)} photographs of {name} are misread, which leaves too few to mend behind"
            f" {options.five}: choose another class with --of ({counts})"
        )
    return own[: options.five]


def speaking(runner: Runner, q: Question, pictures: list[Misread], n: int) -> tuple[int, ...]:
    """The features that say most, over all of them, for the wrong class against the true one."""
    total: Counter[int] = Counter()
    for one in pictures:
        ask = Attribute(
            model=MODEL,
            images=encoded([one.picture]),
            classifier=q.classifier,
            dictionary=DICTIONARY,
            targets=(Margin(index=one.said, against=one.truth),),
            top_k=256,
        )
        (found,) = runner.attribute(ask).one()
        total.update(dict(zip(found.features.tolist(), found.scores.tolist(), strict=True)))
    held = np.array(list(total.items()), np.float64)
    return Contrast(held[:, 0].astype(np.int64), held[:, 1]).for_wrong(n)


def made(runner: Runner, options: argparse.Namespace) -> Recipe:
    """The recipe, with the five photographs that it was chosen on."""
    classifier = runner.model(MODEL).classifier
    assert classifier is not None
    q = Question(MODEL, classifier, DICTIONARY, site_of(runner, MODEL, DICTIONARY))
    five = five_of(misread(runner, q, options), options)
    features = speaking(runner, q, five, options.features)
    own, wrong = five[0].picture.label, sorted({classifier.names[one.said] for one in five})
    return make(
        runner,
        f"more-{own}",
        MODEL,
        off(q, features),
        classifier,
        summary=f"{own}, not {' or '.join(wrong)}",
        failures={"label": own},
        chosen_on=(chosen(NAME, "", [one.picture for one in five]),),
        method=f"the {len(features)} largest contrastive attributions, summed over"
        f" {len(five)} misread photographs, off",
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--images", type=Path, required=True, help="folder with manifest.jsonl")
    parser.add_argument("--dictionary", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=Path("build/real_recipe"))
    parser.add_argument("--of", default="", help="class that it mends; else the most misread one")
    parser.add_argument("--five", type=int, default=5, help="photographs that choose it")
    parser.add_argument("--features", type=int, default=5)
    parser.add_argument("--read", type=int, default=20, help="photographs a class for the probe")
    parser.add_argument("--c", type=float, default=100.0, help="of the probe: larger fits closer")
    options = parser.parse_args()
    lay(options)
    fit_probe(options)
    runner = steerboard.local(options.out)
    recipe = made(runner, options)
    rest = Rest(photographs(options, REST), recipe)
    decoders = {DICTIONARY: read(options.dictionary).sae.W_dec.numpy()}
    evidence, rows = run_evidence(runner, recipe, rest, Options(decoders=decoders))
    runner.close()
    known = recipe.model_copy(update={"evidence": (note(evidence),)})
    save(known, options.out / f"{recipe.name}.recipe.json")
    write_report(options.out / "report", known, evidence, rows, rest)
    (options.out / "demo").mkdir(exist_ok=True)
    team = Recipes(f"sqlite:///{(options.out / 'demo' / 'sessions.sqlite').resolve()}")
    kept = team.save(recipe, "bench").recipe
    key, plain = (kept.name, kept.version), [asdict(row) for row in rows]
    team.note(key, note(evidence), evidence, plain, "bench")
    team.close()
    print(summary(evidence))
    print(f"report: {options.out / 'report' / 'report.html'}")


if __name__ == "__main__":
    main()
