"""Ridge regression over tokens of many pictures, in sums of bounded size (methods, section 8)."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor


@dataclass(eq=False)
class Moments:
    """What ridge regression needs to know of tokens, summed: bounded however many pictures."""

    gram: Tensor  # [h + 1, h + 1]
    cross: Tensor  # [h + 1, d]
    square: Tensor  # [d]
    total: Tensor  # [d]
    weight: float = 0.0

    @classmethod
    def empty(cls, hidden: int, width: int) -> "Moments":
        """Of no token."""
        kind = torch.float64
        gram = torch.zeros(hidden + 1, hidden + 1, dtype=kind)
        cross = torch.zeros(hidden + 1, width, dtype=kind)
        return cls(gram, cross, torch.zeros(width, dtype=kind), torch.zeros(width, dtype=kind))

    def add(self, hidden: Tensor, change: Tensor, weight: float) -> None:
        """Tokens ``hidden [n, h]`` and ``change [n, d]``, each of them so heavy."""
        h = torch.cat([hidden, hidden.new_ones(len(hidden), 1)], dim=1).double()
        c = change.double()
        self.gram += weight * (h.T @ h)
        self.cross += weight * (h.T @ c)
        self.square += weight * (c * c).sum(0)
        self.total += weight * c.sum(0)
        self.weight += weight * len(h)

    def __add__(self, other: "Moments") -> "Moments":
        return Moments(
            self.gram + other.gram,
            self.cross + other.cross,
            self.square + other.square,
            self.total + other.total,
            self.weight + other.weight,
        )

    def solve(self, ridge: float) -> Tensor:
        """``W [h + 1, d]``."""
        size = len(self.gram)
        lift = ridge * self.gram.diagonal().mean()
        found: Tensor = torch.linalg.solve(
            self.gram + lift * torch.eye(size, dtype=torch.float64), self.cross
        )
        return found

    def r2(self, solution: Tensor, change: "Moments | None" = None) -> float | None:
        """1 - error / spread of ``solution`` on these tokens; None where nothing spreads.

        The spread is that of ``change``, of the same tokens, where gates say a part of it.
        """
        error = (self.square - 2 * (solution * self.cross).sum(0)).sum()
        error = error + torch.einsum("hd,hg,gd->", solution, self.gram, solution)
        whole = change or self
        spread = (whole.square - whole.total**2 / max(whole.weight, 1e-30)).sum()
        return float(1 - error / spread) if spread > 1e-12 else None


@dataclass(eq=False)
class Tokens:
    """Moments of prefix tokens and of patches, of fitting and of held-out pictures."""

    parts: dict[tuple[str, bool], Moments] = field(default_factory=dict)
    counted: int = 0

    def add(self, hidden: Tensor, change: Tensor, prefix: int, unseen: Tensor) -> None:
        """Pictures' ``[b, t, h]`` and ``[b, t, d]``; each kind of token weighs 1 a picture.

        ``unseen [b]`` are held out.
        """
        self.counted += hidden.shape[0] * hidden.shape[1]
        for kind, part in (("prefix", slice(0, prefix)), ("patches", slice(prefix, None))):
            for apart in (False, True):
                h, c = hidden[unseen == apart, part], change[unseen == apart, part]
                if h.shape[0] and h.shape[1]:
                    empty = Moments.empty(h.shape[2], c.shape[2])
                    own = self.parts.setdefault((kind, apart), empty)
                    own.add(h.flatten(0, 1), c.flatten(0, 1), 1 / h.shape[1])

    def of(self, unseen: bool, kinds: Sequence[str] = ("prefix", "patches")) -> Moments:
        """The sum of some."""
        found = [self.parts[k, unseen] for k in kinds if (k, unseen) in self.parts]
        total = found[0]
        for moments in found[1:]:
            total = total + moments
        return total
