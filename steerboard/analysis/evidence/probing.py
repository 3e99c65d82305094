"""The second pass, over a sample: controls of the same size, and the price of every strength.

Local gain is counted on the failing pictures, global loss on a sample of right ones, both the same
for every control and every strength.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from steerboard.analysis.evidence.answers import Readout, Task, ask, identity_probe
from steerboard.analysis.evidence.directions import (
    activations,
    explained,
    free_parts,
    free_size,
)
from steerboard.analysis.evidence.effects import share, spread
from steerboard.analysis.evidence.gathered import Probe
from steerboard.analysis.evidence.pictures import Picture, encoded
from steerboard.analysis.evidence.rivals import (
    added_at,
    joined,
    other_features,
    parts,
    random_direction,
)
from steerboard.analysis.evidence.rows import Row, drifts, failing
from steerboard.analysis.evidence.strengths import FACTORS, has_strength, stronger
from steerboard.spec.answers import Code
from steerboard.spec.capabilities import ModelInfo
from steerboard.spec.edits import SteerSet
from steerboard.spec.evidence import Control, Spread, SweepPoint
from steerboard.spec.requests import Encode
from steerboard.spec.runner import Runner

T = TypeVar("T")
KINDS = ("random features", "random direction", "top by energy")


@dataclass(frozen=True, eq=False)
class Probed:
    """What a sample says: classes ``[n, k]`` under each set, and drift ``[n, k]``, beside rows."""

    rows: tuple[Row, ...]
    failing: npt.NDArray[np.bool_]
    said: npt.NDArray[np.int64]
    drift: npt.NDArray[np.float64]

    def fixed(self, k: int) -> npt.NDArray[np.bool_]:
        """Failing pictures that are right under set ``k``, bool ``[n]``."""
        found: npt.NDArray[np.bool_] = self.failing & (self.said[:, k] == self._truth)
        return found

    def broken(self, k: int) -> npt.NDArray[np.bool_]:
        """Right pictures that are wrong under set ``k``, bool ``[n]``."""
        found: npt.NDArray[np.bool_] = ~self.failing & (self.said[:, k] != self._truth)
        return found

    @property
    def _truth(self) -> npt.NDArray[np.int64]:
        return np.array([r.truth for r in self.rows], np.int64)


def probes(
    runner: Runner,
    model: ModelInfo,
    head: Readout,
    steer: SteerSet,
    pictures: Iterable[Picture],
    seed: int,
) -> Iterator[tuple[str, Probe]]:
    """Ask about each picture under its own controls and all factors; key and answer of each."""
    tasks = (Task((p,), sets_for(runner, model, steer, p, seed)) for p in pictures)
    for answered in ask(runner, model, tasks):
        for picture, found in zip(answered.pictures, answered.embeddings, strict=True):
            said = head.logits(found[1:]).argmax(-1).tolist()
            moved = drifts(found[:1], found[1:]).tolist()
            yield picture.key, Probe(said=tuple(said), drift=tuple(moved))


def probed_of(rows: Sequence[Row], probes: Mapping[str, Probe]) -> Probed:
    """What the sample says, beside its rows in their order."""
    local = {r.key for r in failing(rows)}
    sample = tuple(r for r in rows if r.key in probes)
    count = len(KINDS) + len(FACTORS)
    return Probed(
        sample,
        np.array([r.key in local for r in sample], bool),
        np.array([probes[r.key].said for r in sample], np.int64).reshape(-1, count),
        np.array([probes[r.key].drift for r in sample], np.float64).reshape(-1, count),
    )


def sets_for(
    runner: Runner, model: ModelInfo, steer: SteerSet, picture: Picture, seed: int
) -> tuple[SteerSet, ...]:
    """The three controls of one picture, then the steer set at every factor."""
    swept = tuple(stronger(steer, factor) for factor in FACTORS)
    if not explained(steer):
        return (*(SteerSet(),) * len(KINDS), *swept)
    # The picture and the seed decide, not the order in which pictures come.
    rng = np.random.default_rng([seed, *picture.key.encode()])
    codes = codes_of(runner, model, steer, picture)
    controls: list[list[SteerSet]] = [[], [], []]
    for part in parts(steer):
        code = codes[part.dictionary]
        controls[0].append(other_features(part, code, model, rng))
        controls[1].append(random_direction(part, code, model, rng))
        controls[2].append(other_features(part, code, model, None))
    for free in free_parts(steer):
        a = activations(runner, model, identity_probe(model.embedding_width), free, picture)
        controls[1].append(added_at(free.site, free_size(free, a, model), model, rng))
    return (*map(joined, controls), *swept)


def codes_of(
    runner: Runner, model: ModelInfo, steer: SteerSet, picture: Picture
) -> dict[str, Code]:
    """The picture's code in every dictionary that is edited."""
    image = (encoded(picture),)
    return {
        part.dictionary: runner.encode(
            Encode(model=model.id, images=image, dictionary=part.dictionary)
        ).one()
        for part in parts(steer)
    }


def controls_of(probed: Probed, steer: SteerSet) -> tuple[Control, ...]:
    """Fix and break rates of the controls; none where their size cannot be known.

    Features are no control of a change that is of free directions.
    """
    if not explained(steer):
        return ()
    local, other = int(probed.failing.sum()), int((~probed.failing).sum())
    return tuple(
        Control(
            name=name,
            fix_rate=share(int(probed.fixed(k).sum()), local),
            break_rate=share(int(probed.broken(k).sum()), other),
        )
        for k, name in enumerate(KINDS)
        if name == "random direction" or not free_parts(steer)
    )


def sweep_of(probed: Probed, steer: SteerSet) -> tuple[SweepPoint, ...]:
    """The price curve; empty where no edit has a strength."""
    if not any(has_strength(e) for e in steer.edits):
        return ()
    local, other = int(probed.failing.sum()), int((~probed.failing).sum())
    drift = probed.drift[~probed.failing]
    return tuple(
        SweepPoint(
            factor=factor,
            fix_rate=share(int(probed.fixed(k).sum()), local),
            break_rate=share(int(probed.broken(k).sum()), other),
            drift=float(drift[:, k].mean()) if len(drift) else 0.0,
        )
        for k, factor in enumerate(FACTORS, len(KINDS))
    )


def flips_at(probed: Probed, steer: SteerSet) -> Spread | None:
    """The smallest factor on the grid that fixes, over the failing pictures that one does fix."""
    if not any(has_strength(e) for e in steer.edits):
        return None
    fixed = np.array([probed.fixed(k) for k in range(len(KINDS), len(KINDS) + len(FACTORS))])
    smallest = [FACTORS[int(column.argmax())] for column in fixed.T if column.any()]
    return spread(smallest) if smallest else None


def evenly(rows: Sequence[T], most: int) -> list[T]:
    """At most ``most`` of them, spread over the whole order."""
    if len(rows) <= most:
        return list(rows)
    return [rows[i * len(rows) // most] for i in range(most)]
