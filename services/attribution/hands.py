"""How one chunk is computed: step by step, within its time, and what becomes of what goes wrong."""

import logging
import math
import time
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TypeVar

from celery.exceptions import SoftTimeLimitExceeded

from services.attribution.asking import OtherVersion, question
from services.attribution.compute import BATCH, complete, gist, rows, step, told, units, written
from services.attribution.job_files import JobFiles
from services.attribution.library import Library
from services.attribution.members import Asked, Begun
from services.attribution.records import Deferral, Records
from services.attribution.results import Kept, OfOne, Results
from services.attribution.tools import State, Tools
from steerboard.api.tokens import Identity
from steerboard.spec.errors import (
    Cancelled,
    DeadlineExceeded,
    Internal,
    Overloaded,
    SteerboardError,
    Unavailable,
)
from steerboard.spec.jobs import JobSpec, Lane
from steerboard.spec.runner import Runner

BUDGET_S = 1.5  # after which no further step of a chunk is begun, or earlier where that is told
STEP_S, FIRST_BATCH = 1.0, 8  # what a step should take, and its size while nothing is known
INSIST_S = 1.5
MAX_LOSSES = 3
KNOWN = 8  # questions at hand
OVERLOADED_PATIENCE = 10  # times as long as for a service that is away
T = TypeVar("T")
_LOG = logging.getLogger(__name__)


class Pace:
    """How many pictures or ablations a step takes, by what the last ones took."""

    def __init__(self) -> None:
        self._each_s: dict[str, float] = {}

    def batch(self, what: str, slow: int) -> int:
        """Units of the next step; fewer for a chunk that was ``slow`` times too slow."""
        each = self._each_s.get(what)
        wished = FIRST_BATCH if each is None else int(STEP_S / each)
        return max(1, min(BATCH, wished) >> slow)

    def took(self, what: str, units: int, seconds: float) -> None:
        """A step of so many units took so long; a remnant of few says little of what each takes."""
        each = max(seconds, 1e-6) / max(units, 1)
        share = min(1.0, units / self.batch(what, 0)) / 2
        before = self._each_s.get(what, each)
        self._each_s[what] = before + share * (each - before)


@dataclass(frozen=True)
class Job:
    """What a process keeps of a job between two of its chunks: a set's question is long.

    Attributes:
        id: Of it.
        asked: As it stands in the record.
        spec: The question.
        kept: Where the results of its chunks are.
        folder: fsspec URL of its own folder.
    """

    id: str
    asked: Asked
    spec: JobSpec
    kept: Kept
    folder: str


@dataclass
class Hands:
    """What one process of the pool works with.

    Attributes:
        records: The jobs.
        results: What came out of them.
        library: Pictures and cards.
        ask: The inference service, in a submitter's name and lane.
        patience_s: Seconds without progress after which a job is given up.
        pace: How long the steps take.
        jobs: At hand.
        clerk: A thread that writes down one result while the next is computed.
    """

    records: Records
    results: Results
    library: Library
    ask: Callable[[Identity, Lane], Runner]
    patience_s: float
    pace: Pace = field(default_factory=Pace)
    jobs: OrderedDict[str, Job] = field(default_factory=OrderedDict)
    clerk: Executor = field(default_factory=lambda: ThreadPoolExecutor(1, "clerk"))

    def job(self, name: str, opened: str) -> Job | None:
        """A job at hand, or read from its record; None where it has ended.

        Raises:
            OtherVersion: It is for another worker.
        """
        found = self.jobs.get(name)
        if found is None or found.asked.opened != opened:
            asked = insist(lambda: self.records.asked(name))
            if asked is None:
                return None
            found = self.jobs[name] = self._job(name, asked)
        self.jobs.move_to_end(name)
        while len(self.jobs) > KNOWN:
            self.jobs.popitem(last=False)
        return found

    def _job(self, name: str, asked: Asked) -> Job:
        folder = self.library.folder(asked.submitter.tenant, name)
        kept: Kept = JobFiles(folder) if asked.chunks > 1 else OfOne(self.results, name)
        return Job(name, asked, question(asked), kept, folder)

    def chunk(self, job: str, chunk: int, message: str = "") -> None:
        """Begin a chunk, compute it, store its result and count it."""
        begun = insist(lambda: self.records.start(job, chunk, message))
        found = begun and self.computed(job, chunk, begun)
        if found and self.stored(found):
            insist(lambda: self.records.finish(job, chunk))

    def computed(
        self, job: str, chunk: int, begun: Begun, until: float = math.inf
    ) -> "Progress | None":
        """Compute a chunk as far as its time goes: a try that is complete, to be stored.

        Else it is put back, or its job has ended. ``until`` is on the monotonic clock.
        """
        if begun.losses >= MAX_LOSSES:
            self.end(job, Internal(f"{begun.losses} workers died over this job: it is given up"))
            return None
        try:
            found = self.job(job, begun.opened)
        except OtherVersion as error:
            self.put_back(job, chunk, "failed", Unavailable(str(error)))
            return None
        if found is None:
            return None
        progress = Progress(self, found, chunk, begun, until)
        return progress if self._tried(progress, progress.run) else None

    def stored(self, progress: "Progress") -> bool:
        """Whether the result of a try that is complete is stored, to be counted; else as above."""
        return self._tried(progress, progress.store)

    def _tried(self, progress: "Progress", part: Callable[[], bool]) -> bool:
        """What a part of a try comes to, and what is done about what stops it."""
        job, chunk = progress.job.id, progress.chunk
        try:
            return part()
        except (Unavailable, Overloaded, DeadlineExceeded, SoftTimeLimitExceeded) as error:
            slow = isinstance(error, DeadlineExceeded | SoftTimeLimitExceeded)
            self.put_back(job, chunk, progress.kind(slow), error)
        except Cancelled:
            pass
        except SteerboardError as error:
            self.end(job, error)
        except Exception:
            _LOG.exception("chunk %d of job %s", chunk, job)
            self.end(job, Internal("the computation failed: the log of the worker says why"))
        return False

    def put_back(self, job: str, chunk: int, kind: Deferral, error: Exception) -> None:
        """Another try later; without any progress for too long the job fails."""
        waited = insist(lambda: self.records.defer(job, chunk, kind))
        _LOG.warning("chunk %d of job %s is put back (%s): %r", chunk, job, kind, error)
        patience = self.patience_s
        if isinstance(error, Overloaded):
            patience *= OVERLOADED_PATIENCE
        if waited > patience:
            self.end(job, given_up(error, waited))

    def end(self, job: str, error: SteerboardError) -> None:
        """Close a job as failed."""
        _LOG.warning("job %s failed: %s", job, error.message)
        insist(lambda: self.records.end(job, "failed", error))

    def tools(self, job: Job) -> Tools:
        """What the steps of a chunk work with."""
        submitter = job.asked.submitter

        def read(sha256: str) -> bytes:
            return self.library.read(sha256, submitter.tenant)

        runner = self.ask(submitter, job.asked.lane)
        kept = job.kept
        return Tools(runner, read, self.library.features, kept.read, job.folder, kept.gists)


class Progress:
    """One try at a chunk.

    Attributes:
        moved: Whether it got further than the tries before it.
    """

    def __init__(
        self, hands: Hands, job: Job, chunk: int, begun: Begun, until: float = math.inf
    ) -> None:
        self.job, self.chunk, self.moved = job, chunk, False
        self._hands, self._begun, self._until = hands, begun, until
        self._found: State | None = None

    def kind(self, slow: bool) -> Deferral:
        """What a try was that was stopped."""
        return "more" if self.moved else "slow" if slow else "failed"

    @property
    def member(self) -> tuple[str, int]:
        """What it is a try at: job and chunk."""
        return self.job.id, self.chunk

    def run(self) -> bool:
        """To the end (True), or to the end of its time; raises what stopped it."""
        spec = self.job.spec
        if self._begun.before and self.job.kept.has(self.chunk):
            return True
        state = self._advance(spec, self._before())
        if not complete(spec, self.chunk, state):
            self._hands.records.tell(self.job.id, told(spec, state))
            insist(lambda: self._hands.records.defer(self.job.id, self.chunk, "more"))
            return False
        self._found = state
        return True

    def store(self) -> bool:
        """Store what the run found, if that is not stored yet: True; raises what stopped it."""
        if self._found is not None:
            result = rows(self.job.spec, self.chunk, self._found)
            self.job.kept.store(self.chunk, result, gist(self.job.spec, self.chunk, result))
        return True

    def _before(self) -> State:
        """What an earlier try reached."""
        if not self._begun.before:
            return {}
        return self._hands.results.part(self.job.id, self.chunk)

    def _advance(self, spec: JobSpec, state: State) -> State:
        """Step after step; what was reached is kept, whatever stops it."""
        tools = self._hands.tools(self.job)
        until = min(self._until, time.monotonic() + BUDGET_S)
        try:
            while not complete(spec, self.chunk, state) and time.monotonic() < until:
                if self.moved and not self._hands.records.wanted(self.job.id):
                    raise Cancelled("the job was taken back")
                state = self._step(spec, state, tools)
                self.moved = True
                if self._begun.losses:
                    self._secure(state)
        finally:
            if self.moved and not complete(spec, self.chunk, state):
                self._keep(state)
        return state

    def _keep(self, state: State) -> None:
        """For the next try."""
        part = written(self.job.spec, state)
        self._hands.results.keep_part(self.job.id, self.chunk, part)

    def _secure(self, state: State) -> None:
        """Over a chunk that lost workers each step counts: who is killed by chance gets further."""
        self._keep(state)
        self._hands.records.moved(self.job.id, self.chunk)

    def _step(self, spec: JobSpec, state: State, tools: Tools) -> State:
        """One step, as large as the steps before it took time."""
        pace = self._hands.pace
        method = getattr(spec, "method", "")
        what = f"{spec.kind} {method} {spec.model} {'further' if state else 'first'}"
        small = self._begun.slow + self._begun.losses
        began = time.monotonic()
        after = step(spec, self.chunk, state, tools, pace.batch(what, small))
        pace.took(what, units(after) - units(state), time.monotonic() - began)
        return after


def given_up(error: Exception, seconds: float) -> SteerboardError:
    """What a person hears when patience has ended."""
    if isinstance(error, Overloaded | Unavailable):
        return type(error)(f"{error.message} (tried for {seconds:.0f} s)", retry_after_s=5.0)
    return DeadlineExceeded(
        f"the inference service was too slow for this job (tried for {seconds:.0f} s): try again"
        " when it is less busy"
    )


def insist(call: Callable[[], T], seconds: float = INSIST_S) -> T:
    """What ``call`` answers; a Redis that is just being started anew is given a moment."""
    until = time.monotonic() + seconds
    while True:
        try:
            return call()
        except Unavailable:
            if time.monotonic() > until:
                raise
            time.sleep(0.1)
