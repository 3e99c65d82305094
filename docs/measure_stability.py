"""Measures experts over two image sets and over two models: *Stability* in ``methods.md``.

    python docs/measure_stability.py [--rounds N] [--other FOLDER]

Two sets: fresh scenes and the shipped test pictures, through each dictionary. Two models: neurons
of a block in the middle, on the same fresh scenes. Beside the shipped model stand a copy with its
neurons in another order, one whose weights lie in a random order and that so knows nothing, and an
``--other`` open_clip folder, if one is named. Writes the section ``stability`` of ``methods.json``.
"""

import argparse
import json
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import numpy.typing as npt
import torch
import yaml
from measure_drawn import write
from measure_experts import BOOKS, THINGS, scenes
from measure_methods import MODEL
from safetensors.torch import load_file, save_file
from scipy import sparse

import steerboard
from demo.emojiland.draw import encode
from demo.emojiland.scenes import Scene
from demo.emojiland.world import BACKGROUNDS
from steerboard.analysis.concepts import agreement, half_splits
from steerboard.analysis.expertise import expertise
from steerboard.analysis.responses import Place, responses
from steerboard.analysis.stability import of_maps, over_models
from steerboard.spec.requests import Encoded

DEMO, WEIGHTS = Path("demo").resolve(), "open_clip_model.safetensors"
SITE = "mlp_post.3"  # of six blocks
Marks = dict[str, npt.NDArray[np.bool_]]


def concepts(facts: list[tuple[str, str]]) -> Marks:
    """Objects and backgrounds that are shown, from (label, background) of each picture."""
    things = {t: np.array([label == t for label, _ in facts]) for t in THINGS}
    found = things | {f"on {g}": np.array([at == g for _, at in facts]) for g in BACKGROUNDS}
    return {name: labels for name, labels in found.items() if labels.any()}


def shipped() -> tuple[list[Encoded], list[tuple[str, str]]]:
    """Clean test pictures of the objects."""
    lines = (DEMO / "images" / "manifest.jsonl").read_text().splitlines()
    rows = [r for r in map(json.loads, lines) if r["split"] == "test" and r["group"] == "clean"]
    rows = [r for r in rows if r["label"] in THINGS]
    images = [Encoded(data=(DEMO / "images" / r["path"]).read_bytes()) for r in rows]
    return images, [(r["label"], r["background"]) for r in rows]


def over_sets(fresh: list[Encoded], drawn: list[Scene]) -> dict[str, dict[str, float]]:
    """Agreement of AP profiles on fresh scenes and on shipped pictures, by dictionary."""
    images, facts = shipped()
    runner, out = steerboard.local(DEMO), {}
    marks = [concepts([(s.label, s.background) for s in drawn]), concepts(facts)]
    for book in BOOKS:
        sets = [responses(runner, MODEL, book, part) for part in (fresh, images)]
        skills = [{n: expertise(r, y) for n, y in m.items()} for r, m in zip(sets, marks,
                  strict=True)]  # fmt: skip
        found = {n: agreement(skills[0][n], skills[1][n]) for n in marks[1]}
        halves = [np.mean([half_splits(r, y, splits=2).mean() for n, y in m.items()
                  if n in THINGS]) for r, m in zip(sets, marks, strict=True)]  # fmt: skip
        out[book] = {
            "pictures": len(images),
            "objects": float(np.median([found[n] for n in THINGS])),
            "backgrounds": float(np.median([v for n, v in found.items() if n not in THINGS])),
            "halves of the fresh, objects": float(halves[0]),
            "halves of the shipped, objects": float(halves[1]),
        }
    return out


def houses(base: Path, other: Path | None) -> dict[str, tuple[Path, str]]:
    """Models by name, each in a folder of its own, with the site that is asked about."""
    known = load_file(DEMO / "model" / WEIGHTS)
    torch.manual_seed(0)
    made = {
        "itself": known,
        "a copy, its neurons in another order": reordered(known),
        "its weights in a random order": {n: shuffled(w) for n, w in known.items()},
    }
    out = {}
    for number, (name, weights) in enumerate(made.items()):
        model = base / f"{number}" / "model"
        model.mkdir(parents=True)
        save_file(weights, model / WEIGHTS)
        config = (DEMO / "model" / "open_clip_config.json").read_text()
        (model / "open_clip_config.json").write_text(config)
        out[name] = served(base / f"{number}", model), SITE
    if other is not None:
        (base / "other").mkdir()
        middle = len({n for n in load_file(other / WEIGHTS) if n.endswith("ln_1.weight")
                      and n.startswith("visual")}) // 2  # fmt: skip
        out[other.name] = served(base / "other", other.resolve()), f"mlp_post.{middle}"
    return out


def served(folder: Path, model: Path) -> Path:
    """A configuration of one model."""
    pictures = {"images": str(DEMO / "images"), "manifest": str(DEMO / "images/manifest.jsonl")}
    found = {"path": str(model), "calibration": {**pictures, "split": "validation", "count": 32}}
    (folder / "steerboard.yaml").write_text(yaml.safe_dump({"models": {"m": found}}))
    return folder


def reordered(known: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The same model: the neurons of every image block's MLP stand in another order."""
    out = dict(known)
    for name in known:
        if name.startswith("visual") and name.endswith("mlp.c_fc.bias"):
            order, stem = torch.randperm(len(known[name])), name.removesuffix("c_fc.bias")
            for part in ("c_fc.bias", "c_fc.weight"):
                out[stem + part] = known[stem + part][order].contiguous()
            out[stem + "c_proj.weight"] = known[stem + "c_proj.weight"][:, order].contiguous()
    return out


def shuffled(weight: torch.Tensor) -> torch.Tensor:
    """The numbers of a matrix in a random order; vectors stay."""
    if weight.ndim < 2:
        return weight
    return weight.flatten()[torch.randperm(weight.numel())].view_as(weight).contiguous()


def over_two_models(
    fresh: list[Encoded], drawn: list[Scene], other: Path | None
) -> dict[str, dict[str, float]]:
    """The shipped model's neurons beside those of others, on the same pictures."""
    marks = concepts([(s.label, s.background) for s in drawn])
    out: dict[str, dict[str, float]] = {}
    own: sparse.csc_array | None = None
    with TemporaryDirectory() as base:
        for name, (house, site) in houses(Path(base), other).items():
            found = responses(steerboard.local(house), "m", Place(units="neuron", site=site), fresh)
            own = found if own is None else own
            skills = [[expertise(r, marks[t]) for t in THINGS] for r in (own, found)]
            matched = {n: float(over_models(own, found, y, splits=2).mean())
                       for n, y in marks.items()}  # fmt: skip
            out[name] = {
                "objects": float(np.median([matched[n] for n in THINGS])),
                "backgrounds": float(np.median([v for n, v in matched.items() if n not in THINGS])),
                "maps of the objects": of_maps(THINGS, *skills),
                "best AP, objects": float(np.median([e.precision.max() for e in skills[1]])),
            }
            print(name, out[name], flush=True)
    return out


def main() -> None:
    """Draw, ask, compare."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=4, help="of 192 pictures")
    parser.add_argument("--other", type=Path, help="a folder with another open_clip model")
    given = parser.parse_args()
    count = given.rounds * len(THINGS) * len(BACKGROUNDS)
    drawn = list(scenes("held out", given.rounds))[:count]  # without the attacked ones
    fresh = [Encoded(data=encode(scene)) for scene in drawn]
    write(Path("docs/methods.json"), "stability", {
        "pictures": count,
        "two sets": over_sets(fresh, drawn),
        "two models": over_two_models(fresh, drawn, given.other),
    })  # fmt: skip


if __name__ == "__main__":
    main()
