"""The command ``steerboard``. Heavy imports stay inside each command."""

from pathlib import Path
from typing import Annotated

import typer

from steerboard.cli.attribute import attribute, methods
from steerboard.cli.catalogue import app as catalogues
from steerboard.cli.check_config import app as checks
from steerboard.cli.dictionary import app as dictionaries
from steerboard.cli.evidence import app as evidences
from steerboard.cli.inspect import app as inspections
from steerboard.cli.inspect_dictionary import inspect_dictionary
from steerboard.cli.jobs import app as jobs
from steerboard.cli.options import Config
from steerboard.cli.recipe_shelf import app as recipes
from steerboard.cli.train import train
from steerboard.cli.trust import trust

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="From attribution to action: see why a vision model decides, change it, and see what else"
    " changes.",
)
app.add_typer(catalogues, name="catalogue")
benches = typer.Typer(no_args_is_help=True, help="Speed, measured beside others.")
app.add_typer(benches, name="bench")
app.add_typer(checks, name="check")
app.add_typer(dictionaries, name="dictionary")
dictionaries.command("train")(train)
app.add_typer(inspections, name="inspect")
app.add_typer(evidences, name="evidence")
app.add_typer(jobs, name="jobs")
app.add_typer(recipes, name="recipe")
app.command()(methods)
app.command()(attribute)
app.command()(trust)
inspections.command("dictionary")(inspect_dictionary)


@app.command()
def demo(
    config: Config = Path("demo"),
    check: Annotated[
        bool, typer.Option(help="run tasks A and B without a browser, print the table")
    ] = False,
    json_path: Annotated[
        Path | None, typer.Option("--json", help="write the table there too")
    ] = None,
    ui_port: Annotated[int, typer.Option(help="port of the page")] = 8501,
    port_base: Annotated[int, typer.Option(help="inference there, jobs next")] = 0,
    browser: Annotated[bool, typer.Option(help="open the page when it is up")] = True,
    folder: Annotated[Path, typer.Option(help="logs, sessions and Redis files")] = Path(
        ".steerboard"
    ),
) -> None:
    """Start everything on this machine and open the workbench."""
    from steerboard.cli.demo import run_check, run_demo

    if check:
        raise typer.Exit(run_check(config, folder, json_path))
    raise typer.Exit(run_demo(config, folder, ui_port, port_base, browser))


@app.command()
def token(
    subject: str,
    secret: Annotated[
        str, typer.Option(envvar="STEERBOARD_TOKEN_SECRET", help="the services' secret")
    ],
    tenant: str = "default",
    role: str = "researcher",
    bulk: Annotated[bool, typer.Option(help="allow the bulk lane")] = True,
    page: Annotated[
        bool, typer.Option(help="it serves people, each of whom has turns of their own")
    ] = False,
    hours: Annotated[float, typer.Option(min=0.01, help="until it expires")] = 12,
) -> None:
    """Print a signed token for a person or a program."""
    from steerboard.api.tokens import Identity, sign

    lanes = ("interactive", "bulk") if bulk else ("interactive",)
    who = Identity.model_validate(
        {"subject": subject, "tenant": tenant, "role": role, "lanes": lanes, "speaks": page}
    )
    typer.echo(sign(who, secret, hours * 3600))


@app.command()
def serve(part: Annotated[str, typer.Argument(help="inference, jobs, worker or ui")]) -> None:
    """Run one service in this process's place; its settings come from the environment."""
    from steerboard.cli.serve import replace_by

    replace_by(part)


@benches.command(
    "serving", context_settings={"allow_extra_args": True, "ignore_unknown_options": True}
)
def bench_serving(
    context: typer.Context,
    quick: Annotated[bool, typer.Option(help="ViT-B/32, one peer, few rounds")] = False,
) -> None:
    """The engine beside the raw model, plain hooks and other servers; JSON on the last line."""
    from steerboard.cli.bench import replace_by_serving

    replace_by_serving([*(["--quick"] if quick else []), *context.args])


@benches.command("soak")
def bench_soak(
    seconds: Annotated[float, typer.Option(min=1)] = 120,
    callers: Annotated[int, typer.Option(min=1)] = 200,
) -> None:
    """Many callers on Emojiland: every answer checked, errors and memory counted."""
    from steerboard.cli.bench import replace_by_serving

    replace_by_serving(["--only", "soak", "--seconds", str(seconds), "--callers", str(callers)])


def main() -> None:
    """Entry point; an error of ours is one sentence, not a traceback."""
    from steerboard.spec.errors import SteerboardError

    try:
        app()
    except SteerboardError as error:
        typer.secho(error.message, fg="red", err=True)
        raise SystemExit(1) from None
