"""``steerboard catalogue compare``: two tables, a figure, and a few lines."""

import csv
from pathlib import Path

import numpy as np
from rich.console import Console

from steerboard.catalogue.compare import Comparison, Match, compare, read_responses


def main(first: str, second: str, floor: float, out: Path) -> None:
    """Compare two catalogues; ``out`` gets ``first.csv``, ``second.csv`` and ``match.png``."""
    found = compare(read_responses(first), read_responses(second))
    out.mkdir(parents=True, exist_ok=True)
    console = Console()
    console.print(f"over {found.pictures} pictures that both hold:")
    for name, place, match in (("first", first, found.first), ("second", second, found.second)):
        table(out / f"{name}.csv", match, floor)
        console.print(f"{name} ({place}): {summary(match, floor)}", soft_wrap=True)
    figure(out / "match.png", found, floor)
    console.print(f"{out}/first.csv, second.csv, match.png", soft_wrap=True)


def summary(match: Match, floor: float) -> str:
    """One side in a line."""
    alone = len(match.alone(floor))
    median = np.nanmedian(match.correlations)
    return (
        f"{len(match.features)} features fire, {len(match.features) - alone} have a partner of"
        f" correlation {floor:g} or more ({int(match.mutual.sum())} are mutual), {alone} have none;"
        f" median {median:.2f}"
    )


def table(path: Path, match: Match, floor: float) -> None:
    """A row a feature, best matches first; partners below the floor are named all the same."""
    order = np.lexsort((match.features, -np.nan_to_num(match.correlations, nan=-2)))
    with open(path, "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["feature", "partner", "correlation", "mutual", "matched"])
        for i in order:
            r = match.correlations[i]
            row = (match.features[i], match.partners[i], f"{r:.6f}", match.mutual[i], r >= floor)
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
