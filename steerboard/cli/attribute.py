"""``steerboard methods`` and ``steerboard attribute``: ask which units made an answer."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from steerboard.spec.errors import InvalidRequest, NotFound

if TYPE_CHECKING:
    from steerboard.analysis.located import Located
    from steerboard.spec.capabilities import ModelInfo
    from steerboard.spec.requests import Attribute, Target
    from steerboard.spec.runner import Runner

SIDES = {"model": "beside the model", "runner": "over a runner", "set": "over a set"}


def methods(as_json: Annotated[bool, typer.Option("--json")] = False) -> None:
    """List the methods of attribution: what each answers, what it costs, when it misleads."""
    from steerboard.analysis.methods import METHODS

    if as_json:
        fields = ("side", "answers", "cost", "misleads")
        typer.echo(json.dumps({n: {f: getattr(m, f) for f in fields} for n, m in METHODS.items()}))
        return
    table = Table(title="K = --top, n = --steps; passes of the part behind the site")
    for heading in ("method", "runs", "answers", "cost", "misleads"):
        table.add_column(heading, overflow="fold")
    for name, m in METHODS.items():
        table.add_row(name, SIDES[m.side], m.answers, m.cost, m.misleads)
    Console().print(table)


def attribute(
    image: Annotated[Path, typer.Argument(help="a picture file")],
    model: Annotated[
        str, typer.Option(help="as steerboard.yaml calls it; default: its first")
    ] = "",
    target: Annotated[
        str,
        typer.Option(help="logit, margin, cosine or log_prob, then :class and, of margins, :class"),
    ] = "margin",
    method: Annotated[str, typer.Option(help="see steerboard methods")] = "gradient",
    dictionary: Annotated[str, typer.Option(help="default: the model's first")] = "",
    site: Annotated[str, typer.Option(help="for neurons and heads")] = "",
    units: Annotated[str, typer.Option(help="feature, neuron or head")] = "feature",
    tokens: Annotated[str, typer.Option(help="all, prefix, or cells as row,column;...")] = "all",
    top: Annotated[int, typer.Option(min=1, max=4096)] = 16,
    steps: Annotated[int, typer.Option(min=1, max=256)] = 16,
    trust: Annotated[bool, typer.Option(help="check each unit by exact ablation")] = False,
    config: Annotated[Path, typer.Option(help="steerboard.yaml or its folder")] = Path("demo"),
    connect: Annotated[str, typer.Option(help="host:port of a server instead of config")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="one JSON object")] = False,
) -> None:
    """Say which units made the model's answer about one picture."""
    from steerboard.analysis.methods import locate

    runner = opened(config, connect)
    try:
        info = runner.model(model or runner.models()[0].id)
        place = {"dictionary": dictionary, "site": site, "units": units, "tokens": tokens}
        asked = request(info, image, target, place, method=method, top_k=top, steps=steps)
        found = locate(runner, asked)
        words = checked(runner, asked, found) if trust else {}
    finally:
        runner.close()
    names = info.classifier.names if info.classifier else ()
    if as_json:
        typer.echo(json.dumps(plain(found, words, asked)))
    else:
        show(found, words, asked, names)


def opened(config: Path, address: str) -> "Runner":
    """The runner of this process, or the one at an address."""
    import steerboard

    return steerboard.connect(address) if address else steerboard.local(config)


def request(
    info: "ModelInfo", image: Path, target: str, place: dict[str, str], **other: Any
) -> "Attribute":
    """The question; raises InvalidRequest or NotFound with what is wrong."""
    from pydantic import ValidationError

    from steerboard.api.status import from_validation
    from steerboard.spec.requests import Attribute, Encoded

    if not image.is_file():
        raise NotFound(f"there is no picture {image}", field="image")
    if info.classifier is None:
        raise InvalidRequest(
            f"model {info.id} names no classes: give it prompts or a probe in steerboard.yaml",
            field="model",
        )
    units, site = place["units"], place["site"] or None
    named = place["dictionary"] or next((d.id for d in info.dictionaries), "")
    try:
        return Attribute.model_validate(
            {
                "model": info.id,
                "images": (Encoded(data=image.read_bytes()),),
                "classifier": info.classifier,
                "targets": (read_target(target, info.classifier.names),),
                "dictionary": named if units == "feature" else "",
                "site": site,
                "units": units,
                "tokens": read_tokens(place["tokens"]),
                **other,
            }
        )
    except ValidationError as error:
        raise from_validation(error) from None


def read_target(text: str, classes: tuple[str, ...]) -> "Target":
    """``margin:owl:car`` and the like; what is left out is taken from the clean answer."""
    from steerboard.spec.requests import Cosine, Logit, LogProb, Margin

    kind, *named = text.split(":")
    indices = [index_of(name, classes) for name in named]
    if kind == "margin" and len(indices) <= 2:
        first, second, *_ = [*indices, None, None]
        return Margin(index=first, against=second)
    index = indices[0] if indices else None
    match kind, len(indices) < 2:
        case "logit", True:
            return Logit(index=index)
        case "cosine", True:
            return Cosine(index=index)
        case "log_prob", True:
            return LogProb(index=index)
    raise InvalidRequest(
        f"{text!r} is no target: write margin, margin:CLASS:CLASS, logit:CLASS, cosine:CLASS or"
        " log_prob:CLASS",
        field="target",
    )


def index_of(name: str, classes: tuple[str, ...]) -> int:
    """A class by name or number."""
    if name in classes:
        return classes.index(name)
    if name.isdecimal() and int(name) < len(classes):
        return int(name)
    raise NotFound(f"there is no class {name!r}; there is {', '.join(classes)}", field="target")


def read_tokens(text: str) -> dict[str, Any]:
    """``all``, ``prefix``, or patches such as ``0,1;0,2``."""
    if text in ("all", "prefix"):
        return {"kind": text}
    try:
        cells = [tuple(int(n) for n in cell.split(",")) for cell in text.split(";")]
    except ValueError:
        cells = [()]
    if any(len(cell) != 2 for cell in cells):
        raise InvalidRequest(
            f"{text!r} names no tokens: write all, prefix, or patches as row,column;row,column",
            field="tokens",
        )
    return {"kind": "patches", "cells": cells}


def checked(runner: "Runner", asked: "Attribute", found: "Located") -> dict[int, tuple[float, str]]:
    """Measured effect and verdict of each unit that was ranked."""
    from steerboard.analysis.measuring import measure
    from steerboard.analysis.trust import verdicts

    one = measure(runner, asked)
    measured = -one.changes([one.scaled(-1.0, int(u)) for u in found.units])
    words = verdicts(found.scores, measured)
    rows = zip(found.units, measured, words, strict=True)
    return {int(u): (float(m), word) for u, m, word in rows}


def plain(
    found: "Located", words: dict[int, tuple[float, str]], asked: "Attribute"
) -> dict[str, Any]:
    """The answer and its question as JSON."""
    rows = []
    for i, unit in enumerate(found.units.tolist()):
        row: dict[str, Any] = {"unit": unit, "score": float(found.scores[i])}
        if found.errors is not None:
            row["standard_error"] = float(found.errors[i])
        if unit in words:
            row["measured"], row["verdict"] = words[unit]
        rows.append(row)
    spec = asked.model_dump(mode="json")
    return {"value": found.value, "units": rows, "rows": found.rows, "spec": spec}


def show(
    found: "Located",
    words: dict[int, tuple[float, str]],
    asked: "Attribute",
    names: tuple[str, ...],
) -> None:
    """The answer as a table; scores balance, they are no shares."""
    said = asked.targets[0]
    indices = (getattr(said, name, None) for name in ("index", "against"))
    classes = " against ".join(names[i] for i in indices if i is not None)
    title = f"{found.method} of {said.kind} {classes or 'of the answer'}: {found.value:.4f}"
    table = Table(title=title)
    headings = [asked.units, "score", *(["± standard error"] if found.errors is not None else [])]
    for heading in [*headings, *(["measured", "verdict"] if words else [])]:
        table.add_column(heading, justify="right")
    for row in plain(found, words, asked)["units"]:
        cells = [f"{v:+.4f}" if isinstance(v, float) else str(v) for v in row.values()]
        table.add_row(*cells)
    for name, value in found.rows.items():
        table.add_row(name, f"{value:+.4f}")
    Console().print(table)
