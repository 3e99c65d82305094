"""What prefixes put on disk and take from there; without a disk, nothing."""

from collections.abc import Sequence

import torch
from torch import Tensor

from steerboard.inprocess.kept import Kept, Place, halved
from steerboard.inprocess.rows import Row, prefix_suffices
from steerboard.inprocess.served import ServedModel


class Shelf:
    """Inputs of blocks on disk, rounded once, so that what is computed and what is found agree.

    Args:
        kept: The disk; None keeps nothing and rounds nothing.
    """

    def __init__(self, kept: Kept | None = None) -> None:
        self._kept = kept

    def __bool__(self) -> bool:
        return self._kept is not None

    def get(
        self, served: ServedModel, images: Sequence[str], block: int, short: bool = False
    ) -> dict[str, Tensor]:
        """Inputs ``[t, d]`` of a block as the tower computes, or their prefix tokens ``[p, d]``.

        Of the pictures that are there.
        """
        if self._kept is None:
            return {}
        found = self._kept.get([Place(served.info.fingerprint, i, block, short) for i in images])
        here = {i: row for i, row in zip(images, found, strict=True) if row is not None}
        place = served.placement
        return {i: row.to(place.device, place.dtype) for i, row in here.items()}

    def put(
        self, served: ServedModel, images: Sequence[str], block: int, rows: Sequence[Tensor]
    ) -> list[Tensor]:
        """Keep inputs ``[t, d]`` of a block; gives them back as they will be found."""
        if self._kept is None:
            return list(rows)
        x = torch.stack(list(rows))
        short = ends_in_prefix(served, block)
        part = x[:, : served.loaded.tower.prefix] if short else x
        places = [Place(served.info.fingerprint, image, block, short) for image in images]
        self._kept.put(places, part)
        rounded = halved(x).to(x.dtype)
        # What half precision cannot hold is not kept, and stays as it is.
        whole = rounded.isfinite().flatten(1).all(1)
        return list(torch.where(whole[:, None, None], rounded, x))

    def short(self, served: ServedModel, rows: Sequence[Row], block: int) -> bool:
        """Whether rows that enter at ``block`` may bring their prefix tokens alone."""
        if self._kept is None or not ends_in_prefix(served, block):
            return False
        site = f"resid_post.{block - 1}"
        return all(prefix_suffices(row.steer, site, served.books) for row in rows)


def ends_in_prefix(served: ServedModel, block: int) -> bool:
    """Whether behind ``block`` blocks nothing but prefix tokens is read."""
    tower = served.loaded.tower
    return block == len(tower.blocks) and tower.skips and tower.pools == "prefix"
