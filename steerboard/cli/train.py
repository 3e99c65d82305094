"""``steerboard dictionary train``: a dictionary from a model and a folder of pictures."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from steerboard.cli.train_screen import screen, stopped_by_hand

if TYPE_CHECKING:
    from steerboard.dictionary.training.report import TrainingReport

Option = typer.Option


def train(
    model: Annotated[str, Option(help="folder, file of weights or open_clip tag")],
    site: Annotated[str, Option(help="such as resid_post.8")],
    images: Annotated[Path, Option(help="folder (of classes, or not) or .jsonl manifest")],
    width: Annotated[str, Option(help="features: a number, or 16x for 16 times the site's width")],
    k: Annotated[int, Option(help="active features a token; ReLU and JumpReLU are steered there")],
    architecture: Annotated[str, Option(help="topk, batchtopk, jumprelu or relu")] = "topk",
    matryoshka: Annotated[
        str, Option(help="nested sizes that rebuild alone, such as 256,1024; the width is added")
    ] = "",
    tokens: Annotated[str, Option(help="prefix, patches or all")] = "all",
    normalize: Annotated[str, Option(help="none, layer_norm or constant_norm_rescale")] = "none",
    steps: Annotated[int, Option(help="0: until the minutes are over")] = 0,
    minutes: Annotated[float, Option(help="of training proper; 0: until the steps are done")] = 0,
    out: Annotated[Path, Option(help="folder for dictionary, report and checkpoint")] = Path(
        "dictionary"
    ),
    resume: Annotated[bool, Option(help="go on where a run in --out was stopped")] = False,
    split: Annotated[str, Option(help="train on this split of the manifest")] = "",
    test_split: Annotated[str, Option(help="measure on this split, not on a share of all")] = "",
    held_out: Annotated[float, Option(min=0.001, max=0.5, help="share kept for measuring")] = 0.1,
    views: Annotated[
        int, Option(help="passes over each picture; from the second on, cut and flipped by chance")
    ] = 1,
    batch: Annotated[int, Option(help="tokens a step, over all processes")] = 2048,
    rate: Annotated[float, Option(help="peak learning rate")] = 1e-3,
    prefix_share: Annotated[float, Option(help="of a batch, at least this is prefix")] = 0.1,
    balance: Annotated[
        float, Option(help="0: dimensions weigh alike; 1: each in its own variance")
    ] = 0.0,
    few: Annotated[int, Option(help="let so many features of a prefix token say most")] = 0,
    device: Annotated[str, Option(help="cpu or cuda; empty: a GPU where there is one")] = "",
    model_architecture: Annotated[str, Option(help="of a lone file of weights")] = "",
    seed: int = 0,
) -> None:
    """Train a dictionary; under torchrun, on several GPUs or processes at once."""
    from steerboard.dictionary.training.ranks import joined
    from steerboard.dictionary.training.run import choose
    from steerboard.dictionary.training.run import train as run
    from steerboard.model.load import load

    settings = {
        "architecture": architecture, "k": k, "tokens": tokens, "normalize": normalize,
        "steps": steps, "minutes": minutes, "views": views, "batch": batch, "rate": rate,
        "prefix_share": prefix_share, "balance": balance, "few": few, "seed": seed,
    }  # fmt: skip
    with joined(device) as ranks:
        loaded = load(model, model_architecture)
        loaded.clip.to(ranks.device)
        size = features(width, loaded, site)
        plan = make_plan(size=size, matryoshka=nested(matryoshka, size), **settings)
        pictures = choose(images, split, test_split, held_out)
        with screen(ranks.leads) as watcher, stopped_by_hand(watcher, ranks.world):
            report = run(loaded, site, pictures, plan, out, watcher, resume, ranks)
        if report is not None:
            say(report, out)


def make_plan(**settings: Any) -> Any:
    """A plan, or one sentence on the first setting that is wrong."""
    from pydantic import ValidationError

    from steerboard.dictionary.training.plan import Plan
    from steerboard.spec.errors import InvalidRequest

    try:
        return Plan(**settings)
    except ValidationError as error:
        first = error.errors()[0]
        where = f"--{'-'.join(map(str, first['loc'][:1]))}: ".replace("_", "-")
        message = first["msg"].removeprefix("Value error, ")
        raise InvalidRequest((where if first["loc"] else "") + message) from error


def features(width: str, loaded: Any, site: str) -> int:
    """How many features ``--width`` asks for."""
    from steerboard.spec.errors import InvalidRequest

    number = width.removesuffix("x")
    if not number.isdecimal() or not int(number):
        raise InvalidRequest(f"--width is {width!r}: give a number such as 3072, or 16x")
    shapes = {shape.name: shape.width for shape in loaded.tower.sites}
    if site not in shapes:
        raise InvalidRequest(f"this model has no site {site!r}; it has {', '.join(shapes)}")
    return int(number) * (shapes[site] if width.endswith("x") else 1)


def nested(sizes: str, size: int) -> tuple[int, ...]:
    """``--matryoshka`` with the whole width at its end; empty where it is not asked for."""
    from steerboard.spec.errors import InvalidRequest

    if not sizes:
        return ()
    parts = [part.strip() for part in sizes.split(",")]
    if not all(part.isdecimal() for part in parts):
        raise InvalidRequest(f"--matryoshka is {sizes!r}: give sizes such as 256,1024")
    return tuple(sorted({*map(int, parts), size}))


def say(report: "TrainingReport", out: Path) -> None:
    """The figures, and where they are."""
    from steerboard.dictionary.training.report import markdown

    typer.echo(markdown(report))
    typer.echo(f"{out}/dictionary.safetensors, report.json, report.md, report.png")
