"""``steerboard jobs``: ask the worker pool, see how far it is, fetch what came out."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from steerboard.cli import options
from steerboard.cli.job_pictures import labels, pictures
from steerboard.cli.job_watch import follow, words
from steerboard.cli.options import Json, Token
from steerboard.cli.questions import array, read_target, read_tokens
from steerboard.spec.errors import InvalidRequest

if TYPE_CHECKING:
    from steerboard.api.job_table import Names
    from steerboard.api.jobs_client import JobClient
    from steerboard.images.picture import Picture
    from steerboard.spec.capabilities import ModelInfo
    from steerboard.spec.jobs import AttributeJob, AttributeSetJob, JobStatus

app = typer.Typer(no_args_is_help=True, help="Attribution by the worker pool.")
Door = Annotated[
    str, typer.Option("--jobs", envvar="STEERBOARD_JOBS", help="host:port of the job door")
]
DOOR, INFERENCE = "127.0.0.1:50052", "127.0.0.1:50051"


@app.command()
def submit(
    images: options.Pictures,
    model: Annotated[str, typer.Option(help="default: the server's first")] = "",
    target: options.Target = "margin",
    method: options.Method = "gradient",
    dictionary: options.Dictionary = "",
    site: options.Site = "",
    units: options.Units = "feature",
    directions: options.Directions = None,
    tokens: options.Tokens = "all",
    top: Annotated[int, typer.Option(min=1, max=256)] = 24,
    steps: options.Steps = 16,
    where: options.Where = "",
    split: options.Split = "",
    positive: Annotated[
        str, typer.Option(help="which pictures show the concept, for probe and expertise")
    ] = "",
    priority: Annotated[
        int, typer.Option(min=-1, max=1, help="1 before your other jobs, -1 after them")
    ] = 0,
    out: Annotated[str, typer.Option(help="wait, and write the result there as Parquet")] = "",
    config: Annotated[Path, typer.Option(help="whose image sets have names")] = Path("demo"),
    door: Door = DOOR,
    inference: Annotated[
        str, typer.Option(envvar="STEERBOARD_INFERENCE", help="host:port, asked about the model")
    ] = INFERENCE,
    token: Token = "",
) -> None:
    """Have one picture or a set attributed; prints the job's id."""
    check_out(out)
    found = pictures(images, config, where, split)
    place = {
        "dictionary": dictionary, "site": site or None, "units": units, "method": method,
        "top_k": top, "steps": steps, "tokens": read_tokens(tokens),
        "directions": array(directions) if directions else None,
    }  # fmt: skip
    info = model_of(inference, token, model)
    spec = question(info, found, target, place, labels(found, positive) if positive else ())
    with client_of(door, token) as client:
        opened = client.submit(spec, (p.data for p in found), priority)
        typer.echo(opened.id)
        if out:
            follow(client, opened.id)
            keys = {p.sha256: p.key for p in found}
            tell(fetch_to(client, opened.id, out, lambda wanted: keys), out)


@app.command("list")
def list_jobs(
    count: Annotated[int, typer.Option(min=1, max=1000)] = 20,
    door: Door = DOOR,
    token: Token = "",
    as_json: Json = False,
) -> None:
    """Your jobs of the last day, the latest first."""
    with client_of(door, token) as client:
        found = client.jobs(count)
    if as_json:
        typer.echo(json.dumps([s.model_dump(mode="json") for s in found]))
        return
    for status in found:
        typer.echo("  ".join(cells(status)))
    if not found:
        typer.echo("no job of yours in the last day", err=True)


@app.command()
def watch(job: str, door: Door = DOOR, token: Token = "") -> None:
    """Follow a job to its end."""
    with client_of(door, token) as client:
        typer.echo(follow(client, job).state)


@app.command()
def cancel(job: str, door: Door = DOOR, token: Token = "") -> None:
    """Take a job back; it goes on where somebody else waits for it."""
    with client_of(door, token) as client:
        status = client.cancel(job)
    typer.echo(f"{status.state}{': ' if status.message else ''}{status.message}")


@app.command()
def fetch(
    job: str,
    out: Annotated[str, typer.Option(help="a .parquet file; a path or a URL")],
    door: Door = DOOR,
    token: Token = "",
    as_json: Json = False,
) -> None:
    """Write a job's result as Parquet, of a set at work the pictures that are done."""
    check_out(out)
    with client_of(door, token) as client:
        about = fetch_to(client, job, out, lambda wanted: keys_at(door, token, wanted))
    typer.echo(json.dumps(about)) if as_json else tell(about, out)


def check_out(out: str) -> None:
    """Nobody opens a table as what it is not; raises InvalidRequest."""
    if out and not out.endswith(".parquet"):
        raise InvalidRequest(
            f"{out}: a result is written as Parquet, so let the name end in .parquet", field="out"
        )


def keys_at(door: str, token: str, wanted: set[str]) -> dict[str, str]:
    """The keys of pictures in the image sets that the door serves."""
    from steerboard.api.job_table import served_keys
    from steerboard.api.jobs_client import LibraryClient

    library = LibraryClient(door, token or None, 60.0)
    try:
        return served_keys(library, wanted)
    finally:
        library.close()


def fetch_to(
    client: "JobClient", job: str, out: str, names: "Names | None" = None
) -> dict[str, Any]:
    """The file's own words; raises InvalidRequest where it cannot be written."""
    from steerboard.api.job_table import export

    try:
        return export(client, job, out, names or (lambda wanted: {}))
    except OSError as error:
        raise InvalidRequest(
            f"{out} cannot be written ({error.strerror or error}): name another place; the job"
            f" {job} keeps its result for a day",
            field="out",
        ) from error


def tell(about: dict[str, Any], out: str) -> None:
    """What was written."""
    state = "" if about["state"] == "done" else f" so far; the job is {about['state']}"
    typer.echo(f"{out}: {counted(about['pictures'])}{state}")


def counted(pictures: int) -> str:
    """So many."""
    return f"{pictures} picture{'' if pictures == 1 else 's'}"


def cells(status: "JobStatus") -> tuple[str, ...]:
    """A line of the list; the id stands alone in front, to be copied."""
    at = datetime.fromtimestamp(status.submitted or 0.0).strftime("%H:%M:%S")
    return (status.id, at, status.kind, counted(status.pictures), words(status))


@contextmanager
def client_of(door: str, token: str) -> "Iterator[JobClient]":
    """The job door."""
    from steerboard.api.jobs_client import JobClient

    client = JobClient(door, token or None, 60.0)
    try:
        yield client
    finally:
        client.close()


def model_of(inference: str, token: str, name: str) -> "ModelInfo":
    """The model that is asked, as its server describes it."""
    from steerboard.api.client import connect

    runner = connect(inference, token or None)
    try:
        return runner.model(name or runner.models()[0].id)
    finally:
        runner.close()


def question(
    info: "ModelInfo",
    found: "list[Picture]",
    target: str,
    place: dict[str, Any],
    shows: tuple[bool, ...],
) -> "AttributeJob | AttributeSetJob":
    """The job; raises InvalidRequest or NotFound with what is wrong."""
    from pydantic import ValidationError

    from steerboard.api.status import from_validation
    from steerboard.spec.jobs import AttributeJob, AttributeSetJob
    from steerboard.spec.methods import METHODS
    from steerboard.spec.requests import Digest

    if place["method"] not in METHODS:
        raise InvalidRequest(
            f"there is no method {place['method']!r}; there is {', '.join(METHODS)}", field="method"
        )
    if info.classifier is None:
        raise InvalidRequest(
            f"model {info.id} names no classes: give it prompts or a probe in steerboard.yaml",
            field="model",
        )
    if place["units"] == "feature":
        place["dictionary"] = place["dictionary"] or next((d.id for d in info.dictionaries), "")
    asked = {"model": info.id, "classifier": info.classifier, **place}
    wanted = read_target(target, info.classifier.names)
    digests = tuple(Digest(sha256=p.sha256) for p in found)
    try:
        if len(found) == 1 and not shows:
            return AttributeJob.model_validate({**asked, "image": digests[0], "target": wanted})
        more = {"images": digests, "targets": (wanted,), "labels": shows}
        return AttributeSetJob.model_validate({**asked, **more})
    except ValidationError as error:
        raise from_validation(error) from None
