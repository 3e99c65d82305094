"""Rows of a batch: one picture under one steer set."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from steerboard.model.edits import Codebook
from steerboard.model.tower import block_of
from steerboard.spec.edits import Add, Edit, Feature, Scale, SteerSet
from steerboard.spec.errors import ImageNotCached

_KINDS = ("resid_pre", "head_out", "mlp_post", "resid_post", "embedding")


@dataclass(frozen=True)
class Row:
    """One picture ``pixels [3, h, w]``, known as ``image``, under one steer set.

    Where what is kept of a picture may suffice, ``draw`` gives the pixels if it does not, and may
    raise; ``pixels`` are then empty.

    A clean row begins where the steered row ``beside`` it does, which a batch may part from it.
    """

    image: str
    pixels: Tensor
    steer: SteerSet = SteerSet()  # noqa: RUF009  (frozen)
    draw: Callable[[], Tensor] | None = None
    beside: SteerSet = SteerSet()  # noqa: RUF009  (frozen)

    def drawn(self) -> Tensor:
        """The pixels ``[3, h, w]``; raises what ``draw`` raises."""
        return self.draw() if self.draw else self.pixels


def unique_rows(rows: Sequence[Row]) -> tuple[list[Row], Tensor]:
    """Each (picture, steer set) once, and for every row which of them it is, ``[n]``.

    So an empty steer set *is* the clean row, bit for bit, and so is one whose edits change nothing.
    """
    plain = [replace(row, steer=effective(row.steer)) for row in rows]
    order: dict[tuple[str, SteerSet], int] = {}
    where = [order.setdefault((row.image, row.steer), len(order)) for row in plain]
    first = {index: row for row, index in zip(reversed(plain), reversed(where), strict=True)}
    return [first[i] for i in range(len(order))], torch.tensor(where, dtype=torch.long)


def joining(rows: Sequence[Row]) -> list[Row]:
    """Clean rows with the steered one of their picture that begins lowest."""
    lowest: dict[str, SteerSet] = {}
    for row in rows:
        steer = row.steer if row.steer.edits else row.beside
        if steer.edits:
            lowest[row.image] = min(steer, lowest.get(row.image, steer), key=lowest_depth)
    return [
        r if r.steer.edits else replace(r, beside=lowest.get(r.image, SteerSet())) for r in rows
    ]


def lowest_depth(steer: SteerSet) -> tuple[float, int]:
    """Of the first site that is edited."""
    return min(depth(edit.site) for edit in steer.edits)


def effective(steer: SteerSet) -> SteerSet:
    """Without the edits that change nothing at all: scale by m = 0, add alpha = 0."""
    kept = tuple(e for e in steer.edits if not idle(e))
    return steer if len(kept) == len(steer.edits) else SteerSet(edits=kept)


def idle(edit: Edit) -> bool:
    """Whether the change is zero whatever the picture."""
    match edit.op:
        case Scale(m=strength) | Add(alpha=strength):
            return strength == 0
    return False


def entry(site: str, blocks: int) -> int:
    """The first block that must run again when ``site`` changes."""
    return block_of(site, blocks) + (1 if site.startswith("resid_post") else 0)


def entry_of(steer: SteerSet, blocks: int) -> int | None:
    """The first block that must run again under ``steer``; None for the clean pass."""
    return min((entry(edit.site, blocks) for edit in steer.edits), default=None)


def clean_until(steer: SteerSet, site: str) -> bool:
    """Whether nothing is edited before ``site``."""
    return all(depth(edit.site) >= depth(site) for edit in steer.edits)


def depth(site: str) -> tuple[float, int]:
    """Sorts sites from the input upward."""
    kind, _, number = site.partition(".")
    return (float(number) if number else float("inf")), _KINDS.index(kind)


def prefix_suffices(steer: SteerSet, site: str, books: Mapping[str, Codebook]) -> bool:
    """Whether the edits at ``site`` change prefix tokens alike where no patch is seen.

    Only a condition on the whole picture looks from one token at another.
    """
    conditions = [e.condition for e in steer.edits if e.site == site and e.condition]
    return all(
        c.per == "token"
        or (isinstance(c.unit, Feature) and books[c.unit.dictionary].tokens == "prefix")
        for c in conditions
    )


def drawn(rows: Sequence[Row]) -> list[Tensor]:
    """The pixels of each row; raises ImageNotCached, which lists all whose bytes are not here."""
    found: list[Tensor] = []
    missing: list[str] = []
    for row in rows:
        try:
            found.append(row.drawn())
        except ImageNotCached as error:
            missing += error.details["digests"].split(",")
    if missing:
        raise not_held(missing)
    return found


def not_held(digests: Sequence[str]) -> ImageNotCached:
    """The error that lists all unknown digests."""
    return ImageNotCached(
        f"{len(digests)} pictures are not held here: send their bytes",
        field="images",
        details={"digests": ",".join(digests)},
    )
