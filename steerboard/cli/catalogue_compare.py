"""``steerboard catalogue compare``: two tables, a figure, and a few lines."""

import csv
from pathlib import Path

import numpy as np
from rich.console import Console

from steerboard.catalogue.compare import Comparison, Match, compare, read_responses
from steerboard.spec.catalogue import TOGETHER


def main(first: str, second: str, floor: float, out: Path) -> None:
    """Compare two catalogues; ``out`` gets ``first.csv``, ``second.csv`` and ``match.png``."""
    found = compare(read_responses(first), read_responses(second))
    out.mkdir(parents=True, exist_ok=True)
    console = Console()
    console.print(
        f"over {found.pictures} pictures that both hold; two features match where they correlate"
        f" and both fire on {TOGETHER} of them or more:",
        soft_wrap=True,
    )
    for name, place, match in (("first", first, found.first), ("second", second, found.second)):
        table(out / f"{name}.csv", match, floor)
        console.print(f"{name} ({place}): {summary(match, floor)}", soft_wrap=True)
    figure(out / "match.png", found, floor)
    console.print(f"{out}/first.csv, second.csv, match.png", soft_wrap=True)


def summary(match: Match, floor: float) -> str:
    """One side in a line."""
    alone = len(match.alone(floor))
    known = match.correlations[np.isfinite(match.correlations)]
    median = f"; median {np.median(known):.2f}" if len(known) else ""
    mutual = int((match.mutual & (match.correlations >= floor)).sum())
    return (
        f"{len(match.features)} features fire, {len(match.features) - alone} have a partner of"
        f" correlation {floor:g} or more ({mutual} are mutual), {alone} have none, of which"
        f" {match.seldom} fire on fewer than {TOGETHER} pictures{median}"
    )


def table(path: Path, match: Match, floor: float) -> None:
    """A row a feature, best matches first; partners below the floor are named all the same."""
    order = np.lexsort((match.features, -np.nan_to_num(match.correlations, nan=-2)))
    together = np.zeros_like(match.features) if match.together is None else match.together
    with open(path, "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["feature", "partner", "correlation", "mutual", "matched", "together"])
        for i in order:
            r = match.correlations[i]
            known = np.isfinite(r)  # else there is no partner to name
            partner, both = (match.partners[i], together[i]) if known else ("", "")
            row = match.features[i], partner, f"{r:.6f}", match.mutual[i], r >= floor, both
            writer.writerow(row)


def figure(path: Path, found: Comparison, floor: float) -> None:
    """How well the features of each side are matched on the other: a share by correlation."""
    from matplotlib.figure import Figure

    drawing = Figure(figsize=(6, 3.6), layout="constrained")
    axes = drawing.subplots()
    for name, match in (("first", found.first), ("second", found.second)):
        values = np.sort(np.nan_to_num(match.correlations, nan=0.0))
        share = 1 - np.arange(len(values)) / len(values)
        axes.step(values, share, where="post", label=f"{name}: {len(values)} features")
    axes.axvline(floor, color="0.6", linewidth=1, linestyle=":")
    axes.set(xlabel="correlation with the best partner", ylabel="share at least so well matched")
    axes.set(xlim=(0, 1), ylim=(0, 1), title=f"over {found.pictures} pictures")
    axes.legend(frameon=False)
    drawing.savefig(path, dpi=150)
