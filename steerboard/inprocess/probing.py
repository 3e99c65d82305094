"""Passes over calibration pictures: activations at sites, answers with a reconstruction there."""

import math
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
SAMPLED = 2_048  # patches that pairings are compared on
ANSWERED = 64  # pictures whose answers are compared


@dataclass(frozen=True, eq=False)
class Activations:
    """Median token norm by site, and rows ``[n, d]`` by site and token type, on the CPU.

    ``whole`` holds the sites that a dictionary names, ``sample`` the same few tokens of these and
    of all others of their kind.
    """

    n_bar: dict[str, float]
    whole: dict[str, Rows]
    sample: dict[str, Rows]


@dataclass(frozen=True, eq=False)
class Head:
    """Scores of classes from unit-length embeddings: ``weight [c, e]``, ``bias [c]`` or none."""

    weight: Tensor
    bias: Tensor | None = None

    def top(self, embeddings: Tensor) -> Tensor:
        """The best class ``[b]`` of ``embeddings [b, e]``."""
        return functional.linear(embeddings, self.weight, self.bias).argmax(1)


@torch.inference_mode()
def read_sites(tower: Tower, pixels: list[Tensor], wanted: set[str]) -> Activations:
    """One pass over pictures ``[3, h, w]``."""
    kinds = {site.partition(".")[0] for site in wanted}
    norms: dict[str, list[Tensor]] = {}
    whole, sample = _Collected(), _Collected()
    share = SAMPLED / (tower.tokens * len(pixels))

    def visit(site: str, x: Tensor) -> Tensor:
        read = full(x).cpu()
        norms.setdefault(site, []).append(read.norm(dim=-1).flatten())
        prefix = tower.site(site).prefix
        if site in wanted:
            whole.add(site, read, prefix, 1.0)
        if site.partition(".")[0] in kinds:
            sample.add(site, read, prefix, share)
        return x

    for start in range(0, len(pixels), BATCH):
        tower.run(tower.start(before(tower, pixels[start : start + BATCH])), 0, visit)
    n_bar = {site: float(torch.cat(parts).median()) for site, parts in norms.items()}
    return Activations(n_bar, whole.joined(), sample.joined())


class _Collected:
    """Rows by site and token type, of one batch after the other."""

    def __init__(self) -> None:
        self.parts: dict[str, dict[TokenSet, list[Tensor]]] = {}

    def add(self, site: str, x: Tensor, prefix: int, share: float) -> None:
        """All prefix rows, and of the patches a share, the same at every site of one grid."""
        mine = self.parts.setdefault(site, {})
        for part, rows in split_tokens(x, "all", prefix).items():
            if part == "patches" and share < 1:
                seed = sum(map(len, mine.get(part, ())))
                drawn = torch.randperm(len(rows), generator=torch.Generator().manual_seed(seed))
                rows = rows[drawn[: math.ceil(share * len(rows))]]
            mine.setdefault(part, []).append(rows.clone())

    def joined(self) -> dict[str, Rows]:
        """Everything."""
        return {
            site: {part: torch.cat(found) for part, found in parts.items()}
            for site, parts in self.parts.items()
        }


@torch.inference_mode()
def agreement(
    tower: Tower, pixels: list[Tensor], file: DictionaryFile, head: Head | None
) -> tuple[float | None, float]:
    """Answers with the reconstruction in place of its tokens, beside the clean ones.

    Args:
        tower: The image tower.
        pixels: Pictures; an even sample of them is used.
        file: The dictionary.
        head: What reads answers off embeddings.

    Returns:
        The share of pictures with the same best class (None without a head), and the mean cosine of
        the two embeddings.
    """
    few = pixels[:: -(-len(pixels) // ANSWERED)]
    x = before(tower, few)
    clean = functional.normalize(full(tower.run(tower.start(x), 0)).cpu(), dim=-1)
    moved = functional.normalize(
        full(tower.run(tower.start(x), 0, _replaced(tower, file))).cpu(), dim=-1
    )
    near = float((clean * moved).sum(-1).mean())
    if head is None or len(head.weight) < 2:
        return None, near
    same = head.top(clean) == head.top(moved)
    return float(same.float().mean()), near


def _replaced(tower: Tower, file: DictionaryFile) -> Any:
    """A visit that puts ``x_hat`` in place; of a dictionary of directions, in the length of x."""
    prefix = tower.site(file.header.site).prefix

    def visit(site: str, x: Tensor) -> Tensor:
        if site != file.header.site:
            return x
        read = full(x)
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
