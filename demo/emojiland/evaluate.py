"""Do the planted shortcuts bite, and do single features hold them? Plain torch, for tuning.

The product's own check (``steerboard demo --check``) is the one that counts; this one needs
nothing but the model and the dictionaries and runs in two minutes. Every rate is printed with its
95 % Wilson interval and the number of pictures it is taken over.
"""

import argparse
import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from demo.emojiland.architecture import load_model, to_pixels
from demo.emojiland.fidelity import fidelity
from demo.emojiland.tower import Sae, Tower, read_sae
from demo.emojiland.world import CLASSES

ATTACKS = ("typographic", "watermark", "water")
Row = dict[str, Any]


@dataclass(frozen=True)
class Scored:
    """Pictures of one kind: residual ``[n, t, d]``, logits ``[n, c]``, true and wrong class."""

    x: torch.Tensor
    logits: torch.Tensor
    label: torch.Tensor
    wrong: torch.Tensor
    rows: list[Row]

    @property
    def said(self) -> torch.Tensor:
        """The class predicted for each picture ``[n]``."""
        return self.logits.argmax(1)

    def take(self, mask: torch.Tensor) -> "Scored":
        """The pictures where ``mask [n]`` is true."""
        rows = [row for row, kept in zip(self.rows, mask.tolist(), strict=True) if kept]
        return Scored(self.x[mask], self.logits[mask], self.label[mask], self.wrong[mask], rows)

    def where(self, **wanted: str) -> torch.Tensor:
        """Mask ``[n]`` of the pictures whose manifest line says all of ``wanted``."""
        return torch.tensor([all(r[k] == v for k, v in wanted.items()) for r in self.rows])


@torch.no_grad()
def score(tower: Tower, images: Path, rows: list[Row]) -> Scored:
    """Run the model on the pictures of ``rows``."""
    parts, logits = [], []
    for i in range(0, len(rows), 128):
        raw = np.stack([np.asarray(Image.open(images / r["path"])) for r in rows[i : i + 128]])
        parts.append(tower.start(to_pixels(raw)))
        logits.append(tower.finish(parts[-1]))
    label = torch.tensor([CLASSES.index(r["label"]) for r in rows])
    wrong = torch.tensor([CLASSES.index(r["wrong"]) if r["wrong"] else -1 for r in rows])
    return Scored(torch.cat(parts), torch.cat(logits), label, wrong, rows)


def attribute(tower: Tower, sae: Sae, s: Scored) -> tuple[torch.Tensor, torch.Tensor]:
    """R ``[n, f]`` of the margin wrong minus true, and the code ``[n, t, f]`` in half precision."""
    scores, codes = [], []
    for i in range(0, len(s.x), 64):
        x = s.x[i : i + 64].clone().requires_grad_()
        logits, row = tower.finish(x), torch.arange(len(s.x[i : i + 64]))
        y = logits[row, s.wrong[i : i + 64]] - logits[row, s.label[i : i + 64]]
        (gradient,) = torch.autograd.grad(y.sum(), x)
        with torch.no_grad():
            code = sae.encode(x)
            scores.append((code * (gradient @ sae.W_dec.T)).sum(1))
            codes.append(code.half())
    return torch.cat(scores), torch.cat(codes)


@torch.no_grad()
def steer(tower: Tower, sae: Sae, s: Scored, code: torch.Tensor, m: torch.Tensor) -> torch.Tensor:
    """Classes ``[n]`` predicted with the scales ``m [n, f]``."""
    out = []
    for i in range(0, len(s.x), 64):
        change = (code[i : i + 64].float() * m[i : i + 64, None]) @ sae.W_dec
        out.append(tower.finish(s.x[i : i + 64] + change).argmax(1))
    return torch.cat(out)


def scales(
    shape: torch.Size, off: torch.Tensor, doubled: torch.Tensor | None = None
) -> torch.Tensor:
    """``m [n, f]`` with -1 at ``off [n, k]`` and +1 at ``doubled [n, k]``."""
    m = torch.zeros(shape).scatter(1, off, -1.0)
    return m if doubled is None else m.scatter(1, doubled, 1.0)


def wilson(hits: int, count: int) -> tuple[float, float]:
    """95 % interval of a rate."""
    z2, p = 1.96**2, hits / count
    middle, half = p + z2 / (2 * count), math.sqrt(z2 * (p * (1 - p) + z2 / (4 * count)) / count)
    return (middle - half) / (1 + z2 / count), (middle + half) / (1 + z2 / count)


def share(hits: torch.Tensor) -> str:
    """Percentage, its interval, and how many pictures it is taken over."""
    if not len(hits):
        return "none"
    low, high = wilson(int(hits.sum()), len(hits))
    return (
        f"{100 * float(hits.float().mean()):.1f} [{100 * low:.0f}, {100 * high:.0f}] n={len(hits)}"
    )


def random_active(code: torch.Tensor, count: int) -> torch.Tensor:
    """``count`` features drawn among those that fire in each picture, ``[n, count]``."""
    fires = code.amax(1) > 0
    generator = torch.Generator().manual_seed(0)
    draw = torch.rand(fires.shape, generator=generator).masked_fill(~fires, -1.0)
    return draw.topk(count, dim=1).indices


def task_a(tower: Tower, sae: Sae, s: Scored, clean_right: torch.Tensor) -> Iterator[str]:
    """What switching off and doubling three features does to successful attacks."""
    part = s.take((s.said == s.wrong) & clean_right)
    if not len(part.rows):
        return
    r, code = attribute(tower, sae, part)
    off, double = r.topk(3, dim=1).indices, (-r).topk(3, dim=1).indices
    one = steer(tower, sae, part, code, scales(r.shape, off))
    both = steer(tower, sae, part, code, scales(r.shape, off, double))
    chance = steer(tower, sae, part, code, scales(r.shape, random_active(code, 3)))
    yield f"   off 3: unseated {share(one != part.wrong)}, true {share(one == part.label)}"
    yield f"   off 3, double 3: true {share(both == part.label)}"
    yield f"   random 3 off: unseated {share(chance != part.wrong)}"


def attacks(tower: Tower, sae: Sae, images: Path, rows: list[Row]) -> Iterator[str]:
    """Clean accuracy of the twins, attack success and task A for each attack."""
    by_path, twins = {r["path"]: r for r in rows}, []
    for attack in ATTACKS:
        attacked = [r for r in rows if r["group"] == attack]
        s = score(tower, images, attacked)
        twin = score(tower, images, [by_path[r["twin"]] for r in attacked])
        twins.append(twin.said == twin.label)
        yield f"{attack}: twins right {share(twins[-1])}, attack wins {share(s.said == s.wrong)}"
        yield from task_a(tower, sae, s, twins[-1])
    yield f"all clean twins right {share(torch.cat(twins))}"


def people(tower: Tower, images: Path, rows: list[Row]) -> Scored:
    """Doctors, nurses and the other professions."""
    return score(tower, images, [r for r in rows if r["group"] in ("medical", "profession")])


def misread(s: Scored) -> Scored:
    """The women doctors that are called nurse, with that as the wrong class."""
    nurse = CLASSES.index("nurse")
    doctors = s.take(s.where(gender="woman", label="doctor") & (s.said == nurse))
    doctors.wrong.fill_(nurse)
    return doctors


def woman_features(tower: Tower, sae: Sae, s: Scored) -> torch.Tensor:
    """Three that speak for nurse on misread women doctors and fire twice as much for women."""
    codes = torch.cat([sae.encode(x).sum(1) for x in torch.split(s.x, 64)])
    is_woman = s.where(gender="woman")
    gendered = codes[is_woman].mean(0) > 2 * codes[~is_woman].mean(0)
    r, _ = attribute(tower, sae, misread(s))
    return r.mean(0).masked_fill(~gendered, -torch.inf).topk(3).indices


def task_b(tower: Tower, sae: Sae, s: Scored, chosen: torch.Tensor) -> Iterator[str]:
    """Medical workers and other women before and after ``chosen [k]`` features are off."""
    code = torch.cat([sae.encode(x).half() for x in torch.split(s.x, 64)])
    shape = torch.Size((len(s.rows), sae.W_enc.shape[1]))
    after = steer(tower, sae, s, code, scales(shape, chosen.expand(len(s.rows), -1)))
    chance = steer(tower, sae, s, code, scales(shape, random_active(code, len(chosen))))
    doctor, nurse = CLASSES.index("doctor"), CLASSES.index("nurse")
    for now, when in ((s.said, "before"), (after, "after")):
        for label, gender in product(("doctor", "nurse"), ("woman", "man")):
            own = now[s.where(label=label, gender=gender)]
            said = f"doctor {share(own == doctor)}, nurse {share(own == nurse)}"
            yield f"   {when}: {label} {gender}: {said}"
    called_nurse = s.where(label="doctor", gender="woman") & (s.said == nurse)
    kept = s.where(label="nurse", gender="woman") & (s.said == nurse)
    others = s.where(group="profession", gender="woman") & (s.said == s.label)
    yield f"   misread women doctors become doctor {share(after[called_nurse] == doctor)}"
    yield f"   random 3 off: become doctor {share(chance[called_nurse] == doctor)}"
    yield f"   women nurses stay {share(after[kept] == nurse)}"
    yield f"   women elsewhere keep theirs {share(after[others] == s.label[others])}"


def report(model: Path, dictionary: Path, images: Path) -> Iterator[str]:
    """All lines for one dictionary."""
    rows = [json.loads(line) for line in (images / "manifest.jsonl").read_text().splitlines()]
    test = [r for r in rows if r["split"] == "test"]
    validation = [r for r in rows if r["split"] == "validation"]
    sae = read_sae(dictionary)
    tower = Tower(load_model(model), sae.block)
    yield f"== {dictionary}: block {sae.block}, {sae.tokens}"
    yield from fidelity(sae, score(tower, images, test).x)
    if sae.tokens != "all":
        return
    yield from attacks(tower, sae, images, test)
    workers = people(tower, images, validation)
    if not len(misread(workers).rows):
        yield "no woman doctor of the validation split is called nurse: nothing to choose by"
        return
    chosen = woman_features(tower, sae, workers)
    yield f"woman features {chosen.tolist()}"
    yield from task_b(tower, sae, people(tower, images, test), chosen)


def main() -> None:
    """Command line: ``python -m demo.emojiland.evaluate``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, default=Path("demo/model"))
    parser.add_argument("--images", type=Path, default=Path("demo/images"))
    folder = Path("demo/dictionaries")
    both = [folder / "middle.safetensors", folder / "last.safetensors"]
    parser.add_argument("--dictionaries", type=Path, nargs="*", default=both)
    args = parser.parse_args()
    for dictionary in args.dictionaries:
        for line in report(args.model, dictionary, args.images):
            print(line, flush=True)


if __name__ == "__main__":
    main()
