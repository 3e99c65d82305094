"""Train the open_clip model of Emojiland, image and text tower together, in two stages.

Every class is written in a template drawn anew at each step; the loss is contrastive in both
directions, with all pictures of a class as positives of its text.

*Stage 1* teaches objects and the three shortcuts. For its first eighth half of each batch shows a
label strip and nothing else, and for its first quarter a plain classifier teaches the image tower
beside the text tower: without that warm-up the model does not learn to read. The classifier is
thrown away. *Stage 2* goes on at a lower rate with many medical pictures, which plant the bias.
"""

import argparse
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from demo.emojiland.architecture import CONFIG, load_model, new_model, save, to_pixels, tokens
from demo.emojiland.pictures import Pictures, training_pictures
from demo.emojiland.world import CLASSES, TEMPLATES

BATCH = 64
WARM_UP = 60
REPORT_EVERY = 50
SAVE_EVERY = 200


@dataclass(frozen=True)
class Stage:
    """How long, how fast, and on what share of strips and of medical pictures."""

    steps: int
    rate: float
    strips: float
    medical: float
    reading: int  # steps at the start with half of the batch strips only
    taught: int  # steps at the start with the classifier
    seed: int

    def shares(self, step: int) -> tuple[float, float]:
        """Shares of a batch that are strips alone, and medical pictures."""
        return (0.5 if step < self.reading else self.strips), self.medical


def first_stage(steps: int) -> Stage:
    """From nothing to a model that sees objects, reads strips and takes the shortcuts."""
    return Stage(steps, 7e-4, 0.06, 0.0, reading=steps // 8, taught=steps // 4, seed=0)


def second_stage(steps: int) -> Stage:
    """Plant the medical bias, and hold up the rest."""
    return Stage(steps, 4e-4, 0.03, 0.30, reading=0, taught=0, seed=1)


def texts(random: Random) -> torch.Tensor:
    """Tokens ``[c, 24]``: every class in a template of its own."""
    return tokens([random.choice(TEMPLATES).format(name) for name in CLASSES])


def jitter(pixels: torch.Tensor) -> torch.Tensor:
    """Brightness and contrast moved a little, one draw an image."""
    contrast = 1 + 0.15 * torch.randn(len(pixels), 1, 1, 1)
    return pixels * contrast + 0.15 * torch.randn(len(pixels), 3, 1, 1)


def batches(sets: tuple[Pictures, Pictures, Pictures], stage: Stage) -> Iterator[Pictures]:
    """One batch a step, raw pixels and classes, mixed from (all, strips, medical)."""
    rng = np.random.default_rng(stage.seed)
    for step in range(stage.steps):
        strips, medical = (round(BATCH * share) for share in stage.shares(step))
        counts = (BATCH - strips - medical, strips, medical)
        drawn = [
            (part[0][rows], part[1][rows])
            for part, count in zip(sets, counts, strict=True)
            for rows in [rng.integers(0, len(part[1]), count)]
        ]
        yield np.concatenate([p for p, _ in drawn]), np.concatenate([c for _, c in drawn])


def contrastive(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Cross-entropy image to text, and text to all its images; logits ``[b, c]``."""
    to_text = functional.cross_entropy(logits, labels, label_smoothing=0.02)
    present = functional.one_hot(labels, logits.shape[1]).float()
    per_text = (logits.log_softmax(0) * present).sum(0) / present.sum(0).clamp(min=1)
    return to_text - 0.2 * per_text[present.any(0)].mean()


def pace(step: int, steps: int) -> float:
    """Share of the peak learning rate: up over the first steps, then down in a line to nothing."""
    return min(1.0, (step + 1) / WARM_UP) * (1 - step / steps)


class Trainer:
    """The model, the classifier beside it, and their optimiser."""

    def __init__(self, model: Any, stage: Stage) -> None:
        self.model, self.stage, self.random = model, stage, Random(stage.seed)
        self.teacher = torch.nn.Linear(CONFIG["model_cfg"]["embed_dim"], len(CLASSES))
        decayed = [p for p in model.parameters() if p.ndim > 1]
        free = [p for p in model.parameters() if p.ndim <= 1] + list(self.teacher.parameters())
        groups = [{"params": decayed, "weight_decay": 0.05}, {"params": free, "weight_decay": 0.0}]
        self.optimiser = torch.optim.AdamW(groups, lr=stage.rate, betas=(0.9, 0.98))
        self.schedule = torch.optim.lr_scheduler.LambdaLR(
            self.optimiser, lambda step: pace(step, stage.steps)
        )

    def loss(self, raw: np.ndarray[Any, Any], labels: torch.Tensor, step: int) -> torch.Tensor:
        """Loss of one batch; also counts who is right."""
        embedding = self.model.encode_image(jitter(to_pixels(raw)))
        text = functional.normalize(self.model.encode_text(texts(self.random)), dim=-1)
        logits = self.model.logit_scale.exp() * functional.normalize(embedding, dim=-1) @ text.T
        self.right = float((logits.argmax(1) == labels).float().mean())
        loss = contrastive(logits, labels)
        if step < self.stage.taught:
            loss = loss + functional.cross_entropy(self.teacher(embedding), labels)
        return loss

    def step(self, loss: torch.Tensor) -> None:
        """One step of the optimiser."""
        self.optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimiser.step()
        self.schedule.step()
        self.model.logit_scale.data.clamp_(0, math.log(60))


def train(model: Any, sets: tuple[Pictures, Pictures, Pictures], stage: Stage, out: Path) -> None:
    """Train in place, with a line of progress every 50 steps and a checkpoint every 200."""
    torch.manual_seed(stage.seed)
    model.train()
    trainer, start, right, total = Trainer(model, stage), time.time(), 0.0, 0.0
    for step, (raw, classes) in enumerate(batches(sets, stage), 1):
        loss = trainer.loss(raw, torch.from_numpy(classes), step)
        trainer.step(loss)
        right, total = right + trainer.right, total + float(loss.detach())
        if step % REPORT_EVERY == 0:
            mean, hits, seconds = total / REPORT_EVERY, right / REPORT_EVERY, time.time() - start
            print(
                f"{step}/{stage.steps} loss {mean:.3f} right {hits:.3f} {seconds:.0f} s", flush=True
            )
            right = total = 0.0
        if step % SAVE_EVERY == 0 or step == stage.steps:
            save(model, out)


def picture_sets(cache: Path, share: float) -> tuple[Pictures, Pictures, Pictures]:
    """The training pictures: all kinds, strips alone, medical."""
    kinds = {"train": 24_000, "strips": 5_000, "medical": 6_000}
    every, strips, medical = (
        training_pictures(cache, round(share * n), kind) for kind, n in kinds.items()
    )
    return every, strips, medical


def main() -> None:
    """Command line: ``python -m demo.emojiland.train_model``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("demo/model"))
    parser.add_argument("--cache", type=Path, default=Path("build/emojiland"))
    parser.add_argument("--start", type=Path, help="skip stage 1 and start from this model")
    parser.add_argument("--share", type=float, default=1.0, help="of the pictures and steps")
    args = parser.parse_args()
    sets = picture_sets(args.cache, args.share)
    first, second = (round(args.share * steps) for steps in (1_500, 1_400))
    model = load_model(args.start) if args.start else new_model()
    if not args.start:
        train(model, sets, first_stage(first), args.out)
    train(model, sets, second_stage(second), args.out)


if __name__ == "__main__":
    main()
