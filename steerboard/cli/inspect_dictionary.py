"""``steerboard inspect dictionary``: the gate's report, before anything is served."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from steerboard.spec.capabilities import TokenSet

if TYPE_CHECKING:
    from torch import Tensor

    from steerboard.dictionary.gate import GateReport
    from steerboard.dictionary.native import DictionaryFile
    from steerboard.model.load import LoadedModel
    from steerboard.spec.requests import Probe

LEAST = 8  # pictures, as calibration in a steerboard.yaml has it


def inspect_dictionary(
    path: Annotated[Path, typer.Argument(help="file or folder of a dictionary, any format")],
    model: Annotated[
        list[str],
        typer.Option(help="as for inspect model; further ones are tried as backbones"),
    ],
    images: Annotated[Path, typer.Option(help="folder of pictures or .jsonl manifest")],
    split: Annotated[str, typer.Option(help="of the manifest")] = "",
    count: Annotated[int, typer.Option(min=LEAST, help="pictures, evenly from all")] = 200,
    prompts: Annotated[
        Path | None, typer.Option(help="JSON with classes: how many answers stay the same")
    ] = None,
    probe: Annotated[
        Path | None, typer.Option(help="safetensors of a linear probe, in place of prompts")
    ] = None,
    site: Annotated[str, typer.Option(help="such as resid_post.9, if the file is silent")] = "",
    tokens: Annotated[
        TokenSet | None, typer.Option(help="prefix, patches or all, likewise")
    ] = None,
    sidecar: Annotated[Path | None, typer.Option(help="settings beside the file")] = None,
    architecture: Annotated[str, typer.Option(help="of a lone file of weights")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="for programs")] = False,
) -> None:
    """Does it belong to the model? What was tried and what each gave; exit 1 where it does not."""
    from steerboard.dictionary.formats import Hints, read
    from steerboard.inprocess.config import read_prompts
    from steerboard.model.load import load
    from steerboard.model.probes import read_probe

    file = read(path, Hints(site, tokens, sidecar))
    named = {place: load(place, architecture) for place in model}
    classes, template = read_prompts(prompts) if prompts else ((), "{}")
    texts = [template.replace("{}", name) for name in classes]
    known = read_probe(probe) if probe else None
    report = reported(path.name, file, named, chosen(images, split, count), texts, known)
    if as_json:
        typer.echo(json.dumps(report.model_dump(mode="json"), indent=1))
    else:
        show(report)
    if report.faults:
        raise typer.Exit(1)


def chosen(images: Path, split: str, count: int) -> list[Path]:
    """Up to ``count`` pictures, evenly."""
    from steerboard.dictionary.training.pictures import find_pictures

    found = find_pictures(images, split)
    return found[:: max(1, len(found) // count)][:count]


def reported(
    name: str,
    file: "DictionaryFile",
    models: "dict[str, LoadedModel]",
    pictures: list[Path],
    texts: list[str],
    probe: "Probe | None" = None,
) -> "GateReport":
    """The report on the first model, the others tried as backbones beside it."""
    from steerboard.inprocess.calibration import examined, head_of
    from steerboard.inprocess.probing import read_sites
    from steerboard.model.probes import check_fits

    first, *others = models
    pixels = {place: preprocessed(model, pictures) for place, model in models.items()}
    wanted = {file.header.site}
    found = {
        place: read_sites(model.tower, pixels[place], wanted) for place, model in models.items()
    }
    tower = models[first].tower
    if probe:
        check_fits(probe, tower.embedding_width)
    head = head_of(models[first], texts, probe)
    backbones = {place: found[place] for place in others}
    return examined(name, file, tower, pixels[first], found[first], head, backbones)


def preprocessed(model: "LoadedModel", pictures: list[Path]) -> "list[Tensor]":
    """Pictures as a model reads them; those that cannot be read are left out and named.

    Raises:
        InvalidRequest: Fewer are left than the gate can judge by.
    """
    from steerboard.dictionary.training.pictures import Decoder
    from steerboard.spec.errors import InvalidRequest

    decoder = Decoder(model)
    pixels = [p for stack in decoder.stacks(pictures, 64) for p in stack]
    for broken in decoder.broken:
        typer.secho(f"skipped {broken}", fg="yellow", err=True)
    if len(pixels) < LEAST:
        raise InvalidRequest(
            f"{len(pixels)} of {len(pictures)} pictures can be read; a dictionary is judged by"
            f" {LEAST} at least, better by 200",
            field="images",
        )
    return pixels


def show(report: "GateReport") -> None:
    """The table and the verdict."""
    from steerboard.dictionary.gate import table

    typer.echo("\n".join([f"{report.name}, judged by {report.judge}", *table(report)]))
    fits = f"{report.name} fits {report.site} on {report.tokens} tokens"
    word, colour = (report.sentence(), "red") if report.faults else (fits, "green")
    typer.secho(word, fg=colour)
