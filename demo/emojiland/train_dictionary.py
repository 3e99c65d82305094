"""Train a TopK dictionary on the residual stream of the Emojiland model.

``z = relu(top_k((x - b_dec) W_enc + b_enc))`` and ``x_hat = z W_dec + b_dec`` with decoder rows of
unit length. Latents that have not fired for a while rebuild what the others leave over (the
auxiliary loss of Gao et al., arXiv 2406.04093).
"""

import argparse
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
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
    batch: int = 2048
    rate: float = 1e-3


PLANS = (
    Plan("middle", 3, "all", 1536, 16, 2500),
    Plan("last", 5, "prefix", 1536, 16, 1500),
)


@torch.inference_mode()
def activations(model: Any, pixels: np.ndarray, plan: Plan) -> torch.Tensor:
    """Output of the plan's block over its tokens, ``[n, t, d]``, half precision."""
    kept: list[torch.Tensor] = []

    def keep(_module: object, _inputs: object, output: torch.Tensor) -> None:
        part = output[:, :1] if plan.tokens == "prefix" else output
        kept.append(part.half().clone())

    hook = model.visual.transformer.resblocks[plan.block].register_forward_hook(keep)
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


def fit(x: torch.Tensor, plan: Plan) -> Dictionary:
    """Train on rows ``x [n, d]``."""
    torch.manual_seed(1)
    dictionary = Dictionary(x[:20_000].float().mean(0), plan)
    scale = (x[:20_000].float() - dictionary.b_dec.data).norm(dim=1).mean()
    optimiser = torch.optim.Adam(dictionary.parameters(), lr=plan.rate, betas=(0.9, 0.99))
    idle = torch.zeros(plan.size)
    for step in range(plan.steps):
        decay = min(1.0, 5 * (1 - step / plan.steps), (step + 1) / 50)
        for group in optimiser.param_groups:
            group["lr"] = plan.rate * decay
        batch = x[torch.randint(len(x), (plan.batch,))].float()
        loss, which = losses(dictionary, batch, idle > DEAD_AFTER)
        idle += 1
        idle[which.unique()] = 0
        optimiser.zero_grad()
        (loss / scale**2).backward()
        optimiser.step()
        with torch.no_grad():
            dictionary.W_dec.copy_(functional.normalize(dictionary.W_dec, dim=1))
        if (step + 1) % 250 == 0:
            print(f"{plan.name} {step + 1} loss {float(loss):.3f} idle {int((idle > DEAD_AFTER).sum())}", flush=True)
    return dictionary


def losses(
    dictionary: Dictionary, x: torch.Tensor, dead: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Squared error a row plus the auxiliary loss, and the latents that fired."""
    pre = dictionary.pre(x)
    rebuilt, which = dictionary.rebuild(pre, dictionary.k)
    left = x - dictionary.b_dec - rebuilt
    loss = left.square().sum(1).mean()
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




def main() -> None:
    """Command line: ``python -m demo.emojiland.train_dictionary``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, default=Path("demo/model"))
    parser.add_argument("--out", type=Path, default=Path("demo/dictionaries"))
    parser.add_argument("--cache", type=Path, default=Path("build/emojiland"))
    parser.add_argument("--pictures", type=int, default=24_000)
    parser.add_argument("--used", type=int, default=10_000)
    parser.add_argument("--steps", type=float, default=1.0, help="multiplies the steps of the plans")
    args = parser.parse_args()
    model = load_model(args.model)
    pixels, _ = training_pictures(args.cache, args.pictures)
    for plan in PLANS:
        used = args.used if plan.tokens == "all" else args.pictures
        x = activations(model, pixels[:used], plan).flatten(0, 1)
        plan = Plan(**{**vars(plan), "steps": round(plan.steps * args.steps)})
        write(fit(x, plan), plan, args.out / f"{plan.name}.safetensors", used)


if __name__ == "__main__":
    main()
