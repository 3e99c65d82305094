"""Passes over calibration pictures: activations at sites, answers with a reconstruction there."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from steerboard.dictionary.native import DictionaryFile
from steerboard.dictionary.pairings import Rows
from steerboard.dictionary.quality import split_tokens
from steerboard.model.placement import before, full
from steerboard.model.tower import Tower
from steerboard.spec.capabilities import TokenSet

BATCH = 64
SAMPLED = 1_024  # patches kept of a site that is only compared
ANSWERED = 64  # pictures whose answers are compared


@dataclass(frozen=True, eq=False)
class Activations:
    """Median token norm by site, and rows ``[n, d]`` by site and token type, on the CPU.

    Sites that a dictionary names have all their tokens, others of the same kind a sample.
    """

    n_bar: dict[str, float]
    rows: dict[str, Rows]


@torch.inference_mode()
def read_sites(tower: Tower, pixels: list[Tensor], wanted: set[str]) -> Activations:
    """One pass over pictures ``[3, h, w]``."""
    kinds = {site.partition(".")[0] for site in wanted}
    norms: dict[str, list[Tensor]] = {}
    kept: dict[str, dict[TokenSet, list[Tensor]]] = {}
    stride = max(1, tower.tokens * len(pixels) // SAMPLED)

    def visit(site: str, x: Tensor) -> Tensor:
        read = full(x).cpu()
        norms.setdefault(site, []).append(read.norm(dim=-1).flatten())
        if site.partition(".")[0] in kinds:
            for part, rows in split_tokens(read, "all", tower.site(site).prefix).items():
                thin = 1 if site in wanted or part == "prefix" else stride
                kept.setdefault(site, {}).setdefault(part, []).append(rows[::thin].clone())
        return x

    for start in range(0, len(pixels), BATCH):
        tower.run(tower.start(before(tower, pixels[start : start + BATCH])), 0, visit)
    n_bar = {site: float(torch.cat(parts).median()) for site, parts in norms.items()}
    rows: dict[str, Rows] = {
        site: {part: torch.cat(found) for part, found in parts.items()}
        for site, parts in kept.items()
    }
    return Activations(n_bar, rows)


@torch.inference_mode()
def agreement(
    tower: Tower, pixels: list[Tensor], file: DictionaryFile, texts: Tensor | None
) -> tuple[float | None, float]:
    """Answers with the reconstruction in place of its tokens, beside the clean ones.

    Args:
        tower: The image tower.
        pixels: Pictures; an even sample of them is used.
        file: The dictionary.
        texts: Text embeddings ``[c, e]`` of unit length.

    Returns:
        The share of pictures with the same best text (None without texts), and the mean cosine of
        the two embeddings.
    """
    few = pixels[:: -(-len(pixels) // ANSWERED)]
    x = before(tower, few)
    clean = functional.normalize(full(tower.run(tower.start(x), 0)).cpu(), dim=-1)
    moved = functional.normalize(
        full(tower.run(tower.start(x), 0, _replaced(tower, file))).cpu(), dim=-1
    )
    near = float((clean * moved).sum(-1).mean())
    if texts is None or len(texts) < 2:
        return None, near
    same = (clean @ texts.T).argmax(1) == (moved @ texts.T).argmax(1)
    return float(same.float().mean()), near


def _replaced(tower: Tower, file: DictionaryFile) -> Any:
    """A visit that puts ``x_hat`` in place; of a dictionary of directions, in the length of x."""
    prefix = tower.site(file.header.site).prefix

    def visit(site: str, x: Tensor) -> Tensor:
        if site != file.header.site:
            return x
        read = full(x).cpu()
        rebuilt = torch.stack([file.sae.decode(file.sae.encode(row), row) for row in read])
        if file.header.gate == "cosine":
            length = read.norm(dim=-1, keepdim=True)
            rebuilt = functional.normalize(rebuilt, dim=-1) * length
        if file.sae.tokens == "prefix":
            rebuilt[:, prefix:] = read[:, prefix:]
        elif file.sae.tokens == "patches":
            rebuilt[:, :prefix] = read[:, :prefix]
        return rebuilt.to(x)

    return visit
