"""Measures every method on Emojiland, where the truth is drawn: the tables of ``methods.md``.

    python docs/measure_methods.py [--pictures N] [--suggested N] [--out docs/methods]

Writes ``methods.json`` (all figures), two pictures beside it, and the table of methods and
shortcuts into the pages that show it, between their two marks. What a shortcut's own features
are is settled without any attribution: the best detectors of the drawn shortcut on the validation
split. Attributions are then asked for on the test split.
"""

import argparse
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

import steerboard
from steerboard.analysis.concept_map import alike, draw, of_experts, of_images, of_texts
from steerboard.analysis.concepts import by_manifest, half_splits
from steerboard.analysis.curves import curves, random_ranking
from steerboard.analysis.expertise import Expertise, expertise
from steerboard.analysis.faithfulness import agreement
from steerboard.analysis.flip import Question
from steerboard.analysis.located import Located
from steerboard.analysis.measuring import measure
from steerboard.analysis.methods import locate
from steerboard.analysis.responses import responses
from steerboard.analysis.suggestions import suggest
from steerboard.analysis.trust import by_worth, verdicts
from steerboard.spec.requests import Attribute, Encoded, Margin, Predict, Prompts
from steerboard.spec.runner import Runner

MODEL, DICTIONARY, SITE = "emojiland", "middle", "resid_post.3"
METHODS = (
    "gradient", "integrated_gradients", "ablation", "shapley", "energy", "activation", "logit_lens",
)  # fmt: skip
SHORTCUTS = ("typographic", "watermark", "water", "gender")
SKILL = 0.9  # AUROC of a detector that counts as the shortcut's own
TOP = 20
PAGES = (Path("README.md"), Path("docs/methods.md"))
MARKS = "<!-- by docs/measure_methods.py -->", "<!-- end -->"


@dataclass(frozen=True)
class Picture:
    """One line of the manifest with its bytes."""

    facts: dict[str, Any]
    image: Encoded


class World:
    """The demo's pictures, answers and detectors."""

    def __init__(self, base: Path) -> None:
        self.runner: Runner = steerboard.local(base)
        self.info = self.runner.model(MODEL)
        self.prompts = Prompts(prompts=self.info.prompts, template=self.info.template)
        lines = (base / "images" / "manifest.jsonl").read_text().splitlines()
        rows = [json.loads(line) for line in lines]
        self.pictures = [
            Picture(r, Encoded(data=(base / "images" / r["path"]).read_bytes())) for r in rows
        ]
        self.by_path = {p.facts["path"]: p for p in self.pictures}
        self._cases: dict[str, list[tuple[Picture, str, str]]] = {}

    def cases(self, shortcut: str) -> list[tuple[Picture, str, str]]:
        """See ``affected``; found once."""
        if shortcut not in self._cases:
            self._cases[shortcut] = affected(self, shortcut)
        return self._cases[shortcut]

    def of(self, split: str, **facts: Any) -> list[Picture]:
        """Pictures of a split with these facts."""
        asked = {"split": split, **facts}
        return [p for p in self.pictures if all(p.facts.get(k) == v for k, v in asked.items())]

    def says(self, pictures: Sequence[Picture]) -> list[str]:
        """The class predicted for each."""
        out = []
        for i in range(0, len(pictures), 64):
            images = tuple(p.image for p in pictures[i : i + 64])
            asked = Predict(model=MODEL, images=images, classifier=self.prompts)
            out += [self.prompts.prompts[a.top] for a in self.runner.predict(asked).results()]
        return out

    def experts(self, pictures: Sequence[Picture], labels: Sequence[bool]) -> Expertise:
        """Every feature of the middle dictionary as a detector."""
        found = responses(self.runner, MODEL, DICTIONARY, [p.image for p in pictures])
        return expertise(found, np.array(labels))

    def index(self, name: str) -> int:
        """A class by name."""
        return self.prompts.prompts.index(name)

    def ask(self, picture: Picture, wrong: str, true: str, **other: Any) -> Attribute:
        """Why the wrong class and not the true one?"""
        margin = Margin(index=self.index(wrong), against=self.index(true))
        return Attribute(
            model=MODEL, images=(picture.image,), classifier=self.prompts, dictionary=DICTIONARY,
            targets=(margin,), **{"top_k": TOP, **other},
        )  # fmt: skip


def affected(world: World, shortcut: str) -> list[tuple[Picture, str, str]]:
    """Test pictures that the shortcut misleads though the clean twin is right, wrong, true."""
    if shortcut == "gender":
        doctors = world.of("test", label="doctor", gender="woman")
        said = world.says(doctors)
        pairs = zip(doctors, said, strict=True)
        return [(p, "nurse", "doctor") for p, s in pairs if s == "nurse"]
    attacked = world.of("test", group=shortcut)
    said = world.says(attacked)
    clean = world.says([world.by_path[p.facts["twin"]] for p in attacked])
    return [
        (p, p.facts["wrong"], p.facts["label"])
        for p, s, c in zip(attacked, said, clean, strict=True)
        if s == p.facts["wrong"] and c == p.facts["label"]
    ]


def detectors(world: World, shortcut: str) -> dict[str, list[int]]:
    """The features that detect the drawn shortcut on the validation split, by wrong class.

    Those whose AUROC is ``SKILL`` at least, or the best one where none is so good.
    """
    if shortcut == "gender":
        people = [p for p in world.of("validation") if p.facts["gender"]]
        found = world.experts(people, [p.facts["gender"] == "woman" for p in people])
        return {"nurse": skilled(found)}
    attacked = world.of("validation", group=shortcut)
    twins = [world.by_path[p.facts["twin"]] for p in attacked]
    answers = responses(world.runner, MODEL, DICTIONARY, [p.image for p in (*attacked, *twins)])
    wrong = np.array([p.facts["wrong"] for p in attacked] + [""] * len(twins))
    return {name: skilled(expertise(answers, wrong == name)) for name in sorted({*wrong} - {""})}


def skilled(found: Expertise) -> list[int]:
    """All good detectors, best first; AUROC, because it does not depend on prevalence."""
    good = np.argsort(-found.auroc, kind="stable")
    return [int(f) for i, f in enumerate(good) if found.auroc[f] >= SKILL or i == 0]


def in_the_top(world: World, shortcut: str, top: int = 3) -> dict[str, Any]:
    """On how many affected pictures one of the shortcut's detectors is among the first."""
    own, cases = detectors(world, shortcut), world.cases(shortcut)
    counts = {"for the wrong class": 0, "by size": 0, "by chance": 0}
    for i, (picture, wrong, true) in enumerate(cases):
        (found,) = world.runner.attribute(world.ask(picture, wrong, true, top_k=1000)).one()
        mine = set(own.get(wrong, []))
        speaks = found.features[np.argsort(-found.scores, kind="stable")][:top].tolist()
        counts["by size"] += bool(mine & set(found.features[:top].tolist()))
        counts["for the wrong class"] += bool(mine & set(speaks))
        counts["by chance"] += bool(mine & set(random_ranking(found.features.tolist(), i)[:top]))
    sizes = [len(features) for features in own.values()]
    return {"pictures": len(cases), "detectors a class": float(np.mean(sizes)), **counts}


def one_cell(
    world: World, method: str, cases: Sequence[tuple[Picture, str, str]]
) -> dict[str, Any]:
    """Deletion and insertion areas, agreement with ablation, seconds, over some pictures.

    ``deletions`` are those of each picture, so that methods can be held beside each other in pairs.
    """
    rows = []
    for picture, wrong, true in cases:
        request = world.ask(picture, wrong, true, method=method)
        began = time.perf_counter()
        found = ranking(world, request, method)
        seconds = time.perf_counter() - began
        asked = measure(world.runner, request)
        measured = -asked.changes([asked.scaled(-1.0, int(u)) for u in found.units])
        drawn = curves(asked, by_worth(found))
        rank, slope, sign = agreement(found.scores, measured)
        agrees = np.mean([w.endswith("agrees") for w in verdicts(found.scores, measured)])
        areas = [drawn.area(n) for n in ("deletion", "insertion", "deletion_dropped")]
        rows.append([*areas, rank, slope, sign, agrees, seconds])
    names = ("deletion", "insertion", "deletion_dropped", "spearman", "slope", "sign", "agrees")
    values = np.array(rows)
    cell = dict(zip(names, values[:, :-1].mean(0).tolist(), strict=True))
    cell["spearman"], cell["slope"] = np.median(values[:, 3:5], axis=0).tolist()
    cell |= {"seconds": float(np.median(values[:, -1])), "pictures": len(cases)}
    return {**cell, "deletions": values[:, 0].round(4).tolist()}


def ranking(world: World, request: Attribute, method: str) -> Located:
    """By a method, or by chance among the active units."""
    if method != "random":
        return locate(world.runner, request.model_copy(update={"method": method}))
    wide = request.model_copy(update={"method": "activation", "top_k": 1000})
    (found,) = world.runner.attribute(wide).one()
    units = random_ranking(found.features.tolist(), seed=0)[:TOP]
    return Located("random", np.array(units), np.arange(len(units), 0, -1.0), found.value)


def beside_gradient(cells: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, float]]:
    """How much further the margin falls than by gradient, over the same pictures, with 95 %."""
    out = {}
    for name, cell in cells.items():
        shortcut, _, method = name.partition(" ")
        if method != "gradient":
            more = np.subtract(cells[f"{shortcut} gradient"]["deletions"], cell["deletions"])
            wide = float(stats.sem(more) * stats.t.ppf(0.975, len(more) - 1))
            mean = float(more.mean())
            out[name] = {"further": mean, "low": mean - wide, "high": mean + wide}
    return out


def detect(world: World, dictionary: str) -> dict[str, dict[str, float]]:
    """For each concept: the best feature on validation, its AP on test, half-split stability."""
    splits = {s: world.of(s) for s in ("validation", "test")}
    answers = {
        s: responses(world.runner, MODEL, dictionary, [p.image for p in found])
        for s, found in splits.items()
    }
    out = {}
    for name, (members, labels) in concepts(splits).items():
        seen = [
            (answers[s].tocsr()[members[s]].tocsc(), labels[s][members[s]])
            for s in ("validation", "test")
        ]
        known = expertise(*seen[0])
        chosen = int(known.best(1)[0])
        held_out = expertise(*seen[1])
        out[name] = {
            "feature": chosen,
            "chosen with": float(known.precision[chosen]),
            "precision": float(held_out.precision[chosen]),
            "auroc": float(held_out.auroc[chosen]),
            "prevalence": held_out.prevalence,
            "stability": float(half_splits(*seen[0], splits=4).mean()),
        }
    return out


def best_of(found: dict[str, dict[str, dict[str, float]]]) -> dict[str, dict[str, Any]]:
    """For each concept the dictionary whose best feature is the better one on validation."""
    books = ("middle", "last")
    out: dict[str, dict[str, Any]] = {}
    for name in found["middle"]:
        book = max(books, key=lambda b, n=name: found[b][n]["chosen with"])
        out[name] = {"dictionary": book, **found[book][name]}
    return out


Masks = tuple[dict[str, np.ndarray], dict[str, np.ndarray]]


def concepts(splits: dict[str, list[Picture]]) -> dict[str, Masks]:
    """24 objects (among clean pictures), 8 backgrounds, the label strip and the watermark."""

    def masks(member: Any, label: Any) -> Masks:
        return tuple(
            {s: np.array([bool(f(p.facts)) for p in found]) for s, found in splits.items()}
            for f in (member, label)
        )  # type: ignore[return-value]

    clean = [p.facts for p in splits["validation"] if p.facts["group"] == "clean"]
    people = {f["label"] for f in clean if f["gender"]}
    objects = sorted({f["label"] for f in clean} - people - {"horse", "boat"})
    backgrounds = sorted({p.facts["background"] for p in splits["validation"]})
    out = {
        name: masks(lambda f: f["group"] == "clean", lambda f, n=name: f["label"] == n)
        for name in objects
    }
    for name in backgrounds:
        out[f"on {name}"] = masks(lambda f: True, lambda f, n=name: f["background"] == n)
    for name, group in (("label strip", "typographic"), ("watermark", "watermark")):
        out[name] = masks(
            lambda f, g=group: f["group"] in (g, "clean"), lambda f, g=group: f["group"] == g
        )
    return out


def map_of_objects(world: World, out: Path) -> dict[str, float]:
    """Concept map of the objects, beside plain embeddings; drawn."""
    rows = [(p.facts, p.image) for p in world.of("test", group="clean") if not p.facts["gender"]]
    names = sorted({str(facts["label"]) for facts, _ in rows})
    found = [by_manifest(n, rows, {"label": n}) for n in names]
    answers = responses(world.runner, MODEL, "last", [image for _, image in rows])
    labels = np.array([facts["label"] for facts, _ in rows])
    own = of_experts(names, [expertise(answers, labels == n) for n in names])
    draw(own, out.with_name("concepts.png"), "How Emojiland's model sees its objects (last)")
    images, texts = of_images(world.runner, MODEL, found), of_texts(world.runner, MODEL, names)
    return {
        "experts and image embeddings": alike(own.similarity, images.similarity),
        "experts and text embeddings": alike(own.similarity, texts.similarity),
        "image and text embeddings": alike(images.similarity, texts.similarity),
    }


def suggested(world: World, cases: Sequence[tuple[Picture, str, str]]) -> dict[str, float]:
    """How many features flip a misled picture, to what, and at what price on clean pictures."""
    question = Question(MODEL, world.prompts, DICTIONARY, SITE)
    probes = [p.image for p in world.of("validation", group="clean")][:64]
    sizes, right, ways, price = [], 0, [], []
    for picture, _, true in cases:
        found = suggest(world.runner, question, picture.image, probes=probes, ways=3)
        ways.append(len(found.ways))
        if found.ways:
            sizes.append(len(found.ways[0].features))
            right += found.ways[0].says == world.index(true)
            price.append(found.ways[0].changed.value)
    return {
        "pictures": len(cases), "with a way": len(sizes), "features": float(np.median(sizes)),
        "to the true class": right, "ways": float(np.mean(ways)), "price": float(np.mean(price)),
    }  # fmt: skip


def figure(table: dict[str, dict[str, float]], out: Path) -> None:
    """Deletion area of every method, a panel a shortcut."""
    from matplotlib.figure import Figure

    page = Figure(figsize=(11, 3.2), layout="constrained")
    panels = page.subplots(1, len(SHORTCUTS), sharey=True)
    names = [*METHODS, "random"][::-1]
    for panel, shortcut in zip(panels, SHORTCUTS, strict=True):
        falls = [-table[f"{shortcut} {name}"]["deletion"] for name in names]
        panel.barh(names, falls, color=["#999999", *["#2f6f9f"] * len(METHODS)])
        panel.set_title(shortcut)
        panel.spines[["top", "right"]].set_visible(False)
        panel.axvline(0, color="black", linewidth=0.8)
    page.supxlabel("mean fall of the margin while the first 20 features go (logits)")
    page.savefig(out.with_name("methods.png"), dpi=120)


def told(cells: dict[str, dict[str, float]]) -> list[str]:
    """The table of methods and shortcuts as Markdown: deletion; agreement; seconds a picture."""
    lines = [f"| method | {' | '.join(SHORTCUTS)} |", "|---" * (1 + len(SHORTCUTS)) + "|"]
    for name in (*METHODS, "random"):
        parts = [in_words(cells[f"{shortcut} {name}"], name) for shortcut in SHORTCUTS]
        lines.append(f"| `{name}` | {' | '.join(parts)} |")
    return lines


def in_words(cell: dict[str, float], name: str) -> str:
    """One cell; of a random order only what it deletes says anything."""
    fall = f"{-cell['deletion']:.2f}"
    if name == "random":
        return f"{fall}; –"
    digits = next((n for n, least in enumerate((10, 1, 0.01)) if cell["seconds"] >= least), 3)
    took = f"{cell['seconds']:.{digits}f}"
    return f"{fall}; {cell['spearman']:.2f} / {cell['agrees']:.0%}; {took} s".replace("%", " %")


def between_marks(page: str, lines: Sequence[str]) -> str:
    """A page with the table in place of what stood between its marks."""
    begin, end = MARKS
    before, _, rest = page.partition(begin)
    _, _, after = rest.partition(end)
    return "\n".join([before + begin, "", *lines, "", end + after])


def main() -> None:
    """All tables, as JSON and figures; what the file holds already is not measured again.

    A cell of the table is, where it stands on fewer pictures than are asked for.
    """
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pictures", type=int, default=32, help="of a cell of the table")
    parser.add_argument("--suggested", type=int, default=20, help="pictures a shortcut")
    parser.add_argument("--out", type=Path, default=Path("docs/methods"))
    given = parser.parse_args()
    world, path = World(Path("demo")), given.out.with_suffix(".json")
    found = json.loads(path.read_text()) if path.is_file() else {}

    def keep(section: str, name: str, measure_it: Callable[[], object], least: int = 0) -> None:
        part = found.setdefault(section, {})
        if name not in part or (least and part[name]["pictures"] < least):
            part[name] = measure_it()
            path.write_text(json.dumps(found, indent=1) + "\n")
            print(section, name, flush=True)

    for s in SHORTCUTS:
        keep("top 3", s, lambda s=s: in_the_top(world, s))
    for m in (*METHODS, "random"):
        for s in SHORTCUTS:
            cases = world.cases(s)[: given.pictures]
            keep("methods", f"{s} {m}", lambda m=m, c=cases: one_cell(world, m, c), len(cases))
    found["beside gradient"] = beside_gradient(found["methods"])
    path.write_text(json.dumps(found, indent=1) + "\n")
    for d in ("middle", "last"):
        keep("experts", d, lambda d=d: detect(world, d))
    keep("experts", "best of both", lambda: best_of(found["experts"]))
    keep("maps", "last", lambda: map_of_objects(world, given.out))
    for s in SHORTCUTS:
        keep("suggestions", s, lambda s=s: suggested(world, world.cases(s)[: given.suggested]))
    figure(found["methods"], given.out)
    for page in PAGES:
        page.write_text(between_marks(page.read_text(), told(found["methods"])))


if __name__ == "__main__":
    main()
