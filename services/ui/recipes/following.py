"""An evidence run of the workers as the page follows it: how far, what it says so far, its end.

The job's id stands in the address, so that a reload, or somebody else, finds the run again. Asking
goes on in a thread of its own; the page draws what came back.
"""

import logging
from collections.abc import Iterable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

import streamlit as st

from services.ui.backend import backend
from steerboard.analysis.intervals import Rate
from steerboard.api.jobs_client import JobClient
from steerboard.spec.errors import Internal, NotFound, SteerboardError
from steerboard.spec.evidence import Evidence
from steerboard.spec.jobs import JobStatus
from steerboard.spec.recipe import EvidenceNote

_LOG = logging.getLogger(__name__)
PAGE = 200  # rows of one answer
Rows = list[dict[str, Any]]


@dataclass(frozen=True)
class Counted:
    """What is known of the pictures so far."""

    pictures: int
    fixed: Rate
    broken: Rate
    fixes: int
    breaks: int
    failed: int

    @property
    def net(self) -> float:
        """Fixes less breaks, per 1,000 pictures."""
        return 1000 * (self.fixes - self.breaks) / self.pictures if self.pictures else 0.0


@dataclass
class Following:
    """One run; ``pages`` holds rows by the page they came in."""

    job: str
    status: JobStatus | None = None
    pages: dict[int, Rows] = field(default_factory=dict)
    found: tuple[Evidence, EvidenceNote] | None = None
    trouble: SteerboardError | None = None
    unknown: bool = False
    asking: "Future[None] | None" = None

    @property
    def rows(self) -> Rows:
        """All that came, in the set's order."""
        return [row for page in sorted(self.pages) for row in self.pages[page]]

    @property
    def over(self) -> bool:
        """Whether nothing more will come."""
        ended = self.status is not None and self.status.state in ("failed", "cancelled")
        return self.found is not None or ended or self.unknown

    @property
    def share(self) -> float:
        """How far it is, from 0 to 1."""
        if self.status is None or not self.status.total:
            return 0.0
        return min(1.0, self.status.done / self.status.total)


def current(job: str) -> Following:
    """The page's view of a run."""
    held: dict[str, Following] = st.session_state.setdefault("evidence-runs", {})
    return held.setdefault(job, Following(job))


def look(run: Following) -> None:
    """Ask how far it is, unless somebody is asking already."""
    if not run.over and (run.asking is None or run.asking.done()):
        run.asking = backend().threads.submit(ask, backend().jobs, run)


def ask(jobs: JobClient, run: Following) -> None:
    """Status first, then what has come since; what goes wrong is kept for the page to say."""
    try:
        run.status = next(jobs.watch(run.job, 10.0))
        if run.status.state in ("running", "done"):
            fetch(jobs, run)
        if run.status.state == "done":
            (head,) = jobs.result_page(run.job, "", 1).items
            run.found = read(head)
        run.trouble = None
    except SteerboardError as error:
        run.trouble = error
        run.unknown = run.status is None and isinstance(error, NotFound)
    except Exception:
        _LOG.exception("evidence job %s", run.job)
        run.trouble = Internal("the workers' answer cannot be read: the log of the page says why")


def fetch(jobs: JobClient, run: Following) -> None:
    """The rows that are done by now and not here yet, page by page."""
    place, token = 0, "1"  # row 0 of a job is what it all comes to
    while token:
        page = None
        if len(run.pages.get(place, ())) < PAGE:
            page = jobs.result_page(run.job, token, PAGE)
            run.pages[place] = [row for row in page.items if isinstance(row, dict)]
            if not run.pages[place] and run.status and run.status.state != "done":
                return
        place += 1
        token = str(1 + place * PAGE) if page is None else page.next


def read(head: object) -> tuple[Evidence, EvidenceNote]:
    """The evidence and its head; raises ValueError for anything else."""
    if not isinstance(head, dict) or not {"evidence", "note"} <= head.keys():
        raise ValueError("not the result of an evidence job")
    return Evidence.model_validate(head["evidence"]), EvidenceNote.model_validate(head["note"])


def counted(rows: Iterable[dict[str, Any]]) -> Counted:
    """Fixes and breaks over the rows so far."""
    seen = [row["rows"] for row in rows if row.get("rows")]
    failed = sum("error" in row for row in rows)
    was = [(r["before"] == r["truth"], r["after"] == r["truth"], r["wanted"]) for r in seen]
    failing = [after for before, after, wanted in was if wanted and not before]
    right = [after for before, after, wanted in was if before and not wanted]
    return Counted(
        pictures=len(seen),
        fixed=Rate(sum(failing), len(failing)),
        broken=Rate(len(right) - sum(right), len(right)),
        fixes=sum(after and not before for before, after, _ in was),
        breaks=sum(before and not after for before, after, _ in was),
        failed=failed,
    )


def plain_rows(rows: Rows) -> Rows:
    """What is kept with a recipe: the row of each picture that could be read."""
    return [row["rows"] for row in rows if row.get("rows")]


def cancel(run: Following) -> None:
    """Take the run back; for callbacks, so it never raises."""
    try:
        run.status = backend().jobs.cancel(run.job)
    except SteerboardError as error:
        run.trouble = error
