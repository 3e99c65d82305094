"""Evidence over pictures whose activations are kept on disk, against full forwards.

``python -m bench.evidence [last|middle|exact] [--pictures N] [--together 32 128]``: ViT-B/32 with
random weights, the engine of the inference service in this process, two threads. *last* edits the
last block's CLS, *middle* block 8 of 12. Rows of a set are kept beforehand; pictures are then asked
for by digest alone, as many to a question as evidence runs ask, and as many as a batch holds.
Seconds are of the clock and of the processor (cpu), which load hardly changes. *exact* is
Emojiland: answers from the disk beside answers in full precision.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from bench.house import Plan, build, pictures
from services.inference.loading import behind_engine
from steerboard.analysis.evidence.answers import Task, ask
from steerboard.analysis.evidence.pictures import ManifestSet
from steerboard.analysis.evidence.steps import TOGETHER
from steerboard.inprocess.kept import Kept, Place
from steerboard.inprocess.kernel import DirectKernel, Row
from steerboard.spec.digest import image_digest
from steerboard.spec.edits import Direction, Edit, Mask, Scale, SteerSet, scale
from steerboard.spec.tensor import Tensor

BATCH = 128
FULL = 64  # pictures of a full forward
BLOCKS = {"last": 11, "middle": 7}


def steer_at(block: int, width: int) -> SteerSet:
    """One free direction off; at the last block on the class token alone."""
    unit = Direction(values=Tensor.of(np.random.default_rng(0).standard_normal(width)))
    mask = Mask(kind="prefix") if block == BLOCKS["last"] else Mask()
    edit = Edit(site=f"resid_post.{block}", unit=unit, op=Scale(m=-1.0), mask=mask)
    return SteerSet(edits=(edit,))


class Known:
    """A picture of which there is a digest, and nothing else."""

    held = True

    def __init__(self, number: int) -> None:
        self.key = str(number)
        self.sha256 = image_digest(self.key.encode())
        self.label, self.attributes = "", {}

    @property
    def data(self) -> bytes:
        raise AssertionError("no picture may be read")


def fill(kept: Kept, fingerprint: str, block: int, rows: torch.Tensor, known: list[Known]) -> float:
    """Keep ``rows [r, t, d]`` in turn under the names of all pictures; seconds."""
    began, short = time.perf_counter(), rows.shape[1] == 1
    for start in range(0, len(known), BATCH):
        part = known[start : start + BATCH]
        places = [Place(fingerprint, f"/{p.sha256}", block + 1, short) for p in part]
        which = [(start + i) % len(rows) for i in range(len(part))]
        kept.put(places, rows[which])
    return time.perf_counter() - began


def speed(where: str, count: int, together: list[int]) -> dict[str, float]:
    """Milliseconds a picture: a full forward, the suffix alone, evidence from the disk."""
    served, block = build(Plan("ViT-B-32")), BLOCKS[where]
    tower, fingerprint = served.loaded.tower, served.info.fingerprint
    pixels = [torch.from_numpy(p) for p in pictures(FULL, 0, tower.image_size)]
    full, full_cpu = per_picture(lambda part: tower.run(tower.start(torch.stack(part)), 0), pixels)
    with torch.inference_mode():
        x = tower.start(torch.stack(pixels))
        for index in range(block + 1):
            x = tower.block(x, index)
    watched = {f"resid_post.{block}"}
    suffix, suffix_cpu = per_picture(
        lambda part: tower.run(torch.stack(part), block + 1, watched=watched), list(x)
    )
    known, steer = [Known(i) for i in range(count)], steer_at(block, tower.width)
    rows = x[:, :1] if where == "last" else x
    with tempfile.TemporaryDirectory() as folder:
        kept = Kept(Path(folder), 16 * 2**30)
        wrote = fill(kept, fingerprint, block, rows, known)
        asked = {}
        for size in together:  # behind an engine of its own, which knows no clean answer yet
            runner, engine = behind_engine({"ViT-B-32": served}, "", kept=kept)
            asked[size] = timed(runner, known, steer, size)
            runner.close()
            engine.close()
        kept.close()
    out = {
        "pictures": count, "full forward ms": full, "full forward cpu ms": full_cpu,
        "suffix ms": suffix, "suffix cpu ms": suffix_cpu, "kept ms": 1000 * wrote / count,
        "bound by two suffixes": full / (2 * suffix),
    }  # fmt: skip
    for size, (took, cpu) in asked.items():
        out |= {
            f"{size} together: s": took, f"{size} together: ms": 1000 * took / count,
            f"{size} together: cpu ms": 1000 * cpu / count,
            f"{size} together: times faster": full / (1000 * took / count),
            f"{size} together: times faster by cpu": full_cpu / (1000 * cpu / count),
            f"{size} together: share of two suffixes": 2 * suffix / (1000 * took / count),
            f"{size} together: share by cpu": 2 * suffix_cpu / (1000 * cpu / count),
        }  # fmt: skip
    return out


def timed(runner, known: list[Known], steer: SteerSet, size: int) -> tuple[float, float]:
    """Seconds of the clock and of the processor for all pictures, ``size`` to a question."""
    info = runner.model("ViT-B-32")
    began, cpu = time.perf_counter(), time.process_time()
    tasks = (Task(tuple(known[i : i + size]), (steer,)) for i in range(0, len(known), size))
    answered = sum(len(a.pictures) for a in ask(runner, info, tasks))
    assert answered == len(known)
    return time.perf_counter() - began, time.process_time() - cpu


def per_picture(compute, items) -> tuple[float, float]:
    """Milliseconds of the clock and of the processor, the best of three turns in batches."""
    best = [float("inf")] * 2
    for _ in range(3):
        began, cpu = time.perf_counter(), time.process_time()
        with torch.inference_mode():
            for start in range(0, len(items), BATCH):
                compute(items[start : start + BATCH])
        took = time.perf_counter() - began, time.process_time() - cpu
        best = [min(b, 1000 * t / len(items)) for b, t in zip(best, took, strict=True)]
    return best[0], best[1]


def exact(count: int) -> dict[str, float]:
    """Emojiland: how far logits and answers from the disk lie from exact ones."""
    from steerboard.inprocess.config import read_config
    from steerboard.inprocess.served import serve

    config, base = read_config(Path("demo"))
    served = serve("emojiland", config.models["emojiland"], base, "")
    entry = config.image_sets["emojiland"]
    found = ManifestSet("emojiland", base / entry.images, base / entry.manifest, "validation")
    chosen = list(found)[:: max(1, len(found) // count)]
    rows = [Row(p.key, served.loaded.pixels(p.data)) for p in chosen]
    head = served.loaded.logit_scale * served.loaded.text(
        [served.info.template.replace("{}", name) for name in served.info.prompts]
    )
    out: dict[str, float] = {"pictures": len(rows)}
    for name, site in (("middle", "resid_post.3"), ("last", "resid_post.5")):
        steer = scale(site, name, -1.0, *range(0, 400, 4))
        both = [Row(r.image, r.pixels, s) for r in rows for s in (SteerSet(), steer)]
        with tempfile.TemporaryDirectory() as folder:
            kept = Kept(Path(folder), 2**30)
            here = DirectKernel().embed(served, both) @ head.T
            DirectKernel(kept=kept).embed(served, both)
            disk = DirectKernel(kept=kept).embed(served, both) @ head.T
            kept.close()
        out[f"{name}: largest difference of a logit"] = float((here - disk).abs().max())
        out[f"{name}: other answers"] = int((here.argmax(1) != disk.argmax(1)).sum())
        out[f"{name}: answers"] = len(both)
    return out


def lines() -> Iterator[dict[str, float]]:
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=("last", "middle", "exact"))
    parser.add_argument("--pictures", type=int, default=10_000)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--together", type=int, nargs="+", default=[TOGETHER, BATCH])
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    yield (
        exact(given.pictures)
        if given.what == "exact"
        else speed(given.what, given.pictures, given.together)
    )


if __name__ == "__main__":
    for line in lines():
        print(json.dumps(line, indent=1))
