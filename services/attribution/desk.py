"""What the job door does: accepts, joins, tells, pages and takes back."""

import time

from services.attribution.compute import size
from services.attribution.dispatch import Dispatcher
from services.attribution.library import Library
from services.attribution.picture_set import CHUNK
from services.attribution.records import Records, unknown
from services.attribution.results import Results, Rows
from steerboard.api.convert_jobs import JobResult
from steerboard.api.tokens import Identity
from steerboard.spec.capabilities import ModelInfo
from steerboard.spec.digest import digest, image_digest
from steerboard.spec.errors import (
    Cancelled,
    Forbidden,
    ImageNotCached,
    Internal,
    InvalidRequest,
    NotFound,
    Unavailable,
)
from steerboard.spec.jobs import (
    AttributeJob,
    AttributeResult,
    AttributeSetJob,
    JobSpec,
    JobStatus,
    Lane,
)
from steerboard.spec.runner import Runner

PAGE, MAX_PAGE = 200, 1000
MAX_NAMED = 2000  # missing pictures that one answer lists
KNOWN_S = 5.0
NUMERICS = 2  # raised when the arithmetic of a job, or the form of its result, changes


class Desk:
    """What the door works with.

    Args:
        records: The jobs.
        results: What came out of them.
        dispatcher: Sends chunks.
        library: Pictures and cards.
        runner: The inference service, asked for fingerprints only.
    """

    def __init__(
        self,
        records: Records,
        results: Results,
        dispatcher: Dispatcher,
        library: Library,
        runner: Runner,
    ) -> None:
        self.records, self.results, self.library = records, results, library
        self._dispatcher, self._runner = dispatcher, runner
        self._models: dict[str, tuple[float, ModelInfo]] = {}

    def submit(self, spec: JobSpec, images: list[bytes], who: Identity) -> JobStatus:
        """Accept, join, or answer from the record."""
        lane = lane_of(spec, who)
        check_targets(spec)
        self._take_in(spec, images, who)
        job = self.address(spec, who)
        opened, chunks = self.records.opened(job)
        gone = opened if opened and not self.results.complete(job, chunks) else ""
        found = self.records.open(job, spec, size(spec), lane, who, gone)
        self._dispatcher.hand_out()
        update = {"cached": found == "done", "joined": found in ("queued", "running")}
        return self.status(job, who).model_copy(update=update)

    def status(self, job: str, who: Identity) -> JobStatus:
        """Where a job stands, in words too; raises NotFound."""
        status = self._status(job, who)
        if status.state != "queued" or self.records.alive():
            return status
        note = "no worker is running: the job waits until one is started"
        return status.model_copy(update={"message": note})

    def address(self, spec: JobSpec, who: Identity) -> str:
        """Digest of the question, of who may see the answer, and of all that could change it."""
        info = self._model(spec.model)
        dictionary = info.dictionary(spec.dictionary)
        if dictionary is None:
            known = ", ".join(d.id for d in info.dictionaries)
            raise NotFound(
                f"model {info.id} has no dictionary {spec.dictionary!r}; it has {known}",
                field="dictionary",
            )
        prints = (info.fingerprint, dictionary.fingerprint, info.precision)
        return mark(who) + digest(NUMERICS, spec, *prints)

    def results_page(
        self, job: str, token: str, count: int, who: Identity
    ) -> tuple[JobStatus, list[JobResult], str]:
        """A page of results and the token of the next; a set's aggregate comes first.

        Raises:
            SteerboardError: What a job failed with; Cancelled for one that was taken back;
                NotFound where the job or its results are not, or no longer, there.
        """
        start, stop = page(token, count)
        status = self._status(job, who)
        if status.state == "failed":
            raise self.records.error(job) or Internal(status.message or "the job failed")
        if status.state == "cancelled":
            raise Cancelled("the job was taken back: submit it again to have an answer")
        if status.state != "done":
            return status, [], ""
        if status.total == 1:
            ((one,),) = self._read(job, [0])
            return status, [AttributeResult.model_validate(one)], ""
        return status, *self._set_page(job, status.total - 1, start, stop)

    def cancel(self, job: str, who: Identity) -> JobStatus:
        """Take a caller's wish back; the job ends when nobody else waits for it."""
        status = self._status(job, who)
        if status.state not in ("queued", "running"):
            return status
        others = self.records.leave(job, who)
        if others is None and who.role != "admin":
            raise Forbidden("this job was not submitted by you: it goes on", field="id")
        if others:
            return status.model_copy(
                update={"message": "others wait for the same answer: the job goes on for them"}
            )
        self.records.end(job, "cancelled")
        return self.records.status(job)

    def _status(self, job: str, who: Identity) -> JobStatus:
        """A job of the caller's own tenant; those of others are as if they were not there."""
        if not job.startswith(mark(who)):
            raise unknown(job)
        return self.records.status(job)

    def _take_in(self, spec: JobSpec, images: list[bytes], who: Identity) -> None:
        """Keep the pictures that came along; raises ImageNotCached where more are needed."""
        wanted = [spec.image] if isinstance(spec, AttributeJob) else list(spec.images)
        named = {d.sha256 for d in wanted}
        for data in images:
            if image_digest(data) not in named:
                raise InvalidRequest(
                    "a picture was sent that the job does not name", field="images"
                )
            self.library.keep(data, who.tenant)
        missing = self.library.missing((d.sha256 for d in wanted), who.tenant)
        if missing:
            raise ImageNotCached(
                f"{len(missing)} pictures are not held here: send their bytes",
                field="images",
                details={"digests": ",".join(missing[:MAX_NAMED])},
            )

    def _set_page(
        self, job: str, chunks: int, start: int, stop: int
    ) -> tuple[list[JobResult], str]:
        """Rows ``start`` to ``stop`` of a set, 0 its aggregate; only their chunks are read."""
        found: list[JobResult] = []
        if start == 0:
            ((total,),) = self._read(job, [chunks])
            found.append(total)
        first, last = max(start - 1, 0), stop - 1
        numbers = range(first // CHUNK, min(chunks, -(-last // CHUNK)))
        listed = [row for part in self._read(job, numbers) for row in part]
        offset = numbers.start * CHUNK
        found += listed[first - offset : last - offset]
        more = numbers.stop < chunks or offset + len(listed) > last
        return found, str(stop) if more else ""

    def _read(self, job: str, chunks: range | list[int]) -> list[Rows]:
        found = self.results.read(job, chunks)
        if any(part is None for part in found):
            raise NotFound(
                f"the results of job {job[:80]} are no longer kept: submit it again", field="id"
            )
        return [part for part in found if part is not None]

    def _model(self, name: str) -> ModelInfo:
        """Fingerprints, remembered for seconds: a cached answer needs no other server."""
        at, info = self._models.get(name, (0.0, None))
        if info is None or time.monotonic() - at > KNOWN_S:
            try:
                info = self._runner.model(name)
            except Unavailable:
                if info is None:
                    raise
            self._models[name] = (time.monotonic(), info)
        return info


def mark(who: Identity) -> str:
    """How the ids of a tenant's jobs begin."""
    return f"{digest(who.tenant)[:12]}-"


def lane_of(spec: JobSpec, who: Identity) -> Lane:
    """One picture is interactive, a set is bulk; the token must allow it."""
    lane: Lane = "interactive" if isinstance(spec, AttributeJob) else "bulk"
    if lane not in who.lanes:
        raise Forbidden(f"the token does not allow the lane {lane!r}")
    return lane


def check_targets(spec: JobSpec) -> None:
    """A set has one target, or one for each picture; raises InvalidRequest."""
    if not isinstance(spec, AttributeSetJob):
        return
    if len(spec.targets) not in (1, len(spec.images)):
        raise InvalidRequest(
            f"{len(spec.targets)} targets for {len(spec.images)} pictures: give one for all, or"
            " one for each",
            field="targets",
        )


def page(token: str, count: int) -> tuple[int, int]:
    """Where a page starts and stops; raises InvalidRequest."""
    if token and not (token.isascii() and token.isdecimal() and len(token) < 12):
        raise InvalidRequest(
            "the page token is none of ours: begin with an empty one", field="page_token"
        )
    if count < 0:
        raise InvalidRequest("a page has at least one result", field="page_size")
    start = int(token or 0)
    return start, start + min(count or PAGE, MAX_PAGE)
