"""``steerboard inspect``: what is inside a file before it is served."""

import json
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from rich.table import Table

    from steerboard.model.load import LoadedModel
    from steerboard.model.tower import SiteShape

app = typer.Typer(no_args_is_help=True, help="What is inside a model or a dictionary.")


@app.command("model")
def inspect_model(
    where: Annotated[
        str, typer.Argument(help="folder, file of weights, hf-hub:OWNER/NAME or ARCHITECTURE/TAG")
    ],
    architecture: Annotated[
        str, typer.Option(help="open_clip's name of what a lone file of weights belongs to")
    ] = "",
    random: Annotated[
        bool, typer.Option(help="WHERE is an architecture: look at it without any weights")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="for programs")] = False,
) -> None:
    """Architecture, preprocessing, token grid, and every site with its width and units."""
    found = told(look(where, architecture, random), random)
    if as_json:
        typer.echo(json.dumps(found, indent=1))
        return
    show(found)


@app.command("probe")
def inspect_probe(
    path: Annotated[Path, typer.Argument(help="safetensors with weight, bias and names")],
    model: Annotated[str, typer.Option(help="see whether it fits this model")] = "",
) -> None:
    """The classes of a linear probe, and whether it fits a model."""
    from steerboard.model.load import load
    from steerboard.model.probes import check_fits, read_probe

    probe = read_probe(path)
    classes, width = probe.weight.shape
    typer.echo(f"{classes} classes over embeddings of {width} numbers: {', '.join(probe.names)}")
    if model:
        loaded = load(model)
        check_fits(probe, loaded.tower.embedding_width)
        typer.echo(f"fits {loaded.architecture}")


def look(where: str, architecture: str, random: bool) -> "LoadedModel":
    """The model; of random weights, which are asked for here, open_clip need not warn."""
    from steerboard.model.load import load, load_random

    if not random:
        return load(where, architecture)
    logging.disable(logging.WARNING)
    try:
        return load_random(where)
    finally:
        logging.disable(logging.NOTSET)


def told(model: "LoadedModel", random: bool) -> dict[str, Any]:
    """All that is known of a loaded model, as JSON."""
    tower = model.tower
    return {
        "architecture": model.architecture,
        "family": tower.family,
        "fingerprint": "" if random else model.fingerprint,
        "image_size": list(tower.image_size),
        "grid": list(tower.grid),
        "prefix_tokens": tower.prefix,
        "pools": tower.pools,
        "embedding_width": tower.embedding_width,
        "preprocessing": dict(model.preprocessing),
        "logit_scale": model.logit_scale,
        "logit_bias": model.logit_bias,
        "probabilities": "sigmoid" if model.sigmoid else "softmax",
        "reads_texts": model.reads_texts,
        "parameters": sum(p.numel() for p in model.clip.parameters()),
        "tower_parameters": sum(p.numel() for p in tower.visual.parameters()),
        "bytes": model.size,
        "blocks": len(tower.blocks),
        "sites": [site_row(site) for site in tower.sites],
    }


def site_row(site: "SiteShape") -> dict[str, Any]:
    """One site, as JSON."""
    return {
        "name": site.name,
        "width": site.width,
        "tokens": site.tokens,
        "grid": list(site.grid),
        "heads": site.heads,
        "units": ["feature", "neuron", "direction", *(["head"] if site.heads else [])],
        "prefix_read": site.prefix_read,
        "patches_read": site.patches_read,
    }


def show(found: dict[str, Any]) -> None:
    """Two tables on the terminal."""
    from rich.console import Console

    console = Console()
    console.print(summary(found))
    console.print(sites(found["sites"]))


def summary(found: dict[str, Any]) -> "Table":
    """The model as a whole."""
    from rich.table import Table

    table = Table(show_header=False, box=None)
    rows, columns = found["grid"]
    prefix = found["prefix_tokens"]
    way = found["preprocessing"]
    for name, value in {
        "architecture": found["architecture"],
        "fingerprint": found["fingerprint"] or "random weights: none",
        "pictures": f"{by(found['image_size'])} pixels, {way.get('resize_mode', 'shortest')},"
        f" {way.get('interpolation', 'bicubic')}",
        "mean, std": f"{numbers(way['mean'])}; {numbers(way['std'])}",
        "tokens": f"{prefix} prefix + {rows} x {columns} patches; pools {found['pools']}",
        "embedding": f"{found['embedding_width']} numbers",
        "logits": f"scale {found['logit_scale']:.2f}, bias {found['logit_bias']:.2f};"
        f" probabilities by {found['probabilities']}",
        "texts": "read" if found["reads_texts"] else "not read here: classify with a probe",
        "parameters": f"{found['parameters'] / 1e6:.1f} million, of which"
        f" {found['tower_parameters'] / 1e6:.1f} read pictures",
        "memory": f"{found['bytes'] / 2**20:.0f} MiB in float32",
    }.items():
        table.add_row(f"[bold]{name}[/bold]", str(value))
    return table


def sites(rows: list[dict[str, Any]]) -> "Table":
    """Every site; blocks that look alike stand in one row."""
    from rich.table import Table

    table = Table("site", "width", "tokens", "heads", "read behind it")
    table.caption = "Units at every site: features, neurons and directions; heads where some stand."
    for name, row in joined(rows):
        words = [word for word in ("prefix", "patches") if row[f"{word}_read"]]
        behind = " and ".join(words) if any(row["grid"]) else "the embedding"
        tokens = f"{row['tokens']}" + (f" ({by(row['grid'])})" if any(row["grid"]) else "")
        table.add_row(name, str(row["width"]), tokens, str(row["heads"] or ""), behind)
    return table


def joined(rows: list[dict[str, Any]]) -> list[tuple[str, dict[str, Any]]]:
    """Sites of one kind that differ in nothing but their number, under ``resid_post.0-10``."""
    groups: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        rest = {key: value for key, value in row.items() if key != "name"}
        groups.setdefault(f"{row['name'].partition('.')[0]} {rest}", []).append(row)
    return [(span([row["name"] for row in group]), group[0]) for group in groups.values()]


def span(names: list[str]) -> str:
    """``resid_post.3``, or ``resid_post.0-10``."""
    kind, _, first = names[0].partition(".")
    last = names[-1].partition(".")[2]
    return names[0] if first == last else f"{kind}.{first}-{last}"


def by(pair: list[int]) -> str:
    """``224 x 224``."""
    return f"{pair[0]} x {pair[1]}"


def numbers(values: Any) -> str:
    """``0.48, 0.46, 0.41``."""
    return ", ".join(f"{value:.3g}" for value in values)
