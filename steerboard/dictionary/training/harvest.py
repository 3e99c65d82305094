"""From pictures to activation shards: one streaming pass that stops at the site."""

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import Tensor

from steerboard.dictionary.training.pictures import Decoder
from steerboard.dictionary.training.shards import ROWS, Store, Writer
from steerboard.model.load import LoadedModel
from steerboard.model.tower import Tower, block_of, site_names
from steerboard.spec.capabilities import TokenSet
from steerboard.spec.errors import InvalidRequest

BATCH = 64


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
    seed: int = 0,
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
        seed: Of the order of rows.
        rows: A shard's length.
        notify: Told how many pictures are done.

    Raises:
        InvalidRequest: The model has no such site, or not a single picture can be read.
    """
    tower = loaded.tower
    if site not in site_names(len(tower.blocks)):
        raise InvalidRequest(
            f"this model has no site {site!r}: it has resid_pre, head_out, mlp_post and"
            f" resid_post .0 to .{len(tower.blocks) - 1}, and embedding",
            field="site",
        )
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    kinds = ("prefix", "patches") if tokens == "all" else (tokens,)
    writers = {kind: Writer(folder, kind, seed, rows) for kind in kinds}
    decoder, width, done = Decoder(loaded), 0, 0
    for stack in decoder.stacks(pictures, BATCH):
        if stack:
            x = read_site(tower, torch.stack(stack), site)
            width = x.shape[-1]
            for kind, writer in writers.items():
                part = x[:, : tower.prefix] if kind == "prefix" else x[:, tower.prefix :]
                writer.add(part.flatten(0, 1))
        done = min(done + BATCH, len(pictures))
        notify(done)
    return _finished(loaded, site, tokens, writers, decoder, width, len(pictures))


def _finished(
    loaded: LoadedModel,
    site: str,
    tokens: TokenSet,
    writers: dict[str, Writer],
    decoder: Decoder,
    width: int,
    pictures: int,
) -> Store:
    for writer in writers.values():
        writer.close()
    if not any(sum(writer.written) for writer in writers.values()):
        first = f"; the first: {decoder.broken[0]}" if decoder.broken else ""
        raise InvalidRequest(
            f"none of {pictures} pictures gives a {tokens} token at {site}{first}", field="images"
        )
    record = {
        "model": loaded.fingerprint,
        "site": site,
        "tokens": tokens,
        "width": width,
        "pictures": pictures - len(decoder.broken),
        "broken": sorted(decoder.broken),
        "rows": {kind: writer.written for kind, writer in writers.items()},
    }
    store = Store(next(iter(writers.values())).folder, record)
    store.save()
    return store
