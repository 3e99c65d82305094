"""Do the planted shortcuts bite, and do single features hold them? Plain torch, for tuning.

The product's own check (``steerboard demo --check``) is the one that counts; this one needs
nothing but the model and the dictionary and runs in a minute.
"""

import argparse
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from safetensors import safe_open

from demo.emojiland.train_dictionary import load_model
from demo.emojiland.train_model import to_pixels
from demo.emojiland.world import CLASSES, TEMPLATE

import open_clip  # isort: skip

ATTACKS = ("typographic", "watermark", "water")


@dataclass(frozen=True)
class Sae:
    """The tensors of a shipped dictionary."""

    W_enc: torch.Tensor
    b_enc: torch.Tensor
    W_dec: torch.Tensor
    b_dec: torch.Tensor
    k: int
    block: int

    def encode(self, x: torch.Tensor) -> torch.Tensor:
        """``[.., d]`` to the code ``[.., f]``."""
        values, which = ((x - self.b_dec) @ self.W_enc + self.b_enc).topk(self.k, dim=-1)
        code = torch.zeros(*x.shape[:-1], self.W_enc.shape[1])
        return code.scatter(-1, which, values.relu())


def read_sae(path: Path) -> Sae:
    """Read a dictionary file of the project's own format."""
    with safe_open(path, "pt") as file:
        header = json.loads(file.metadata()["steerboard.dictionary"])
        tensors = {key: file.get_tensor(key).float() for key in file.keys()}  # noqa: SIM118
    return Sae(**tensors, k=header["k"], block=int(header["site"].split(".")[1]))


class Tower:
    """The image tower cut behind one block, and the zero-shot head."""

    def __init__(self, model: Any, block: int) -> None:
        self.visual, self.block = model.visual, block
        tokens = open_clip.tokenize([TEMPLATE.format(c) for c in CLASSES], context_length=24)
        with torch.no_grad():
            text = torch.nn.functional.normalize(model.encode_text(tokens), dim=-1)
            self.head = model.logit_scale.exp() * text

    def start(self, pixels: torch.Tensor) -> torch.Tensor:
        """Residual ``[b, t, d]`` behind the block."""
        x = self.visual._embeds(pixels)
        for layer in self.visual.transformer.resblocks[: self.block + 1]:
            x = layer(x)
        return x

    def finish(self, x: torch.Tensor) -> torch.Tensor:
        """Logits ``[b, c]``."""
        for layer in self.visual.transformer.resblocks[self.block + 1 :]:
            x = layer(x)
        pooled, _ = self.visual._pool(x)
        return torch.nn.functional.normalize(pooled @ self.visual.proj, dim=-1) @ self.head.T


@dataclass(frozen=True)
class Scored:
    """Pictures of one kind: residual ``[n, t, d]``, logits ``[n, c]``, true and wrong class ``[n]``."""

    x: torch.Tensor
    logits: torch.Tensor
    label: torch.Tensor
    wrong: torch.Tensor
    rows: list[dict[str, Any]]

    def take(self, which: torch.Tensor) -> "Scored":
        """A part of the pictures."""
        rows = [self.rows[int(i)] for i in which]
        return Scored(self.x[which], self.logits[which], self.label[which], self.wrong[which], rows)


@torch.no_grad()
def score(tower: Tower, images: Path, rows: list[dict[str, Any]]) -> Scored:
    """Run the model on the pictures of ``rows``."""
    parts, logits = [], []
    for i in range(0, len(rows), 128):
        raw = np.stack([np.asarray(Image.open(images / r["path"])) for r in rows[i : i + 128]])
        parts.append(tower.start(to_pixels(raw)))
        logits.append(tower.finish(parts[-1]))
    label = torch.tensor([CLASSES.index(r["label"]) for r in rows])
    wrong = torch.tensor([CLASSES.index(r["wrong"]) if r["wrong"] else -1 for r in rows])
    return Scored(torch.cat(parts), torch.cat(logits), label, wrong, rows)


def attribute(tower: Tower, sae: Sae, s: Scored) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """R ``[n, f]`` of the margin wrong over true, the code ``[n, t, f]`` and its firing ``[n, f]``."""
    scores, codes = [], []
    for i in range(0, len(s.x), 64):
        x = s.x[i : i + 64].clone().requires_grad_()
        logits = tower.finish(x)
        row = torch.arange(len(x))
        y = logits[row, s.wrong[i : i + 64]] - logits[row, s.label[i : i + 64]]
        (gradient,) = torch.autograd.grad(y.sum(), x)
        with torch.no_grad():
            code = sae.encode(x)
            scores.append((code * (gradient @ sae.W_dec.T)).sum(1))
            codes.append(code.half())
    return torch.cat(scores), torch.cat(codes), torch.cat([c.amax(1) > 0 for c in codes])


@torch.no_grad()
def steer(tower: Tower, sae: Sae, s: Scored, code: torch.Tensor, m: torch.Tensor) -> torch.Tensor:
    """Classes ``[n]`` predicted with the scales ``m [n, f]``."""
    out = []
    for i in range(0, len(s.x), 64):
        change = (code[i : i + 64].float() * m[i : i + 64, None]) @ sae.W_dec
        out.append(tower.finish(s.x[i : i + 64] + change).argmax(1))
    return torch.cat(out)


def scales(shape: torch.Size, off: torch.Tensor | None, doubled: torch.Tensor | None) -> torch.Tensor:
    """``m [n, f]`` with -1 at ``off [n, k]`` and +1 at ``doubled [n, k]``."""
    m = torch.zeros(shape)
    for which, value in ((off, -1.0), (doubled, 1.0)):
        if which is not None:
            m.scatter_(1, which, value)
    return m


def task_a(tower: Tower, sae: Sae, images: Path, rows: list[dict[str, Any]]) -> None:
    """Attack success, and what switching off and doubling three features does."""
    by_path = {r["path"]: r for r in rows}
    for attack in ATTACKS:
        attacked = [r for r in rows if r["group"] == attack]
        s = score(tower, images, attacked)
        twin = score(tower, images, [by_path[r["twin"]] for r in attacked])
        clean_right = twin.logits.argmax(1) == twin.label
        hit = s.logits.argmax(1) == s.wrong
        print(f"{attack}: clean {share(clean_right)}  attack succeeds {share(hit)}")
        part = s.take((hit & clean_right).nonzero()[:, 0])
        if not len(part.x):
            continue
        r, code, fires = attribute(tower, sae, part)
        off = r.topk(3, dim=1).indices
        double = (-r).topk(3, dim=1).indices
        said = steer(tower, sae, part, code, scales(r.shape, off, None))
        both = steer(tower, sae, part, code, scales(r.shape, off, double))
        random = torch.rand(r.shape).masked_fill(~fires, -1).topk(3, dim=1).indices
        control = steer(tower, sae, part, code, scales(r.shape, random, None))
        print(
            f"   off 3: unseated {share(said != part.wrong)} true {share(said == part.label)}"
            f"  off 3 + double 3: true {share(both == part.label)}"
            f"  random 3: unseated {share(control != part.wrong)}"
        )


def task_b(tower: Tower, sae: Sae, images: Path, rows: list[dict[str, Any]], chosen: list[int]) -> None:
    """Women doctors read as nurses, with ``chosen`` features off."""
    medical = score(tower, images, [r for r in rows if r["group"] in ("medical", "profession")])
    said = medical.logits.argmax(1)
    with torch.no_grad():
        code = torch.cat([sae.encode(x).half() for x in medical.x.split(64)])
    m = scales(torch.Size((len(said), sae.W_enc.shape[1])), torch.tensor([chosen]).expand(len(said), -1), None)
    after = steer(tower, sae, medical, code, m)
    kind = [(r["label"], r["gender"]) for r in medical.rows]
    doctor, nurse = CLASSES.index("doctor"), CLASSES.index("nurse")
    for name, now in (("before", said), ("after", after)):
        for pair in (("doctor", "woman"), ("doctor", "man"), ("nurse", "woman"), ("nurse", "man")):
            own = torch.tensor([k == pair for k in kind])
            print(f"   {name} {pair}: doctor {share(now[own] == doctor)} nurse {share(now[own] == nurse)}")
    misread = torch.tensor([k == ("doctor", "woman") for k in kind]) & (said == nurse)
    kept = torch.tensor([k == ("nurse", "woman") for k in kind]) & (said == nurse)
    others = torch.tensor([k[0] not in ("doctor", "nurse") and k[1] == "woman" for k in kind]) & (said == medical.label)
    print(
        f"   misread women doctors become doctor {share(after[misread] == doctor)}, women nurses stay"
        f" {share(after[kept] == nurse)}, women elsewhere stay {share(after[others] == medical.label[others])}"
    )


def woman_features(tower: Tower, sae: Sae, images: Path, rows: list[dict[str, Any]]) -> list[int]:
    """The three that speak most for nurse against doctor on misread women doctors (validation)."""
    women = [dict(r, wrong="nurse") for r in rows if r["group"] == "medical" and r["label"] == "doctor" and r["gender"] == "woman"]
    s = score(tower, images, women)
    r, _, _ = attribute(tower, sae, s.take((s.logits.argmax(1) == s.wrong).nonzero()[:, 0]))
    return [int(i) for i in r.mean(0).topk(3).indices]


def share(hits: torch.Tensor) -> str:
    """Percentage and how many it is taken over."""
    return f"{100 * float(hits.float().mean()):.0f} % of {len(hits)}" if len(hits) else "none"


def main() -> None:
    """Command line: ``python -m demo.emojiland.evaluate``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, default=Path("demo/model"))
    parser.add_argument("--dictionary", type=Path, default=Path("demo/dictionaries/middle.safetensors"))
    parser.add_argument("--images", type=Path, default=Path("demo/images"))
    args = parser.parse_args()
    rows = [json.loads(line) for line in (args.images / "manifest.jsonl").read_text().splitlines()]
    test = [r for r in rows if r["split"] == "test"]
    validation = [r for r in rows if r["split"] == "validation"]
    sae = read_sae(args.dictionary)
    tower = Tower(load_model(args.model), sae.block)
    task_a(tower, sae, args.images, test)
    chosen = woman_features(tower, sae, args.images, validation)
    print("woman features", chosen)
    task_b(tower, sae, args.images, test, chosen)


if __name__ == "__main__":
    main()
