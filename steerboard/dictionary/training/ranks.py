"""One of several processes that train together, each on its share of every batch.

Started by ``torchrun``, which tells each its place through the environment; alone without it.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta

import torch
from torch import Tensor, distributed
from torch.nn import Module

from steerboard.spec.errors import InvalidRequest

PATIENCE = timedelta(days=2)  # the others wait while the first harvests


@dataclass(frozen=True)
class Ranks:
    """This process's place among ``world``, and where it computes."""

    rank: int = 0
    world: int = 1
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))

    @property
    def leads(self) -> bool:
        """Whether this process writes files and speaks."""
        return self.rank == 0

    def share(self, rows: Tensor) -> Tensor:
        """This process's rows of a batch ``[n, d]``, on its device."""
        return rows[self.rank :: self.world].to(self.device)

    def average_gradients(self, module: Module) -> None:
        """The mean over all processes: with equal shares that of the whole batch."""
        if self.world == 1:
            return
        found = [p.grad for p in module.parameters() if p.grad is not None]
        flat = torch.cat([g.flatten() for g in found])
        distributed.all_reduce(flat)
        flat /= self.world
        for gradient, part in zip(found, flat.split([g.numel() for g in found]), strict=True):
            gradient.copy_(part.view_as(gradient))

    def most(self, values: Tensor) -> Tensor:
        """The largest over all processes, element by element."""
        if self.world > 1:
            distributed.all_reduce(values, distributed.ReduceOp.MAX)
        return values

    def wait(self) -> None:
        """Until all are here."""
        if self.world > 1:
            distributed.barrier()


@contextmanager
def joined(device: str = "") -> Iterator[Ranks]:
    """The processes that ``torchrun`` started, connected; this one alone without it.

    Args:
        device: Such as ``cpu`` or ``cuda``; empty takes a GPU where there is one.

    Raises:
        InvalidRequest: A device that this machine does not have.
    """
    kind = device or ("cuda" if torch.cuda.is_available() else "cpu")
    if kind.startswith("cuda") and not torch.cuda.is_available():
        raise InvalidRequest("there is no CUDA device here: use --device cpu", field="device")
    world = int(os.environ.get("WORLD_SIZE", "1"))
    if world == 1:
        yield Ranks(device=torch.device(kind))
        return
    local = int(os.environ["LOCAL_RANK"])
    own = torch.device("cuda", local) if kind.startswith("cuda") else torch.device(kind)
    kind = "nccl" if own.type == "cuda" else "gloo"
    distributed.init_process_group(kind, timeout=PATIENCE)
    try:
        yield Ranks(distributed.get_rank(), world, own)
    finally:
        distributed.destroy_process_group()
