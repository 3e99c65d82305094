"""``steerboard dictionary``: convert one from another project's files."""

from pathlib import Path
from typing import Annotated

import typer

from steerboard.spec.capabilities import TokenSet

app = typer.Typer(no_args_is_help=True, help="Dictionaries (SAEs): convert, train.")


@app.callback()
def group() -> None:
    """Dictionaries (SAEs): convert, train."""


@app.command()
def convert(
    source: Annotated[Path, typer.Argument(help="file or folder, of any format that is known")],
    target: Annotated[Path, typer.Argument(help="a new .safetensors file")],
    site: Annotated[
        str, typer.Option(help="where it belongs, such as resid_post.9, if it does not say")
    ] = "",
    tokens: Annotated[
        TokenSet | None, typer.Option(help="prefix, patches or all, if it does not say")
    ] = None,
    sidecar: Annotated[
        Path | None, typer.Option(help="JSON or YAML with settings that the file lacks")
    ] = None,
) -> None:
    """Write a dictionary as Steerboard's own file, after checking all that it says of itself."""
    from steerboard.dictionary.formats import Hints
    from steerboard.dictionary.formats import convert as converted

    header = converted(source, target, Hints(site, tokens, sidecar)).header
    typer.echo(
        f"{target}: {header.architecture} from {header.source}, {header.d_sae} features of width"
        f" {header.d_in}, at {header.site} on {header.tokens} tokens, judged by {header.gate}"
    )
