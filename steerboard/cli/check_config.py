"""``steerboard check config``: what is wrong in a steerboard.yaml, by line and field."""

import json
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(no_args_is_help=True, help="Look before anything is started.")


@app.callback()
def group() -> None:
    """Look before anything is started."""


@app.command()
def config(
    path: Annotated[Path, typer.Argument(help="steerboard.yaml, or the folder that holds it")],
    as_json: Annotated[bool, typer.Option("--json", help="for programs")] = False,
) -> None:
    """Validate a whole steerboard.yaml without loading a model; exit 1 where it has faults."""
    from steerboard.inprocess.config import config_file
    from steerboard.inprocess.config_check import check

    file = config_file(path)
    faults = check(file)
    if as_json:
        typer.echo(json.dumps([fault.__dict__ for fault in faults], indent=1))
    else:
        for fault in faults:
            where = f"{fault.field}: " if fault.field else ""
            typer.echo(f"{file}:{fault.line}:{fault.column}: {where}{fault.message}")
        typer.echo(f"{len(faults)} faults" if faults else f"{file} is in order")
    if faults:
        raise typer.Exit(1)
