"""Train a TopK dictionary on the residual stream of the Emojiland model.

``z = relu(top_k((x - b_dec) W_enc + b_enc))`` and ``x_hat = z W_dec + b_dec`` with decoder rows of
unit length. Latents that have not fired for a while rebuild what the others leave over (the
auxiliary loss of Gao et al., arXiv 2406.04093).
"""

import argparse
import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from safetensors.torch import save_file
from torch.nn import functional

from demo.emojiland.architecture import load_model, to_pixels
from demo.emojiland.pictures import training_pictures

DEAD_AFTER = 150  # steps without firing
AUXILIARY_K = 64
AUXILIARY_WEIGHT = 1 / 16


@dataclass(frozen=True)
class Plan:
    """Where a dictionary stands and how it is trained."""

    name: str
    block: int
    tokens: str  # "all" or "prefix"
    size: int
    k: int
    steps: int
    few: float = 1.0  # weight of the loss with few features
    batch: int = 2048
    rate: float = 1e-3


PLANS = (
    Plan("middle", 3, "all", 2304, 32, 3600, few=2.0),
    Plan("last", 5, "prefix", 1536, 24, 1500, batch=1024),
)
# Of each batch over all tokens, besides the one in 65 it would be: the class is read from it.
PREFIX_SHARE = 0.4
# The largest few features of a prefix token shall say most of it (multi-top-k of Gao et al.):
# then few need to be moved to change an answer.
FEW = 3


@torch.inference_mode()
def activations(model: Any, pixels: npt.NDArray[np.uint8], block: int) -> torch.Tensor:
    """Output of a block ``[n, t, d]``, half precision; the last block's prefix ``[n, 1, d]``."""
    kept: list[torch.Tensor] = []
    blocks = model.visual.transformer.resblocks

    def keep(_module: object, _inputs: object, output: torch.Tensor) -> None:
        kept.append((output[:, :1] if block == len(blocks) - 1 else output).half().clone())

    hook = blocks[block].register_forward_hook(keep)
    try:
        for start in range(0, len(pixels), 256):
            model.encode_image(to_pixels(pixels[start : start + 256]))
    finally:
        hook.remove()
    return torch.cat(kept)


class Dictionary(torch.nn.Module):
    """The parameters, and one pass over ``x [n, d]``."""

    def __init__(self, mean: torch.Tensor, plan: Plan) -> None:
        super().__init__()
        rows = functional.normalize(torch.randn(plan.size, len(mean)), dim=1)
        self.k = plan.k
        self.W_dec = torch.nn.Parameter(rows.clone())
        self.W_enc = torch.nn.Parameter(rows.T.clone().contiguous())
        self.b_enc = torch.nn.Parameter(torch.zeros(plan.size))
        self.b_dec = torch.nn.Parameter(mean.clone())

    def pre(self, x: torch.Tensor) -> torch.Tensor:
        """Pre-activations ``[n, f]``."""
        return (x - self.b_dec) @ self.W_enc + self.b_enc

    def rebuild(self, pre: torch.Tensor, k: int) -> tuple[torch.Tensor, torch.Tensor]:
        """``x_hat - b_dec [n, d]`` from the k largest, and which latents those are ``[n, k]``."""
        values, which = pre.topk(k, dim=1)
        code = torch.zeros_like(pre).scatter(1, which, values.relu())
        return code @ self.W_dec, which


def draw(x: torch.Tensor, count: int) -> torch.Tensor:
    """Random rows ``[count, d]`` of ``x [n, t, d]``, a share of them prefix tokens."""
    prefix = 0 if x.shape[1] == 1 else round(PREFIX_SHARE * count)
    token = torch.randint(x.shape[1], (count,))
    token[:prefix] = 0
    return x[torch.randint(len(x), (count,)), token].float()


def fit(x: torch.Tensor, plan: Plan) -> Dictionary:
    """Train on tokens ``x [n, t, d]``."""
    torch.manual_seed(1)
    sample = draw(x, 20_000)
    dictionary = Dictionary(sample.mean(0), plan)
    scale = (sample - dictionary.b_dec.data).norm(dim=1).mean()
    optimiser = torch.optim.Adam(dictionary.parameters(), lr=plan.rate, betas=(0.9, 0.99))
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: pace(step, plan.steps))
    idle = torch.zeros(plan.size)
    for step in range(1, plan.steps + 1):
        loss, which = losses(dictionary, draw(x, plan.batch), idle > DEAD_AFTER, plan.few)
        idle += 1
        idle[which.flatten()] = 0
        optimiser.zero_grad()
        (loss / scale**2).backward()
        optimiser.step()
        schedule.step()
        with torch.no_grad():
            dictionary.W_dec.copy_(functional.normalize(dictionary.W_dec, dim=1))
        if step % 250 == 0:
            dead = int((idle > DEAD_AFTER).sum())
            print(f"{plan.name} {step} loss {float(loss.detach()):.3f} idle {dead}", flush=True)
    return dictionary


def pace(step: int, steps: int) -> float:
    """Share of the peak learning rate: up over 50 steps, down over the last three fifths."""
    return min(1.0, (step + 1) / 50, 1.67 * (1 - step / steps))


def losses(
    dictionary: Dictionary, x: torch.Tensor, dead: torch.Tensor, few_weight: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """Squared error a row, the same with few features, the auxiliary loss; who fired."""
    pre = dictionary.pre(x)
    centred = x - dictionary.b_dec
    rebuilt, which = dictionary.rebuild(pre, dictionary.k)
    left = centred - rebuilt
    loss = left.square().sum(1).mean()
    prefix = round(PREFIX_SHARE * len(x))
    few, _ = dictionary.rebuild(pre[:prefix], FEW)
    loss = loss + few_weight * (centred[:prefix] - few).square().sum(1).mean()
    if int(dead.sum()) >= AUXILIARY_K:
        masked = pre.masked_fill(~dead, -torch.inf)
        again, _ = dictionary.rebuild(masked, AUXILIARY_K)
        loss = loss + AUXILIARY_WEIGHT * (left.detach() - again).square().sum(1).mean()
    return loss, which


def write(dictionary: Dictionary, plan: Plan, path: Path, pictures: int) -> None:
    """Save in the project's own format: safetensors with a JSON header."""
    header = {
        "schema": 1, "architecture": "topk", "k": plan.k, "normalize": "none",
        "site": f"resid_post.{plan.block}", "tokens": plan.tokens,
        "d_in": dictionary.W_dec.shape[1], "d_sae": plan.size,
        "training": {"pictures": pictures, "steps": plan.steps, "batch": plan.batch, "seed": 1},
    }  # fmt: skip
    path.parent.mkdir(parents=True, exist_ok=True)
    weights = {name: value.detach().half() for name, value in dictionary.named_parameters()}
    save_file(weights, path, {"steerboard.dictionary": json.dumps(header)})


def pictures(cache: Path, share: float) -> npt.NDArray[np.uint8]:
    """Pictures of all kinds, attacked ones of their own seeds among them, ``[n, h, w, 3]``."""
    kinds = {"train": 24_000, "medical": 6_000, "attacked": 2_400}
    parts = [training_pictures(cache, round(share * n), kind)[0] for kind, n in kinds.items()]
    return np.concatenate(parts)


def main() -> None:
    """Command line: ``python -m demo.emojiland.train_dictionary``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, default=Path("demo/model"))
    parser.add_argument("--out", type=Path, default=Path("demo/dictionaries"))
    parser.add_argument("--cache", type=Path, default=Path("build/emojiland"))
    parser.add_argument("--share", type=float, default=1.0, help="of the pictures and steps")
    args = parser.parse_args()
    model, pixels = load_model(args.model), pictures(args.cache, args.share)
    for plan in PLANS:
        plan = replace(plan, steps=round(plan.steps * args.share))
        x = activations(model, pixels, plan.block)
        write(fit(x, plan), plan, args.out / f"{plan.name}.safetensors", len(pixels))


if __name__ == "__main__":
    main()
