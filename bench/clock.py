"""Measuring side by side: rounds of everything in turn, medians with their spread."""

import os
import platform
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Figure:
    """Median and range over rounds."""

    median: float
    low: float
    high: float

    def told(self) -> dict[str, float]:
        return {"median": self.median, "low": self.low, "high": self.high}


def figure(values: list[float]) -> Figure:
    return Figure(statistics.median(values), min(values), max(values))


def one(value: float) -> Figure:
    """Of what is measured once."""
    return Figure(float(value), float(value), float(value))


def seconds(call: Callable[[], object]) -> float:
    begun = time.perf_counter()
    call()
    return time.perf_counter() - begun


def in_turn(calls: dict[str, Callable[[], float]], rounds: int) -> dict[str, list[float]]:
    """Each call's numbers, round by round: A, B, C, A, B, C, so that all meet the same machine."""
    found: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(rounds):
        for name, call in calls.items():
            found[name].append(call())
    return found


def ratios(above: list[float], below: list[float]) -> Figure:
    """Of the numbers of the same round."""
    return figure([a / b for a, b in zip(above, below, strict=True)])


def machine() -> dict[str, object]:
    """What it was measured on."""
    import torch

    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "load": os.getloadavg()[0],
        "torch": torch.__version__,
        "python": platform.python_version(),
        "system": platform.platform(),
        **({"gpu": torch.cuda.get_device_name(0)} if torch.cuda.is_available() else {}),
    }


def _processor() -> str:
    try:
        with open("/proc/cpuinfo") as lines:
            named = [line.partition(":")[2].strip() for line in lines if "model name" in line]
        return named[0]
    except (OSError, IndexError):
        return platform.processor()
