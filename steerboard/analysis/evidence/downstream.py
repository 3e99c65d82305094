"""Which other features move, re-encoded from the steered pass; and could that be foretold?

Forecasts, for a feature g that is not edited (methods, section 5):

    cosine        sum over edited f of moved_f |cos(v_f, v_g)|
    coactivation  sum over edited f of moved_f P(g fires | f fires)
    both          the product of the two sums

with moved_f the mean absolute change of f. Measured is the mean absolute change of g. Activations
are summed over tokens; pictures are those on which the recipe acts and a sample of the others.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, cast

import numpy as np
import numpy.typing as npt
from scipy.stats import spearmanr

from steerboard.analysis.evidence.gathered import Reading
from steerboard.analysis.evidence.pictures import Picture, encoded
from steerboard.spec.answers import Attribution
from steerboard.spec.capabilities import DictionaryInfo, ModelInfo
from steerboard.spec.edits import Feature, SteerSet
from steerboard.spec.errors import InvalidRequest
from steerboard.spec.evidence import Downstream, FeatureShift, Forecast
from steerboard.spec.requests import MAX_TOP_K, Attribute, Classifier, Logit
from steerboard.spec.runner import Runner

Floats = npt.NDArray[np.float64]
INFORMATIVE = 0.5
SHIFTS = 24
CHUNK = 16


@dataclass(frozen=True, eq=False)
class Activity:
    """Activations ``[n, f]`` of one dictionary, summed over tokens, before and after."""

    before: Floats
    after: Floats

    @property
    def moved(self) -> Floats:
        """Mean absolute change of each feature, ``[f]``."""
        found: Floats = np.abs(self.after - self.before).mean(0)
        return found


@dataclass(frozen=True)
class Ask:
    """What is asked of every picture of the sample."""

    runner: Runner
    model: ModelInfo
    classifier: Classifier
    steer: SteerSet


def readings(
    ask: Ask, pictures: Sequence[Picture]
) -> tuple[dict[str, dict[str, Reading]], dict[str, str]]:
    """By dictionary and picture what is read before and after; and why some cannot be read."""
    found: dict[str, dict[str, Reading]] = {}
    skipped: dict[str, str] = {}
    for dictionary in ask.model.dictionaries:
        try:
            found[dictionary.id] = dict(read(ask, dictionary, pictures))
        except InvalidRequest as error:
            skipped[dictionary.id] = error.message
    return found, skipped


def read(
    ask: Ask, dictionary: DictionaryInfo, pictures: Sequence[Picture]
) -> Iterator[tuple[str, Reading]]:
    """Key and reading of each picture; raises what the Runner refuses."""
    for part in pieces(pictures):
        both = [table(ask, dictionary, part, steer) for steer in (SteerSet(), ask.steer)]
        for picture, before, after in zip(part, *both, strict=True):
            active = np.flatnonzero((before != 0) | (after != 0))
            yield (
                picture.key,
                Reading(
                    features=tuple(active.tolist()),
                    before=tuple(before[active].tolist()),
                    after=tuple(after[active].tolist()),
                ),
            )


def activity(readings: Mapping[str, Reading], keys: Sequence[str], size: int) -> Activity:
    """Readings as tables ``[n, f]``, in the order of ``keys``."""
    found = [readings[key] for key in keys if key in readings]
    before, after = np.zeros((2, len(found), size))
    for i, reading in enumerate(found):
        before[i, list(reading.features)] = reading.before
        after[i, list(reading.features)] = reading.after
    return Activity(before, after)


def pieces(pictures: Sequence[Picture]) -> Iterator[Sequence[Picture]]:
    """At most ``CHUNK`` at a time."""
    return (pictures[i : i + CHUNK] for i in range(0, len(pictures), CHUNK))


def table(
    ask: Ask, dictionary: DictionaryInfo, pictures: Sequence[Picture], steer: SteerSet
) -> Floats:
    """Summed activations ``[n, f]`` under ``steer``; features beyond ``MAX_TOP_K`` are left out."""
    request = Attribute(
        model=ask.model.id,
        images=tuple(encoded(p) for p in pictures),
        classifier=ask.classifier,
        dictionary=dictionary.id,
        targets=(Logit(),),
        method="activation",
        top_k=min(dictionary.size, MAX_TOP_K),
        steer=steer,
    )
    answers: list[tuple[Attribution, ...]] = ask.runner.attribute(request).results()
    found = np.zeros((len(pictures), dictionary.size))
    for row, (attribution,) in zip(found, answers, strict=True):
        row[attribution.features] = attribution.activations
    return found


def downstream(
    model: ModelInfo,
    steer: SteerSet,
    readings: Mapping[str, Mapping[str, Reading]],
    keys: Sequence[str],
    decoders: Mapping[str, npt.ArrayLike],
) -> tuple[Downstream, ...]:
    """Every dictionary that sees the change; pictures in the order of ``keys``."""
    known = [d for d in model.dictionaries if readings.get(d.id)]
    tables = {d.id: activity(readings[d.id], keys, d.size) for d in known}
    edited = {e.unit.dictionary for e in steer.edits if isinstance(e.unit, Feature)}
    seen = {name: tables[name] for name in sorted(edited) if name in tables}
    return tuple(
        describe(d, tables[d.id], seen, steer, decoders) for d in known if tables[d.id].moved.any()
    )


def describe(
    dictionary: DictionaryInfo,
    own: Activity,
    edited: Mapping[str, Activity],
    steer: SteerSet,
    decoders: Mapping[str, npt.ArrayLike],
) -> Downstream:
    """What moved in one dictionary, beside its forecasts."""
    free = np.ones(own.before.shape[1], bool)
    free[features_of(steer, dictionary.id)] = False
    active = np.flatnonzero(free & ((own.before != 0) | (own.after != 0)).any(0))
    together = coactivation(own, edited, steer)
    near = cosine(dictionary.id, edited, steer, decoders)
    # Of an edit that is of no feature nothing is foretold.
    forecasts = {"coactivation": together} if edited else {}
    if near is not None:
        forecasts |= {"cosine": near, "both": near * together}
    order = active[np.argsort(-own.moved[active], kind="stable")][:SHIFTS]
    return Downstream(
        dictionary=dictionary.id,
        site=dictionary.site,
        pictures=len(own.before),
        active=len(active),
        shifts=tuple(shift(own, int(f), together, near) for f in order),
        forecasts=tuple(
            forecast(name, guess[active], own.moved[active]) for name, guess in forecasts.items()
        ),
    )


def shift(own: Activity, feature: int, together: Floats, near: Floats | None) -> FeatureShift:
    """One feature's movement."""
    return FeatureShift(
        feature=feature,
        before=float(own.before[:, feature].mean()),
        after=float(own.after[:, feature].mean()),
        moved=float(own.moved[feature]),
        cosine=None if near is None else float(near[feature]),
        coactivation=float(together[feature]),
    )


def forecast(name: str, guess: Floats, moved: Floats) -> Forecast:
    """Rank correlation; 0 where one of the two does not vary."""
    flat = len(guess) < 3 or np.ptp(guess) == 0 or np.ptp(moved) == 0
    rank = 0.0 if flat else float(spearmanr(guess, moved).statistic)
    source = cast(Literal["cosine", "coactivation", "both"], name)
    return Forecast(
        source=source, spearman=rank, features=len(guess), informative=rank >= INFORMATIVE
    )


def features_of(steer: SteerSet, dictionary: str) -> list[int]:
    """The features of a dictionary that are edited."""
    units = [e.unit for e in steer.edits]
    own = {u.index for u in units if isinstance(u, Feature) and u.dictionary == dictionary}
    return sorted(own)


def coactivation(own: Activity, edited: Mapping[str, Activity], steer: SteerSet) -> Floats:
    """Sum over edited f of moved_f P(g fires | f fires), ``[g]``, from the clean pass."""
    total = np.zeros(own.before.shape[1])
    fires = own.before != 0
    for name, table in edited.items():
        for f in features_of(steer, name):
            when = table.before[:, f] != 0
            if when.any():
                total += table.moved[f] * fires[when].mean(0)
    return total


def cosine(
    name: str,
    edited: Mapping[str, Activity],
    steer: SteerSet,
    decoders: Mapping[str, npt.ArrayLike],
) -> Floats | None:
    """Sum over edited f of moved_f |cos(v_f, v_g)|, ``[g]``; None without their decoders."""
    if name not in decoders or any(other not in decoders for other in edited) or not edited:
        return None
    rows = unit_rows(decoders[name])
    total = np.zeros(len(rows))
    for other, table in edited.items():
        theirs = unit_rows(decoders[other])
        if theirs.shape[1] != rows.shape[1]:
            return None
        for f in features_of(steer, other):
            total += table.moved[f] * np.abs(rows @ theirs[f])
    return total


def unit_rows(decoder: npt.ArrayLike) -> Floats:
    """Decoder rows ``[f, d]`` of unit length."""
    rows = np.asarray(decoder, np.float64)
    found: Floats = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-30)
    return found
