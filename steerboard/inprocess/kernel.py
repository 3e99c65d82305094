"""The three computations that everything is made of, each over rows of one batch.

Rows may come from different people: a row is one picture under one steer set. ``DirectKernel``
computes at once; the inference service puts a queue in front that merges rows of many callers.

What lies before an edited site does not change when a slider moves, so what was computed of a
picture is kept, bounded in bytes: the input of the block behind the site, its code, its clean
embedding, its gradients. A slider that moves runs the blocks behind the site, for that row alone.

All of it lies on the model's device. Embeddings come back to this machine's memory; activations and
gradients, which attributions go on with, stay there, in float32 whatever the tower computes in.
"""

import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional

from steerboard.inprocess.between import Between, Step, on_device, step_of
from steerboard.inprocess.climb import Climb
from steerboard.inprocess.codes import Codes
from steerboard.inprocess.crew import Crew
from steerboard.inprocess.kept import Kept
from steerboard.inprocess.lru import ByteLru
from steerboard.inprocess.prefixes import Prefixes
from steerboard.inprocess.rows import Row, effective, entry, entry_of, joining, unique_rows
from steerboard.inprocess.served import ServedModel
from steerboard.inprocess.shelf import Shelf
from steerboard.inprocess.slopes import Slopes
from steerboard.model.placement import full

__all__ = ["DirectKernel", "Kernel", "Row", "Sensed", "unique_rows"]
CACHE_BYTES = 512 * 2**20
TEXTS = 256  # that the text tower reads at once
TEXTS_BETWEEN = 16  # where others may go first in between


@dataclass(frozen=True)
class Sensed:
    """Activations and gradients ``[n, t, d]`` at one site, float32 on the model's device."""

    x: Tensor
    gradient: Tensor


class Kernel(Protocol):
    """Thread-safe; every answer has one entry a row, in order."""

    def embed(self, served: ServedModel, rows: Sequence[Row]) -> Tensor:
        """Unit-length image embeddings ``[n, e]`` under each row's steer set; on the CPU."""

    def read(self, served: ServedModel, rows: Sequence[Row], site: str) -> Tensor:
        """Clean activations ``[n, t, d]`` at ``site``, float32 on the model's device."""

    def through(self, served: ServedModel, rows: Sequence[Row], site: str) -> tuple[Tensor, Tensor]:
        """As ``read``, and as ``embed`` of the same rows, which are clean, by one pass."""

    def texts(self, served: ServedModel, tokens: Tensor) -> Tensor:
        """Unit-length text embeddings ``[n, e]`` of tokenised texts ``[n, l]``; on the CPU."""

    def sense(
        self,
        served: ServedModel,
        rows: Sequence[Row],
        sites: Sequence[str],
        readouts: Tensor,
        until: str = "",
    ) -> dict[str, Sensed]:
        """Activations and the gradients of ``readouts [n, e] . embedding`` at ``sites``.

        Under each row's steer set: activations after the edits of their site, whose changes are
        held as they are. ``readouts`` lie on the CPU. With ``until``, a site behind all others,
        ``readouts [n, t, d] . activations`` there are what is differentiated.
        """


@dataclass(frozen=True, eq=False)
class Call:
    """One call in hand: who may go first in between, and the pictures that the cache knew."""

    between: Between | None
    hits: set[str] = field(default_factory=set)


class DirectKernel:
    """Computes one call at a time, and remembers what it computed.

    A call that is given a ``between`` rests before each block while others are called from there,
    in the same thread; they share the caches with it and nothing else.

    ``hits`` are the pictures of the call that ended last for which nothing had to run before the
    site that was asked about.

    Args:
        cache_bytes: Of what was computed of pictures.
        batch: Rows that memory holds at once.
        crew: How a large batch is shared out among cores.
        kept: Where activations of whole sets lie on disk, in half precision.
    """

    def __init__(
        self,
        cache_bytes: int = CACHE_BYTES,
        batch: int = 128,
        crew: Crew | None = None,
        kept: Kept | None = None,
    ) -> None:
        self.cache: ByteLru[tuple[Tensor, ...]] = ByteLru(cache_bytes)
        self.batch = batch
        self.hits: set[str] = set()
        self._crew = crew or Crew()
        self._prefixes = Prefixes(self.cache, self._crew, Shelf(kept))
        self._climb = Climb(Codes(self.cache))
        self._slopes = Slopes(self._prefixes, self._climb)
        self._lock = threading.RLock()

    def full_batch(self, served: ServedModel) -> int:
        """Rows below which the device's cores are not used well."""
        return self._crew.full(served)

    @contextmanager
    def _call(self, served: ServedModel, between: Between | None) -> Iterator[Call]:
        """Within: one call is in hand, and no other thread's."""
        with self._lock:
            call = Call(on_device(between, served.placement.device))
            yield call
            self.hits = call.hits

    def embed(
        self, served: ServedModel, rows: Sequence[Row], between: Between | None = None
    ) -> Tensor:
        """See ``Kernel``. Equal rows are computed once: an empty steer set *is* the clean row."""
        unique, where = unique_rows(rows)
        unique = joining(unique)
        with self._call(served, between) as call, torch.inference_mode():
            parts = [self._embed_part(served, part, call) for part in pieces(unique, self.batch)]
            return torch.cat(parts).cpu()[where]

    def _embed_part(
        self, served: ServedModel, rows: Sequence[Row], call: Call, start: int = 0
    ) -> Tensor:
        """Clean rows from the cache, the others from the block behind their first edit.

        Rows that nothing else tells where to begin do so at block ``start``.
        """
        found: dict[int, Tensor] = {}
        blocks = len(served.loaded.tower.blocks)
        first = (row.steer if row.steer.edits else row.beside for row in rows)
        starts = [entry_of(steer, blocks) or start for steer in first]
        # What enters a block from the disk is rounded; clean and steered are from the same.
        origins = starts if self._prefixes.shelf else [0] * len(rows)
        clean = [_clean(served, row, at) for row, at in zip(rows, origins, strict=True)]
        for i, row in enumerate(rows):
            held = None if row.steer.edits else self.cache.get(clean[i])
            if held is not None:
                found[i] = held[0]
                call.hits.add(row.image)
        order = sorted((i for i in range(len(rows)) if i not in found), key=starts.__getitem__)
        if order:
            own = [starts[i] for i in order]
            out = self._climbed(served, [rows[i] for i in order], own, call)
            found.update(zip(order, out, strict=True))
        for i in order:
            if not rows[i].steer.edits:
                self._keep(clean[i], found[i])
        return torch.stack([found[i] for i in range(len(rows))])

    def _climbed(
        self, served: ServedModel, rows: Sequence[Row], starts: Sequence[int], call: Call
    ) -> Tensor:
        """Embeddings ``[n, e]`` of rows by rising start, in pieces that cores share out."""
        begin, hits = self._prefixes.get(served, rows, starts, call.between)
        call.hits.update(hits)
        blocks = len(served.loaded.tower.blocks)
        # The end costs little, and something.
        costs = [blocks + 0.25 - start for start in starts]
        out: list[slice] = []
        for size in self._crew.cut(costs, served):
            first = out[-1].stop if out else 0
            out.append(slice(first, first + size))

        def climb(part: slice, step: Step) -> Tensor:
            with torch.inference_mode():
                return self._climb.run(served, rows[part], starts[part], begin[part], step)

        return torch.cat(self._crew.map(climb, out, call.between))

    def read(
        self,
        served: ServedModel,
        rows: Sequence[Row],
        site: str,
        between: Between | None = None,
    ) -> Tensor:
        """See ``Kernel``."""
        with self._call(served, between) as call, torch.inference_mode():
            some = pieces(rows, self.batch)
            return torch.cat([full(self._read_part(served, part, site, call)) for part in some])

    def _read_part(self, served: ServedModel, rows: Sequence[Row], site: str, call: Call) -> Tensor:
        tower = served.loaded.tower
        first = entry(site, len(tower.blocks))
        x, hits = self._prefixes.joined(served, rows, first, call.between)
        call.hits.update(hits)
        if site.startswith("resid_post"):
            return x
        found: list[Tensor] = []

        def keep(name: str, value: Tensor) -> Tensor:
            if name == site:
                found.append(value)
            return value

        if first == len(tower.blocks):
            tower.finish(x, keep)
        else:
            tower.block(x, first, keep)
        return found[0]

    def through(
        self,
        served: ServedModel,
        rows: Sequence[Row],
        site: str,
        between: Between | None = None,
    ) -> tuple[Tensor, Tensor]:
        """See ``Kernel``. What enters the block behind the site is kept, and gone on with."""
        first = entry(site, len(served.loaded.tower.blocks))
        with self._call(served, between) as call, torch.inference_mode():
            onward = Call(call.between)  # It finds everything in the cache, and that is no hit.
            parts = [
                (
                    full(self._read_part(served, part, site, call)),
                    self._embed_part(served, part, onward, first),
                )
                for part in pieces(rows, self.batch)
            ]
            x, out = (torch.cat(tensors) for tensors in zip(*parts, strict=True))
            return x, out.cpu()

    def texts(self, served: ServedModel, tokens: Tensor, between: Between | None = None) -> Tensor:
        """See ``Kernel``. Others go first between a few texts: that tower is run whole."""
        clip, device, parts = served.loaded.clip, served.placement.device, list[Tensor]()
        with self._call(served, between) as call, torch.inference_mode():
            step = step_of(call.between)
            for part in tokens.split(TEXTS if between is None else TEXTS_BETWEEN):
                step()
                parts.append(clip.encode_text(part.to(device)))
            return functional.normalize(full(torch.cat(parts)), dim=-1).cpu()

    def sense(
        self,
        served: ServedModel,
        rows: Sequence[Row],
        sites: Sequence[str],
        readouts: Tensor,
        until: str = "",
        between: Between | None = None,
    ) -> dict[str, Sensed]:
        """See ``Kernel``."""
        with self._call(served, between) as call:
            parts = [
                self._sense_part(
                    served,
                    rows[i : i + self.batch],
                    sites,
                    readouts[i : i + self.batch],
                    until,
                    call,
                )
                for i in range(0, len(rows), self.batch)
            ]
        flat = [torch.cat(tensors) for tensors in zip(*parts, strict=True)]
        pairs = zip(flat[::2], flat[1::2], strict=True)
        return {site: Sensed(*pair) for site, pair in zip(sites, pairs, strict=True)}

    def _sense_part(
        self,
        served: ServedModel,
        rows: Sequence[Row],
        sites: Sequence[str],
        readouts: Tensor,
        until: str,
        call: Call,
    ) -> list[Tensor]:
        """Activation and gradient of each site in turn; what was asked before is remembered."""
        keys = [
            (
                served.info.fingerprint,
                row.image,
                "sense",
                effective(row.steer),
                *sites,
                until,
                readout.numpy().tobytes(),
            )
            for row, readout in zip(rows, readouts, strict=True)
        ]
        held = {key: found for key in keys if (found := self.cache.get(key)) is not None}
        call.hits.update(row.image for row, key in zip(rows, keys, strict=True) if key in held)
        missing = {key: i for i, key in enumerate(keys) if key not in held}
        if missing:
            which = list(missing.values())
            some = [rows[i] for i in which]
            out, hits = self._slopes.run(served, some, sites, readouts[which], until, call.between)
            call.hits.update(hits)
            for key, found in zip(missing, zip(*out, strict=True), strict=True):
                held[key] = self._keep(key, *found)
        return [torch.stack(tensors) for tensors in zip(*(held[key] for key in keys), strict=True)]

    def _keep(self, key: tuple[object, ...], *tensors: Tensor) -> tuple[Tensor, ...]:
        """Remember copies: a view would hold its whole batch."""
        kept = tuple(t.clone() for t in tensors)
        self.cache.put(key, kept, sum(t.numel() * t.element_size() for t in kept))
        return kept


def _clean(served: ServedModel, row: Row, origin: int) -> tuple[object, ...]:
    return served.info.fingerprint, row.image, "clean", origin


def pieces(rows: Sequence[Row], size: int) -> Iterable[Sequence[Row]]:
    """At most ``size`` rows at a time."""
    return (rows[i : i + size] for i in range(0, len(rows), size))
