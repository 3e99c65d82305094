"""Ablation as a method: the exact effect of each of the top units, largest first."""

import numpy as np

from steerboard.analysis.located import Located, by_size
from steerboard.analysis.measuring import measure
from steerboard.spec.requests import Attribute
from steerboard.spec.runner import Runner


def ablation(runner: Runner, request: Attribute, units: tuple[int, ...] = ()) -> Located:
    """``y - y(unit off)`` of ``units``, or of the request's ``top_k`` by gradient."""
    asked = measure(runner, request)
    found = asked.attribution()
    chosen = np.array(units, np.int64) if units else found.features
    return by_size("ablation", chosen, asked.effects(chosen.tolist()), found.value)
