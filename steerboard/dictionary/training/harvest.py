"""From pictures to activation shards: one streaming pass that stops at the site."""

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from steerboard.dictionary.training.pictures import Decoder
from steerboard.dictionary.training.shards import ROWS, Store, Writer
from steerboard.model.load import LoadedModel
from steerboard.model.placement import before, full
from steerboard.model.tower import Tower, block_of
from steerboard.spec.capabilities import TokenSet
from steerboard.spec.errors import InvalidRequest

BATCH = 64
LEAST_SHARE = 0.6  # of a side that a varied view shows


@torch.inference_mode()
def read_site(tower: Tower, pixels: Tensor, site: str) -> Tensor:
    """Activations ``[b, t, d]`` at ``site``; blocks behind it do not run."""
    found: list[Tensor] = []

    def keep(name: str, x: Tensor) -> Tensor:
        if name == site:
            found.append(x)
        return x

    x = tower.start(pixels)
    for index in range(min(block_of(site, len(tower.blocks)) + 1, len(tower.blocks))):
        x = tower.block(x, index, keep)
    if not found:
        tower.finish(x, keep)
    return found[0]


def harvest(
    loaded: LoadedModel,
    site: str,
    tokens: TokenSet,
    pictures: Sequence[Path],
    folder: Path,
    source: str = "",
    seed: int = 0,
    views: int = 1,
    rows: int = ROWS,
    notify: Callable[[int], None] = lambda _done: None,
) -> Store:
    """Write the activations of ``pictures`` at ``site`` into ``folder``.

    Args:
        loaded: The model.
        site: Where to read.
        tokens: Which tokens to keep.
        pictures: Files; broken ones are named in the index and skipped.
        folder: Emptied first: a harvest that was cut short is begun anew.
        source: Digest of what is harvested, for the index.
        seed: Of the order of rows.
        views: Passes over each picture: the first as it is, others flipped and cut by chance.
        rows: A shard's length.
        notify: Told how many pictures are done.

    Raises:
        InvalidRequest: The model has no such site, or not a single picture can be read.
    """
    tower = loaded.tower
    if site not in {known.name for known in tower.sites}:
        raise InvalidRequest(
            f"this model has no site {site!r}: it has {', '.join(s.name for s in tower.sites)}",
            field="site",
        )
    prefix = tower.site(site).prefix
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    kinds = ("prefix", "patches") if tokens == "all" else (tokens,)
    writers = {kind: Writer(folder, kind, seed, rows) for kind in kinds}
    decoder, width, done = Decoder(loaded), 0, 0
    for stack in decoder.stacks(pictures, BATCH):
        if stack:
            pixels = before(tower, stack)
            for view in range(views):
                seen = varied(pixels, [seed, done, view]) if view else pixels
                x = full(read_site(tower, seen, site))
                width = x.shape[-1]
                for kind, writer in writers.items():
                    part = x[:, :prefix] if kind == "prefix" else x[:, prefix:]
                    writer.add(part.flatten(0, 1))
        done = min(done + BATCH, len(pictures))
        notify(done)
    record = {"model": loaded.fingerprint, "site": site, "tokens": tokens, "source": source}
    return _finished({**record, "width": width}, writers, decoder, len(pictures))


def varied(pixels: Tensor, seed: list[int]) -> Tensor:
    """Pictures ``[b, 3, h, w]`` cut by chance to 60 to 100 % of their sides, half of them flipped.

    A prefix token comes once a picture: without this, few pictures give too few of them.
    """
    chance = np.random.default_rng(seed)
    height, width = pixels.shape[-2:]
    seen = []
    for picture in pixels:
        share = chance.uniform(LEAST_SHARE, 1)
        h, w = max(1, int(share * height)), max(1, int(share * width))
        top, left = chance.integers(height - h + 1), chance.integers(width - w + 1)
        cut = picture[:, top : top + h, left : left + w]
        cut = cut.flip(-1) if chance.random() < 0.5 else cut
        seen.append(
            functional.interpolate(cut[None], (height, width), mode="bilinear", antialias=True)[0]
        )
    return torch.stack(seen)


def _finished(
    record: dict[str, Any], writers: dict[str, Writer], decoder: Decoder, pictures: int
) -> Store:
    for writer in writers.values():
        writer.close()
    if not any(sum(writer.written) for writer in writers.values()):
        first = f"; the first: {decoder.broken[0]}" if decoder.broken else ""
        raise InvalidRequest(
            f"none of {pictures} pictures gives a {record['tokens']} token at {record['site']}"
            + first,
            field="images",
        )
    rest = {
        "pictures": pictures - len(decoder.broken),
        "broken": sorted(decoder.broken),
        "rows": {kind: writer.written for kind, writer in writers.items()},
    }
    store = Store(next(iter(writers.values())).folder, {**record, **rest})
    store.save()
    return store
