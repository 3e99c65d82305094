"""The three computations that everything is made of, each over rows of one batch.

Rows may come from different people: a row is one picture under one steer set. ``DirectKernel``
computes at once; the inference service puts a queue in front that merges rows of many callers.
"""

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional

from steerboard.inprocess.lru import ByteLru
from steerboard.inprocess.served import ServedModel
from steerboard.model.tower import Tower, Visit, block_of
from steerboard.spec.digest import digest
from steerboard.spec.edits import SteerSet

PREFIX_CACHE_BYTES = 512 * 2**20


@dataclass(frozen=True)
class Row:
    """One picture ``pixels [3, h, w]`` under one steer set."""

    image: str
    pixels: Tensor
    steer: SteerSet = SteerSet()  # noqa: RUF009  (frozen)


@dataclass(frozen=True)
class Sensed:
    """Activations and gradients ``[n, t, d]`` at one site."""

    x: Tensor
    gradient: Tensor


class Kernel(Protocol):
    """Thread-safe; every answer has one entry a row, in order."""

    def embed(self, served: ServedModel, rows: Sequence[Row]) -> Tensor:
        """Unit-length image embeddings ``[n, e]`` under each row's steer set."""

    def read(self, served: ServedModel, rows: Sequence[Row], site: str) -> Tensor:
        """Clean activations ``[n, t, d]`` at ``site``."""

    def sense(
        self, served: ServedModel, rows: Sequence[Row], sites: Sequence[str], readouts: Tensor
    ) -> dict[str, Sensed]:
        """Clean activations and the gradients of ``readouts [n, e] . embedding`` at ``sites``."""


def entry(site: str, blocks: int) -> int:
    """The first block that must run again when ``site`` changes."""
    return block_of(site, blocks) + (1 if site.startswith("resid_post") else 0)


def suffix(tower: Tower, x: Tensor, first: int, visit: Visit) -> Tensor:
    """From the input of block ``first`` to the embedding, edits of ``x`` itself first."""
    if first:
        x = visit(f"resid_post.{first - 1}", x)
    return tower.run(x, first, visit)


class DirectKernel:
    """Computes in the calling thread, one call at a time, with a prefix cache."""

    def __init__(self, cache_bytes: int = PREFIX_CACHE_BYTES, batch: int = 128) -> None:
        self.cache: ByteLru[Tensor] = ByteLru(cache_bytes)
        self.batch = batch
        self.prefix_hits = 0
        self._lock = threading.Lock()

    def embed(self, served: ServedModel, rows: Sequence[Row]) -> Tensor:
        """See ``Kernel``. Equal rows are computed once: an empty steer set *is* the clean row."""
        keys = [(row.image, digest(row.steer)) for row in rows]
        unique = dict(zip(keys, rows, strict=True))
        starts = self._starts(served, list(unique.values()))
        groups: dict[int, list[tuple[str, str]]] = {}
        for key, first in zip(unique, starts, strict=True):
            groups.setdefault(first, []).append(key)
        done: dict[tuple[str, str], Tensor] = {}
        with self._lock, torch.inference_mode():
            for first, members in groups.items():
                for i in range(0, len(members), self.batch):
                    part = members[i : i + self.batch]
                    out = self._embed_part(served, [unique[k] for k in part], first)
                    done.update(zip(part, out, strict=True))
        return torch.stack([done[key] for key in keys])

    def _starts(self, served: ServedModel, rows: list[Row]) -> list[int]:
        """Where each row's pass begins; a clean row joins the steered rows of the same picture."""
        blocks = len(served.loaded.tower.blocks)
        own = [min((entry(e.site, blocks) for e in row.steer.edits), default=None) for row in rows]
        shared: dict[str, int] = {}
        for row, first in zip(rows, own, strict=True):
            if first is not None:
                shared[row.image] = min(first, shared.get(row.image, first))
        return [shared.get(r.image, 0) if f is None else f for r, f in zip(rows, own, strict=True)]

    def _embed_part(self, served: ServedModel, rows: list[Row], first: int) -> Tensor:
        sets = [row.steer for row in rows]

        def edit(site: str, x: Tensor) -> Tensor:
            return served.editor.at(site, x, sets)

        x = self._prefix(served, rows, first)
        return functional.normalize(suffix(served.loaded.tower, x, first, edit), dim=-1)

    def _prefix(self, served: ServedModel, rows: Sequence[Row], first: int) -> Tensor:
        """Clean input ``[n, t, d]`` of block ``first``, from the cache where it is known."""
        pictures = {row.image: row.pixels for row in rows}
        known = {
            image: self.cache.get((served.info.fingerprint, image, first)) for image in pictures
        }
        missing = [image for image, x in known.items() if x is None]
        self.prefix_hits += len(known) - len(missing)
        for i in range(0, len(missing), self.batch):
            part = missing[i : i + self.batch]
            x = served.loaded.tower.start(torch.stack([pictures[image] for image in part]))
            for index in range(first):
                x = served.loaded.tower.block(x, index)
            for image, row in zip(part, x, strict=True):
                kept = row.clone()
                known[image] = kept
                self.cache.put(
                    (served.info.fingerprint, image, first),
                    kept,
                    kept.numel() * kept.element_size(),
                )
        return torch.stack([found for row in rows if (found := known[row.image]) is not None])

    def read(self, served: ServedModel, rows: Sequence[Row], site: str) -> Tensor:
        """See ``Kernel``."""
        with self._lock, torch.inference_mode():
            parts = [
                self._read_part(served, rows[i : i + self.batch], site)
                for i in range(0, len(rows), self.batch)
            ]
        return torch.cat(parts)

    def _read_part(self, served: ServedModel, rows: Sequence[Row], site: str) -> Tensor:
        tower = served.loaded.tower
        first = entry(site, len(tower.blocks))
        x = self._prefix(served, rows, first)
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

    def sense(
        self, served: ServedModel, rows: Sequence[Row], sites: Sequence[str], readouts: Tensor
    ) -> dict[str, Sensed]:
        """See ``Kernel``."""
        parts: list[dict[str, Sensed]] = []
        with self._lock:
            for i in range(0, len(rows), self.batch):
                part = slice(i, i + self.batch)
                parts.append(self._sense_part(served, rows[part], sites, readouts[part]))
        return {
            s: Sensed(torch.cat([p[s].x for p in parts]), torch.cat([p[s].gradient for p in parts]))
            for s in sites
        }

    def _sense_part(
        self, served: ServedModel, rows: Sequence[Row], sites: Sequence[str], readouts: Tensor
    ) -> dict[str, Sensed]:
        tower = served.loaded.tower
        first = min(entry(site, len(tower.blocks)) for site in sites)
        with torch.no_grad():
            start = self._prefix(served, rows, first).clone()
        seen: dict[str, Tensor] = {}

        def keep(site: str, x: Tensor) -> Tensor:
            if site in sites:
                seen[site] = x if x.requires_grad else x.detach().requires_grad_()
                return seen[site]
            return x

        with torch.enable_grad():
            embedding = functional.normalize(suffix(tower, start, first, keep), dim=-1)
            gradients = torch.autograd.grad((embedding * readouts).sum(), [seen[s] for s in sites])
        return {s: Sensed(seen[s].detach(), g) for s, g in zip(sites, gradients, strict=True)}
