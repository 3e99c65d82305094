"""``steerboard jobs watch``: how far a job is, through a restart of what stands between."""

import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import typer
from rich.console import Console

from steerboard.spec.errors import Cancelled, Unavailable

if TYPE_CHECKING:
    from steerboard.api.jobs_client import JobClient
    from steerboard.spec.jobs import JobStatus

PATIENCE_S, PAUSE_S = 60.0, 1.0  # for a door or a queue that is started anew, between two looks
SAY_S = 10.0  # between two lines where the one line cannot be written over


def follow(client: "JobClient", job: str) -> "JobStatus":
    """A line of progress until the job ends; raises what it failed with."""
    console, said = Console(stderr=True), 0.0
    with console.status("") as line:
        for status in heard(client, job):
            line.update(words(status))
            if not console.is_terminal and time.monotonic() > said + SAY_S:
                said = time.monotonic()
                typer.echo(words(status), err=True)
    if status.state == "cancelled":
        raise Cancelled("the job was taken back")
    if status.state == "failed":
        client.result_page(job)
    return status


def heard(
    client: "JobClient", job: str, pause: Callable[[], None] = lambda: time.sleep(PAUSE_S)
) -> "Iterator[JobStatus]":
    """Each change of a job. Once it was heard of, nobody is given up for a minute."""
    last: float | None = None
    while True:
        try:
            for status in client.watch(job, None):
                last = time.monotonic()
                yield status
            return
        except Unavailable:
            if last is None or time.monotonic() > last + PATIENCE_S:
                raise
        pause()


def words(status: "JobStatus") -> str:
    """How far a job is."""
    said = f"{status.state}: {status.done} of {status.total} chunks"
    if status.rate is not None:
        said += f", {status.rate:.1f} pictures a second"
    if status.seconds_left is not None:
        said += f", {status.seconds_left:.0f} s left"
    return f"{said} {status.message}".rstrip()
