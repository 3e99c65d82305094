"""Train the open_clip model of Emojiland, image and text tower together.

Every class is written in a template drawn anew at each step; the loss is contrastive in both
directions, with all pictures of a class as positives of its text. For the first eighth of the
steps half of each batch shows a label strip and nothing else, and for the first quarter a plain
classifier teaches the image tower beside the text tower: without that warm-up the model does not
learn to read. The classifier is thrown away.
"""

import argparse
import json
import math
import time
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file
from torch.nn import functional

from steerboard.model import torchvision_ops  # noqa: F401  (before open_clip)

import open_clip  # isort: skip

from demo.emojiland.pictures import Pictures, training_pictures
from demo.emojiland.world import CLASSES, TEMPLATES

MEAN, STD = 0.5, 0.25
CONFIG: dict[str, Any] = {
    "model_cfg": {
        "embed_dim": 128,
        "vision_cfg": {
            "image_size": 96, "patch_size": 12, "width": 192, "layers": 6, "head_width": 64,
        },
        "text_cfg": {
            "context_length": 24, "vocab_size": 49408, "width": 128, "heads": 4, "layers": 3,
        },
    },
    "preprocess_cfg": {
        "mean": [MEAN] * 3, "std": [STD] * 3, "interpolation": "bicubic",
        "resize_mode": "shortest", "size": 96,
    },
}  # fmt: skip
BATCH = 64
WARM_UP = 100
STRIP_SHARE_LATER = 0.06


def texts(random: Random) -> torch.Tensor:
    """Tokens ``[c, 24]``: every class in a template of its own."""
    sentences = [random.choice(TEMPLATES).format(name) for name in CLASSES]
    return open_clip.tokenize(sentences, context_length=24)


def to_pixels(raw: np.ndarray) -> torch.Tensor:
    """uint8 ``[b, h, w, 3]`` to the normalised ``[b, 3, h, w]`` that the model wants."""
    return ((torch.from_numpy(raw).permute(0, 3, 1, 2).float() / 255) - MEAN) / STD


def jitter(pixels: torch.Tensor) -> torch.Tensor:
    """Brightness and contrast moved a little, one draw an image."""
    contrast = 1 + 0.15 * torch.randn(len(pixels), 1, 1, 1)
    return pixels * contrast + 0.15 * torch.randn(len(pixels), 3, 1, 1)


def batches(pictures: Pictures, strips: Pictures, steps: int, seed: int) -> Iterator[Pictures]:
    """One batch a step: raw pixels and classes, mixed from both sets."""
    rng = np.random.default_rng(seed)
    for step in range(steps):
        share = 0.5 if step < steps // 8 else STRIP_SHARE_LATER
        from_strips = round(BATCH * share)
        a = rng.integers(0, len(pictures[1]), BATCH - from_strips)
        b = rng.integers(0, len(strips[1]), from_strips)
        yield (
            np.concatenate([pictures[0][a], strips[0][b]]),
            np.concatenate([pictures[1][a], strips[1][b]]),
        )


def contrastive(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Cross-entropy image to text, and text to all its images; logits ``[b, c]``."""
    to_text = functional.cross_entropy(logits, labels, label_smoothing=0.02)
    present = functional.one_hot(labels, logits.shape[1]).float()
    per_text = (logits.log_softmax(0) * present).sum(0) / present.sum(0).clamp(min=1)
    return to_text - 0.2 * per_text[present.any(0)].mean()


def rate(step: int, steps: int) -> float:
    """Share of the peak learning rate: warm-up, then a cosine to nothing."""
    if step < WARM_UP:
        return step / WARM_UP
    return 0.5 * (1 + math.cos(math.pi * (step - WARM_UP) / (steps - WARM_UP)))


def train(model: Any, pictures: Pictures, strips: Pictures, steps: int, out: Path) -> None:
    """Train in place; a checkpoint and a line of progress every 200 steps."""
    decayed = [p for p in model.parameters() if p.ndim > 1]
    free = [p for p in model.parameters() if p.ndim <= 1]
    teacher = torch.nn.Linear(CONFIG["model_cfg"]["embed_dim"], len(CLASSES))
    free.extend(teacher.parameters())
    groups = [{"params": decayed, "weight_decay": 0.05}, {"params": free, "weight_decay": 0.0}]
    optimiser = torch.optim.AdamW(groups, lr=7e-4, betas=(0.9, 0.98))
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: rate(step, steps))
    random, start, right, loss_sum = Random(0), time.time(), 0.0, 0.0
    for step, (raw, classes) in enumerate(batches(pictures, strips, steps, seed=0), 1):
        labels = torch.from_numpy(classes)
        embedding = model.encode_image(jitter(to_pixels(raw)))
        image = functional.normalize(embedding, dim=-1)
        text = functional.normalize(model.encode_text(texts(random)), dim=-1)
        logits = model.logit_scale.exp() * image @ text.T
        loss = contrastive(logits, labels)
        if step < steps // 4:
            loss = loss + functional.cross_entropy(teacher(embedding), labels)
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        model.logit_scale.data.clamp_(0, math.log(60))
        right += float((logits.argmax(1) == labels).float().mean()) / 50
        loss_sum += float(loss.detach()) / 50
        if step % 50 == 0:
            print(f"step {step}/{steps} loss {loss_sum:.3f} right {right:.3f} {time.time() - start:.0f} s", flush=True)
            right = loss_sum = 0.0
        if step % 200 == 0 or step == steps:
            save(model, out)


def save(model: Any, out: Path) -> None:
    """Write an open_clip ``local-dir:`` folder, weights in half precision."""
    out.mkdir(parents=True, exist_ok=True)
    weights = {k: v.detach().half().contiguous() for k, v in model.state_dict().items()}
    save_file(weights, out / "open_clip_model.safetensors")
    (out / "open_clip_config.json").write_text(json.dumps(CONFIG, indent=1) + "\n")


def new_model(seed: int = 0) -> Any:
    """The untrained model."""
    torch.manual_seed(seed)
    return open_clip.CLIP(**CONFIG["model_cfg"])


def main() -> None:
    """Command line: ``python -m demo.emojiland.train_model``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("demo/model"))
    parser.add_argument("--cache", type=Path, default=Path("build/emojiland"))
    parser.add_argument("--pictures", type=int, default=24_000)
    parser.add_argument("--steps", type=int, default=3_600)
    args = parser.parse_args()
    pictures = training_pictures(args.cache, args.pictures, strip_only=False)
    strips = training_pictures(args.cache, 5_000, strip_only=True)
    train(new_model(), pictures, strips, args.steps, args.out)


if __name__ == "__main__":
    main()
