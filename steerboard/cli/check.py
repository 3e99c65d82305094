"""``steerboard demo --check``: the figures of the demo, through gRPC and the worker."""

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import track
from rich.table import Table

from steerboard.analysis.bias_task import task_b
from steerboard.analysis.flip import Contrast, Question
from steerboard.analysis.shortcut_tasks import Bench, Picture, Row, clean_accuracy, task_a
from steerboard.api.client import connect
from steerboard.api.jobs_client import JobClient, LibraryClient
from steerboard.cli.check_figures import Figure, figures
from steerboard.spec.capabilities import ModelInfo
from steerboard.spec.catalogue import ImageCard
from steerboard.spec.errors import Internal, NotFound, Unavailable
from steerboard.spec.jobs import AttributeSetJob
from steerboard.spec.requests import Digest, Encoded, Margin, Prompts

TOP_K = 128
PAGE = 50


def report(
    console: Console, inference: str, jobs: str, json_path: Path | None, config: Path | None = None
) -> int:
    """Measure everything, print the table; 0 where every bound is kept, else 1."""
    runner, door, library = connect(inference), JobClient(jobs), LibraryClient(jobs)
    info = runner.models()[0]
    bench = make_bench(info, runner, door)
    validation, test = (read_split(library, split) for split in ("validation", "test"))
    clean = [p for p in test if p.is_(group="clean")]
    rows = [clean_accuracy(bench, clean)]
    parts: list[tuple[str, Callable[[], Iterator[Row]]]] = [
        ("task A", lambda: task_a(bench, test)),
        ("task B", lambda: task_b(bench, validation, test)),
    ]
    for name, part in parts:
        with console.status(name):
            rows += part()
    with console.status("figures"):
        plain, held_out = ([p.image for p in part] for part in (clean, test))
        found = list(figures(bench, info, plain, held_out, config))
    console.print(draw(rows, found))
    if json_path is not None:
        json_path.write_text(json.dumps(as_json(info, rows, found), indent=1) + "\n")
    short = sum(r.passed is False for r in rows) + sum(f.passed is False for f in found)
    console.print(f"{short} figures fall short" if short else "every figure holds")
    return 1 if short else 0


def make_bench(info: ModelInfo, runner: Any, door: JobClient) -> Bench:
    """The middle dictionary, over all tokens, and the model's own prompts."""
    middle = next((d for d in info.dictionaries if d.tokens == "all"), None)
    if middle is None or len(info.prompts) < 2:
        raise NotFound(f"model {info.id} has no dictionary over all tokens, or no class names")
    classifier = Prompts(prompts=info.prompts, template=info.template)
    question = Question(info.id, classifier, middle.id, middle.site)

    def contrasts(pictures: Sequence[Picture], margins: Sequence[Margin]) -> list[Contrast]:
        return by_worker(door, question, pictures, margins)

    return Bench(runner, question, info.prompts, contrasts)


def by_worker(
    door: JobClient, question: Question, pictures: Sequence[Picture], margins: Sequence[Margin]
) -> list[Contrast]:
    """Attributions of a set, computed by the worker pool."""
    if not pictures:
        return []
    job = AttributeSetJob(
        model=question.model,
        images=tuple(Digest(sha256=p.image.sha256) for p in pictures),
        classifier=question.classifier,
        dictionary=question.dictionary,
        targets=tuple(margins),
        top_k=TOP_K,
    )
    opened = door.submit(job, [p.image.data for p in pictures])
    *_, status = door.watch(opened.id)
    if status.state != "done":
        raise Unavailable(f"the job {status.id[:12]} ended as {status.state}: {status.message}")
    return [contrast(r) for r in door.result(status.id) if isinstance(r, dict) and "image" in r]


def contrast(row: dict[str, Any]) -> Contrast:
    """One row of an ``attribute_set`` job."""
    if "error" in row:
        raise Internal(f"picture {row['image'][:12]}: {row['error']}")
    features = np.asarray(row["features"], np.int64)
    return Contrast(features, np.asarray(row["scores"], np.float64))


def read_split(library: LibraryClient, split: str) -> list[Picture]:
    """All pictures of a split of the first image set, with what the manifest says."""
    name = library.image_sets()[0].id
    cards: list[ImageCard] = []
    token = ""
    while True:
        page = library.images(name, split=split, page_token=token)
        cards += page.items
        token = page.next
        if not token:
            break
    data: dict[str, bytes] = {}
    for start in track(range(0, len(cards), PAGE), f"pictures: {split}", transient=True):
        data |= library.get_images([c.sha256 for c in cards[start : start + PAGE]])
    return [
        Picture(
            Encoded(data=data[c.sha256]),
            {"path": c.path, "split": c.split, "group": c.group, "label": c.label, **c.attributes},
        )
        for c in cards
    ]


def draw(rows: Sequence[Row], found: Sequence[Figure]) -> Table:
    """The table as people see it."""
    table = Table(title="test split, fixed seeds; 95 % Wilson intervals")
    for column in ("what", "measured", "bound", ""):
        table.add_column(column)
    for row in rows:
        table.add_row(
            row.name, str(row.rate), bound(row.at_least, row.at_most, 100), mark(row.passed)
        )
    for figure in found:
        limit = bound(figure.at_least, figure.at_most, 1)
        table.add_row(figure.name, figure.text, limit, mark(figure.passed))
    return table


def bound(at_least: float | None, at_most: float | None, factor: int) -> str:
    """A bound as text."""
    unit = " %" if factor == 100 else ""
    low = "" if at_least is None else f"≥ {factor * at_least:.3g}{unit}"
    return low if at_most is None else f"≤ {factor * at_most:.3g}{unit}"


def mark(passed: bool | None) -> str:
    """Pass, short, or nothing where there is no bound."""
    return {True: "[green]pass[/green]", False: "[red]short[/red]", None: ""}[passed]


def as_json(info: ModelInfo, rows: Sequence[Row], found: Sequence[Figure]) -> dict[str, Any]:
    """The table for machines, with the fingerprints it was measured on."""
    rates = [
        {
            "name": r.name,
            "hits": r.rate.hits,
            "n": r.rate.n,
            "rate": r.rate.value,
            "interval": r.rate.interval,
            "at_least": r.at_least,
            "at_most": r.at_most,
            "passed": r.passed,
        }
        for r in rows
    ]
    dictionaries = {d.id: d.fingerprint for d in info.dictionaries}
    others = [{**f.__dict__, "passed": f.passed} for f in found]
    return {
        "model": info.fingerprint,
        "dictionaries": dictionaries,
        "rates": rates,
        "figures": others,
    }
