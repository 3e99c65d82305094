"""The loop: draw, step, keep, tell; it goes on from its checkpoint as if never stopped."""

import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from steerboard.dictionary.sae import Sae
from steerboard.dictionary.training import checkpoint
from steerboard.dictionary.training.checkpoint import Progress, make_adam
from steerboard.dictionary.training.learner import Learner
from steerboard.dictionary.training.losses import Loss, loss
from steerboard.dictionary.training.plan import Plan
from steerboard.dictionary.training.ranks import Ranks
from steerboard.dictionary.training.shards import Store, draws
from steerboard.spec.digest import digest
from steerboard.spec.errors import Cancelled, InvalidRequest

CHECKPOINT = "checkpoint.safetensors"
SAMPLE = 20_000  # rows that mean, scale and batchtopk's threshold are taken from
POINTS = 25  # steps between two points of the curves
ALONE = Ranks()


@dataclass(frozen=True)
class Tick:
    """What a watcher is told after a step: error is 1 for knowing the mean only, 0 for all."""

    step: int
    fraction: float
    seconds: float
    error: float
    l0: float
    dead: float
    tokens: int


class Training:
    """One run, new or resumed.

    Args:
        store: Activations.
        plan: What to do with them.
        folder: Of the checkpoint.
        resume: Go on from the checkpoint there, if there is one.
        ranks: The processes that share the work.
        keep_every: Seconds between two checkpoints.

    Raises:
        InvalidRequest: The store lacks a token type of the plan, the checkpoint belongs to another
            training, or memory does not suffice.
    """

    def __init__(
        self,
        store: Store,
        plan: Plan,
        folder: Path,
        resume: bool = False,
        ranks: Ranks = ALONE,
        keep_every: float = 30.0,
    ) -> None:
        self.store, self.plan, self.ranks, self.keep_every = store, plan, ranks, keep_every
        self.path = folder / CHECKPOINT
        check_memory(plan, store.width, ranks)
        self.counts = counts(store, plan, ranks.world)
        self.data = digest(store.record)
        self.sample = normalized(self._sample(), plan)
        self.learner = Learner(plan, self.sample).to(ranks.device)
        self.adam = make_adam(self.learner, plan.rate)
        self.progress = Progress()
        if resume and self.path.is_file():
            self.progress = checkpoint.load(self.path, plan, self.data, self.learner, self.adam)

    def _sample(self) -> Tensor:
        total = sum(self.counts.values())
        return torch.cat(
            [self.store.sample(part, SAMPLE * n // total) for part, n in self.counts.items() if n]
        )

    def run(self, notify: Callable[[Tick], None] = lambda _tick: None) -> Sae:
        """Train to the end of the plan; the dictionary in the units of the activations.

        Args:
            notify: Told after each step; it may raise Cancelled, and the checkpoint is then kept.
        """
        try:
            self._steps(notify)
        except Cancelled:
            self.keep()
            raise
        self.keep()
        return self.learner.export(self.plan, self.threshold())

    def _steps(self, notify: Callable[[Tick], None]) -> None:
        batches = self._batches(self.progress.step)
        began, before, kept = time.monotonic(), self.progress.seconds, time.monotonic()
        while self.plan.fraction(self.progress.step, self.progress.seconds) < 1:
            found = self._step(*next(batches), before + time.monotonic() - began)
            self._note(found, notify)
            if time.monotonic() - kept > self.keep_every:
                self.keep()
                kept = time.monotonic()

    def keep(self) -> None:
        """Write the checkpoint."""
        if self.ranks.leads and self.progress.step:
            checkpoint.save(self.path, self.plan, self.data, self.learner, self.adam, self.progress)

    def _batches(self, start: int) -> Iterator[tuple[Tensor, int]]:
        """Scaled rows of this process, prefix rows first, and how many those are."""
        sources = {
            part: draws(self.store, part, n, self.plan.seed, start)
            for part, n in self.counts.items()
            if n
        }
        while True:
            drawn = {part: self.ranks.share(next(rows)) for part, rows in sources.items()}
            x = self.learner.scaled(normalized(torch.cat(list(drawn.values())), self.plan))
            yield x, len(drawn.get("prefix", ()))

    def _step(self, x: Tensor, prefix: int, seconds: float) -> Loss:
        fraction = self.plan.fraction(self.progress.step, self.progress.seconds)
        for group in self.adam.param_groups:
            group["lr"] = self.plan.rate * self.plan.pace(fraction, self.progress.step)
        self.adam.zero_grad(set_to_none=True)
        found = loss(self.learner, x, self.plan, prefix)
        found.total.backward()
        self.ranks.average_gradients(self.learner)
        self.adam.step()
        self.learner.keep_unit_rows()
        self._count(found.fired, seconds)
        return found

    def _count(self, fired: Tensor, seconds: float) -> None:
        """Who fired anywhere, and the latest clock: all processes must stop at the same step."""
        told = torch.cat([fired.float(), fired.new_tensor([seconds], dtype=torch.float)])
        told = self.ranks.most(told)
        self.learner.idle += sum(self.counts.values())
        self.learner.idle[told[:-1] > 0] = 0
        self.progress.step += 1
        self.progress.seconds = float(told[-1]) if self.ranks.world > 1 else seconds

    def _note(self, found: Loss, notify: Callable[[Tick], None]) -> None:
        now = self.progress
        dead = float((self.learner.idle > self.plan.dead_after).float().mean())
        fraction = self.plan.fraction(now.step, now.seconds)
        if now.step % POINTS == 0 or fraction >= 1:
            now.curves.append((now.step, float(found.error), float(found.l0), dead))
        tokens = now.step * sum(self.counts.values())
        notify(
            Tick(now.step, fraction, now.seconds, float(found.error), float(found.l0), dead, tokens)
        )

    @torch.no_grad()
    def threshold(self) -> float:
        """Of batchtopk: the pre-activation over which a sample has ``k`` features a token."""
        if self.plan.architecture != "batchtopk":
            return 0.0
        x = self.learner.scaled(self.sample[:4096].to(self.ranks.device))
        pre = self.learner.pre(x).relu().flatten()
        return float(pre.topk(self.plan.k * len(x)).values[-1])


def normalized(x: Tensor, plan: Plan) -> Tensor:
    """Rows as a dictionary of this normalisation sees them."""
    if plan.normalize == "none":
        return x
    empty = x.new_zeros(0)
    as_read = Sae(empty, empty, empty, empty, normalize=plan.normalize)
    return (x - as_read.shift(x)) / as_read.scale(x)


def check_memory(plan: Plan, width: int, ranks: Ranks) -> None:
    """Before anything is allocated: raises InvalidRequest where the device is too small."""
    if ranks.device.type == "cuda":
        have = torch.cuda.get_device_properties(ranks.device).total_memory
    else:
        have = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    if (need := plan.memory(width)) > have:
        raise InvalidRequest(
            f"{plan.size} features of width {width}, {plan.batch} tokens a step, take"
            f" {need / 2**30:.1f} GiB to train, and {ranks.device} has {have / 2**30:.1f}: choose a"
            " smaller --width or --batch",
            field="width",
        )


def counts(store: Store, plan: Plan, world: int) -> dict[str, int]:
    """Rows a batch of each token type; prefix tokens at least their share."""
    if plan.batch % world:
        raise InvalidRequest(f"a batch of {plan.batch} does not part into {world}", field="batch")
    kinds = ["prefix", "patches"] if plan.tokens == "all" else [plan.tokens]
    have = {part: store.count(part) for part in kinds if part in store.parts()}
    if plan.tokens not in (*have, "all") or not have:
        raise InvalidRequest(f"{store.folder} holds no {plan.tokens} tokens", field="tokens")
    natural = have.get("prefix", 0) / sum(have.values())
    prefix = round(plan.batch * max(natural, plan.prefix_share if "prefix" in have else 0))
    prefix -= prefix % world if len(have) > 1 else 0
    return {part: prefix if part == "prefix" else plan.batch - prefix for part in have}
