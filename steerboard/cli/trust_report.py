"""A trust report as JSON and as people read it: agreement, calibration, areas."""

from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from steerboard.analysis.trust import Trust, TrustOfSet

AREAS = {
    "deletion": "deletion",
    "insertion": "insertion",
    "deletion_dropped": "deletion, rest off",
    "insertion_dropped": "insertion, rest off",
}
FIGURES = {
    "spearman": "order, Spearman: {:.2f}",
    "sign": "same sign: {:.0%}",
    "overlap": "most effective ten among the first ten: {:.0%}",
    "slope": "calibration, measured effect for each unit of score: {:.2f}",
    "relative_error": "relative error of the effects that gradient predicts: {:.2f}",
}
READ = (
    "Deletion switches the first units off, one after the other: far below 0 is good. Insertion"
    " brings them back from nothing: far above 0 is good. The rest is what the dictionary leaves"
    " over."
)


def of_one(found: "Trust") -> dict[str, Any]:
    """The report on a picture, as JSON."""
    areas = {r: {name: drawn.area(name) for name in AREAS} for r, drawn in found.curves.items()}
    return {"units": len(found.claims), **figures(found), "areas": areas}


def figures(found: "Trust | TrustOfSet") -> dict[str, float]:
    """What both kinds of report say in a number."""
    return {name: getattr(found, name) for name in FIGURES}


def show(said: dict[str, Any], heading: str, method: str) -> None:
    """The figures, and the rankings by falling effect of deletion; ``method`` is on trial."""
    console = Console()
    console.print(f"\n{heading}", highlight=False)
    for name, words in FIGURES.items():
        console.print("  " + words.format(said[name]), highlight=False)
    table = Table(title="mean change of the target along each curve")
    table.add_column("ranking by", no_wrap=True)
    for name in AREAS.values():
        table.add_column(name, justify="right")
    for ranking, areas in sorted(said["areas"].items(), key=lambda item: item[1]["deletion"]):
        cells = [f"{areas[name]:+.3f}" for name in AREAS]
        table.add_row(
            ranking.replace("_", " "), *cells, style="bold" if ranking == method else None
        )
    console.print(table)
    console.print(READ, highlight=False)
