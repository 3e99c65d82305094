"""Shapley values of the top units, by sampled orders (Castro et al., 2009; methods, section 3).

The players are the request's ``top_k`` units by gradient; all other units keep their activation. A
coalition's worth is y with the other players off. Orders are drawn in pairs, each with its
reverse, which takes out much of the noise (antithetic sampling); the standard error is that of
the means over independent pairs. The values sum to ``y - y(all players off)``, exactly.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import combinations
from math import factorial

import numpy as np
import numpy.typing as npt

from steerboard.analysis.located import Located, by_size
from steerboard.analysis.measuring import Measure, measure
from steerboard.spec.requests import Attribute
from steerboard.spec.runner import Runner

Floats = npt.NDArray[np.float64]
# Worth of coalitions (players that are on) against the clean pass.
Worth = Callable[[Sequence[frozenset[int]]], Floats]
PAIRS = 32


def shapley(runner: Runner, request: Attribute, pairs: int = PAIRS, seed: int = 0) -> Located:
    """Scores with standard errors; about ``2 pairs (top_k - 1)`` passes behind the site."""
    asked = measure(runner, request)
    found = asked.attribution()
    players = found.features
    means, errors = sampled(remembered(worth(asked, players)), len(players), pairs, seed)
    ranked = by_size("shapley", players, means, found.value)
    order = np.argsort(-np.abs(means), kind="stable")
    baseline = found.value - float(means.sum())
    rows = {"baseline": baseline, "total": float(means.sum())}
    return replace(ranked, errors=errors[order], rows=rows)


def worth(asked: Measure, players: npt.NDArray[np.int64]) -> Worth:
    """Measured through the runner: everyone who is not in the coalition is switched off."""

    def of(coalitions: Sequence[frozenset[int]]) -> Floats:
        absent = [[p for i, p in enumerate(players.tolist()) if i not in c] for c in coalitions]
        return asked.changes([asked.scaled(-1.0, *units) for units in absent])

    return of


def remembered(ask: Worth) -> Worth:
    """Each coalition is asked about once."""
    known: dict[frozenset[int], float] = {}

    def of(coalitions: Sequence[frozenset[int]]) -> Floats:
        fresh = [c for c in dict.fromkeys(coalitions) if c not in known]
        known.update(zip(fresh, ask(fresh).tolist(), strict=True))
        return np.array([known[c] for c in coalitions])

    return of


def sampled(ask: Worth, n: int, pairs: int, seed: int) -> tuple[Floats, Floats]:
    """Means and standard errors ``[n]`` over ``pairs`` orders and their reverses."""
    rng = np.random.default_rng(seed)
    found = np.zeros((pairs, n))
    for k in range(pairs):
        order = rng.permutation(n)
        found[k] = (gains(ask, order) + gains(ask, order[::-1])) / 2
    spread = found.std(0, ddof=1) if pairs > 1 else np.full(n, np.nan)
    return found.mean(0), spread / np.sqrt(pairs)


def gains(ask: Worth, order: npt.NDArray[np.int64]) -> Floats:
    """What each player adds to those before it ``[n]``."""
    coalitions = [frozenset(order[:k].tolist()) for k in range(len(order) + 1)]
    out = np.zeros(len(order))
    out[order] = np.diff(ask(coalitions))
    return out


def enumerated(ask: Worth, n: int) -> Floats:
    """Exact values ``[n]`` over all ``2^n`` coalitions (Shapley, 1953): for few players."""
    everyone = range(n)
    out = np.zeros(n)
    for size in range(n):
        weight = factorial(size) * factorial(n - size - 1) / factorial(n)
        for player in everyone:
            others = [i for i in everyone if i != player]
            without = [frozenset(c) for c in combinations(others, size)]
            with_player = [c | {player} for c in without]
            out[player] += weight * float((ask(with_player) - ask(without)).sum())
    return out
