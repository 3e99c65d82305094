"""What training gave, measured on pictures that were held out: JSON, Markdown and a figure."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from steerboard.dictionary.quality import quality, split_tokens
from steerboard.dictionary.sae import Sae
from steerboard.dictionary.training.checkpoint import Progress
from steerboard.dictionary.training.harvest import BATCH, read_site
from steerboard.dictionary.training.pictures import Decoder
from steerboard.dictionary.training.plan import Plan
from steerboard.model.load import LoadedModel
from steerboard.model.placement import before, full
from steerboard.spec.base import Spec
from steerboard.spec.capabilities import Quality
from steerboard.spec.errors import InvalidRequest

SCHEMA = 1
NAMES = ("json", "md", "png")


class TrainingReport(Spec):
    """The figures of a finished training.

    ``together`` is over all covered tokens as they come; ``quality`` has prefix and patches apart,
    each around its own mean. ``curves`` are (step, error, L0, dead share), error being 1 for a
    dictionary that knows the mean only.
    """

    schema_: int = SCHEMA
    plan: Plan
    model: str
    site: str
    pictures: int
    broken: tuple[str, ...]
    held_out: int
    quality: tuple[Quality, ...]
    together: Quality
    steps: int
    seconds: float
    tokens_per_second: float
    curves: tuple[tuple[int, float, float, float], ...]


def held_out_rows(
    loaded: LoadedModel, site: str, pictures: Sequence[Path]
) -> tuple[Tensor, list[str]]:
    """Activations ``[n, t, d]`` of pictures kept out of training, and which could not be read."""
    decoder = Decoder(loaded)
    parts = [
        full(read_site(loaded.tower, before(loaded.tower, stack), site)).cpu()
        for stack in decoder.stacks(pictures, BATCH)
        if stack
    ]
    if not parts:
        raise InvalidRequest("not one held-out picture can be read", field="images")
    return torch.cat(parts), decoder.broken


def measured(
    sae: Sae, rows: Tensor, prefix: int, plan: Plan, progress: Progress, record: dict[str, Any]
) -> TrainingReport:
    """The report of ``sae`` on held-out activations ``rows [n, t, d]``.

    Args:
        sae: What was trained.
        rows: Activations at the site.
        prefix: Prefix tokens there.
        plan: How it was trained.
        progress: How far, and the curves.
        record: The store's.
    """
    parts = split_tokens(rows, sae.tokens, prefix)
    tokens = progress.step * plan.batch
    return TrainingReport(
        plan=plan,
        model=record["model"],
        site=record["site"],
        pictures=record["pictures"],
        broken=tuple(record["broken"]),
        held_out=len(rows),
        quality=tuple(quality(sae, x, part) for part, x in parts.items()),
        together=quality(sae, torch.cat(list(parts.values())), sae.tokens),
        steps=progress.step,
        seconds=progress.seconds,
        tokens_per_second=tokens / max(progress.seconds, 1e-9),
        curves=tuple(progress.curves),
    )


def write_report(report: TrainingReport, folder: Path) -> list[Path]:
    """``report.json``, ``report.md`` and ``report.png`` in ``folder``."""
    paths = [folder / f"report.{name}" for name in NAMES]
    paths[0].write_text(json.dumps(report.model_dump(mode="json"), indent=1) + "\n")
    paths[1].write_text(markdown(report))
    draw(report, paths[2])
    return paths


def markdown(report: TrainingReport) -> str:
    """The report for people."""
    plan = report.plan
    lines = [
        f"# Dictionary at {report.site}",
        "",
        f"{plan.architecture}, {plan.size} features, k = {plan.k}, {plan.tokens} tokens, trained on"
        f" {report.pictures} pictures in {report.seconds:.0f} s ({report.steps} steps,"
        f" {report.tokens_per_second:.0f} tokens a second); measured on {report.held_out} others.",
        "",
        "| tokens | explained variance | mean over dimensions | cosine | L0 | dead |",
        "|---|---|---|---|---|---|",
    ]
    for q in (*report.quality, report.together):
        name = "together" if q is report.together else q.tokens
        lines.append(
            f"| {name} | {q.explained_variance:.4f} | {q.per_dimension:.4f} | {q.cosine:.4f}"
            f" | {q.l0:.1f} | {q.dead:.4f} |"
        )
    if report.broken:
        lines += ["", f"Skipped, as they cannot be read ({len(report.broken)}):", ""]
        lines += [f"- {name}" for name in report.broken]
    return "\n".join(lines) + "\n"


def check_figure() -> None:
    """Before hours of training: raises InvalidRequest where the figure could not be drawn."""
    try:
        import matplotlib.figure  # noqa: F401
    except ImportError as error:
        raise InvalidRequest(
            "the report's figure needs matplotlib: pip install 'steerboard[training]'"
        ) from error


def draw(report: TrainingReport, path: Path) -> None:
    """Error, L0 and dead share over the steps, and the qualities as bars."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 6), layout="constrained")
    axes = figure.subplots(2, 2).ravel()
    names = ("error (1: mean only)", "active features a token", "share idle for long")
    for i, (name, axis) in enumerate(zip(names, axes, strict=False), 1):
        axis.plot([point[0] for point in report.curves], [point[i] for point in report.curves])
        axis.set(xlabel="step", title=name)
    axes[0].set_yscale("log")
    for shift, key in ((-0.2, "explained_variance"), (0.2, "per_dimension")):
        values = [getattr(q, key) for q in report.quality]
        axes[3].bar([i + shift for i in range(len(values))], values, 0.4, label=key)
    axes[3].set_xticks(range(len(report.quality)), [q.tokens for q in report.quality])
    axes[3].set(ylim=(0, 1), title=f"{report.held_out} held-out pictures")
    axes[3].legend()
    figure.savefig(path, dpi=100)
