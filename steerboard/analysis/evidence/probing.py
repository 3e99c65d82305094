"""The second pass, over a sample: controls of the same size, and the price of every strength.

Local gain is counted on the failing pictures, global loss on a sample of right ones, both the same
for every control and every strength.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from steerboard.analysis.evidence.answers import (
    Readout,
    Task,
    ask,
    chunks,
    identity_probe,
)
from steerboard.analysis.evidence.directions import (
    activations,
    explained,
    free_parts,
    free_size,
)
from steerboard.analysis.evidence.effects import mean_share, share, spread
from steerboard.analysis.evidence.gathered import Probe
from steerboard.analysis.evidence.pictures import Picture, encoded, matches
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
from steerboard.spec.evidence import Control, ControlName, Spread, SweepPoint
from steerboard.spec.requests import Encode
from steerboard.spec.runner import Runner

T = TypeVar("T")
Floats = npt.NDArray[np.float64]
RANDOM: tuple[ControlName, ...] = ("random features", "random direction")
KINDS: tuple[ControlName, ...] = (*RANDOM, "top by energy")
DRAWS = 10  # of each random control, of each failing picture
TOGETHER = 16  # pictures whose activations are asked for at once


@dataclass(frozen=True, eq=False)
class Probed:
    """What a sample says: classes ``[n, k]`` under each set, and drift ``[n, k]``, beside rows.

    ``again`` holds of each row its classes under further draws, ``[kind][draw]``.
    """

    rows: tuple[Row, ...]
    failing: npt.NDArray[np.bool_]
    said: npt.NDArray[np.int64]
    drift: npt.NDArray[np.float64]
    again: tuple[tuple[tuple[int, ...], ...], ...]

    def fixed(self, k: int) -> npt.NDArray[np.bool_]:
        """Failing pictures that are right under set ``k``, bool ``[n]``."""
        found: npt.NDArray[np.bool_] = self.failing & (self.said[:, k] == self._truth)
        return found

    def broken(self, k: int) -> npt.NDArray[np.bool_]:
        """Right pictures that are wrong under set ``k``, bool ``[n]``."""
        found: npt.NDArray[np.bool_] = ~self.failing & (self.said[:, k] != self._truth)
        return found

    def drawn(self, k: int) -> list[list[bool]]:
        """Of each failing picture whether it is right under every draw of control ``k``."""
        return [
            [said == row.truth for said in (int(first), *more)]
            for row, fails, first, more in zip(
                self.rows, self.failing, self.said[:, k], self._more(k), strict=True
            )
            if fails
        ]

    def _more(self, k: int) -> list[tuple[int, ...]]:
        return [found[k] if k < len(found) else () for found in self.again]

    @property
    def _truth(self) -> npt.NDArray[np.int64]:
        return np.array([r.truth for r in self.rows], np.int64)


@dataclass(frozen=True)
class Challenge:
    """What is asked of every picture of a sample.

    ``failures`` are the attributes of the pictures that a recipe is for: of these the random
    controls are drawn ``DRAWS`` times, of others once.
    """

    runner: Runner
    model: ModelInfo
    head: Readout
    steer: SteerSet
    failures: Mapping[str, str]
    seed: int

    def answers(self, pictures: Iterable[Picture]) -> Iterator[tuple[str, Probe]]:
        """Ask about each picture under its own controls and all factors; key and answer."""
        places: dict[str, list[int]] = {}
        for answered in ask(self.runner, self.model, self._tasks(pictures, places)):
            for picture, found in zip(answered.pictures, answered.embeddings, strict=True):
                yield picture.key, self._probe(found[[0, *places.pop(picture.key)]])

    def _tasks(self, pictures: Iterable[Picture], places: dict[str, list[int]]) -> Iterator[Task]:
        """``places`` says of each picture where among its answers that to every set stands."""
        for part in chunks(pictures, TOGETHER):
            sights = sights_of(self.runner, self.model, self.steer, part)
            for picture, sight in zip(part, sights, strict=True):
                draws = DRAWS if matches(picture, self.failures) else 1
                rng = rng_of(self.seed, picture)
                sets = drawn_sets(self.model, self.steer, sight, rng, draws)
                several, places[picture.key] = distinct(sets)
                yield Task((picture,), several)

    def _probe(self, found: Floats) -> Probe:
        """From embeddings ``[1 + k, e]``, the clean one first."""
        said = self.head.logits(found[1:]).argmax(-1).tolist()
        cut = len(KINDS) + len(FACTORS)
        moved = drifts(found[:1], found[1 : 1 + cut]).tolist()
        more, half = said[cut:], len(said[cut:]) // len(RANDOM)
        again = tuple(tuple(more[i * half : (i + 1) * half]) for i in range(len(RANDOM)))
        return Probe(said=tuple(said[:cut]), drift=tuple(moved), again=again)


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
        tuple(probes[r.key].again for r in sample),
    )


@dataclass(frozen=True, eq=False)
class Sight:
    """What the size of a change on one picture is known by: codes, and directions' activations."""

    codes: Mapping[str, Code]
    free: tuple[Floats, ...]


def sights_of(
    runner: Runner, model: ModelInfo, steer: SteerSet, pictures: Sequence[Picture]
) -> list[Sight]:
    """One question a dictionary and a site for all of ``pictures``."""
    if not explained(steer):
        return [Sight({}, ())] * len(pictures)
    images = tuple(encoded(p) for p in pictures)
    codes = {
        part.dictionary: runner.encode(
            Encode(model=model.id, images=images, dictionary=part.dictionary)
        ).results()
        for part in parts(steer)
    }
    probe = identity_probe(model.embedding_width)
    free = [activations(runner, model, probe, part, pictures) for part in free_parts(steer)]
    return [
        Sight({name: found[i] for name, found in codes.items()}, tuple(a[i] for a in free))
        for i in range(len(pictures))
    ]


def rng_of(seed: int, picture: Picture) -> np.random.Generator:
    """The picture and the seed decide what is drawn, not the order in which pictures come."""
    return np.random.default_rng([seed, *picture.key.encode()])


def drawn_sets(
    model: ModelInfo, steer: SteerSet, sight: Sight, rng: np.random.Generator, draws: int
) -> tuple[SteerSet, ...]:
    """``KINDS`` of controls, the steer set at every factor, then further draws by kind."""
    swept = tuple(stronger(steer, factor) for factor in FACTORS)
    if not explained(steer):
        return (*(SteerSet(),) * len(KINDS), *swept)
    first, *more = [random_pair(model, steer, sight, rng) for _ in range(draws)]
    energy = [other_features(p, sight.codes[p.dictionary], model, None) for p in parts(steer)]
    again = [pair[kind] for kind in range(len(RANDOM)) for pair in more]
    return (*first, joined(energy), *swept, *again)


def distinct(sets: Sequence[SteerSet]) -> tuple[tuple[SteerSet, ...], list[int]]:
    """Each set once, and where the answer to every one stands behind the clean one.

    Without edits the clean answer is the answer. Edits without a strength are the same at every
    factor, and features without a dictionary have no controls: many sets are equal.
    """
    several = {own: i for i, own in enumerate(dict.fromkeys(s for s in sets if s.edits), 1)}
    return tuple(several), [several.get(own, 0) for own in sets]


def random_pair(
    model: ModelInfo, steer: SteerSet, sight: Sight, rng: np.random.Generator
) -> tuple[SteerSet, SteerSet]:
    """One draw of random features and one of a random direction, for the whole steer set."""
    features, direction = [], []
    for part in parts(steer):
        code = sight.codes[part.dictionary]
        features.append(other_features(part, code, model, rng))
        direction.append(random_direction(part, code, model, rng))
    for free, a in zip(free_parts(steer), sight.free, strict=True):
        direction.append(added_at(free.site, free_size(free, a, model), model, rng))
    return joined(features), joined(direction)


def controls_of(probed: Probed, steer: SteerSet) -> tuple[Control, ...]:
    """Fix and break rates of the controls; none where their size cannot be known.

    Features are no control of a change that is of free directions.
    """
    if not explained(steer):
        return ()
    other = int((~probed.failing).sum())
    return tuple(
        Control(
            name=name,
            draws=max(map(len, found), default=1),
            fix_rate=mean_share(found),
            break_rate=share(int(probed.broken(k).sum()), other),
        )
        for k, name in enumerate(KINDS)
        if name == "random direction" or not free_parts(steer)
        for found in [probed.drawn(k)]
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
