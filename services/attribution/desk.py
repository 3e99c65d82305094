"""What the job door does: accepts, joins, tells, pages and takes back."""

import time
from collections.abc import Sequence
from typing import Any

from services.attribution.compute import size
from services.attribution.dispatch import Dispatcher
from services.attribution.job_files import JobFiles
from services.attribution.library import Library
from services.attribution.members import NUMERICS
from services.attribution.picture_set import CHUNK
from services.attribution.records import Records, unknown
from services.attribution.results import Kept, OfOne, Results, Rows
from steerboard.api.convert_jobs import JobResult
from steerboard.api.tokens import Identity
from steerboard.spec.capabilities import DictionaryInfo, ModelInfo
from steerboard.spec.digest import digest, image_digest
from steerboard.spec.edits import Feature
from steerboard.spec.errors import (
    Cancelled,
    Forbidden,
    ImageNotCached,
    Internal,
    InvalidRequest,
    NotFound,
    Unavailable,
)
from steerboard.spec.evidence_job import EvidenceJob
from steerboard.spec.jobs import (
    AttributeJob,
    AttributeResult,
    AttributeSetJob,
    JobSpec,
    JobStatus,
    Lane,
)
from steerboard.spec.named import names
from steerboard.spec.requests import UnitActivation
from steerboard.spec.runner import Runner

PAGE, MAX_PAGE = 200, 1000
LISTED = 100  # jobs
MAX_NAMED = 2000  # missing pictures that one answer lists
KNOWN_S = 5.0


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

    def submit(
        self, spec: JobSpec, images: list[bytes], who: Identity, priority: int = 0
    ) -> JobStatus:
        """Accept, join, or answer from the record."""
        check_priority(priority)
        lane = lane_of(spec, who)
        check_targets(spec)
        self._take_in(spec, images, who)
        job = self.address(spec, who)
        before, opened = self.records.before(job)
        there = before is not None and self._kept(job, before.total, who).has(before.total - 1)
        gone = "" if there else opened
        found = self.records.open(job, spec, size(spec), lane, who, gone, priority, there)
        if found != "done":
            self._dispatcher.hand_out()
        if found == "new" and size(spec).chunks > 1:  # a long question: others work meanwhile
            self._files(job, who).describe(self._about(spec))
        update = {"cached": found == "done", "joined": found in ("queued", "running")}
        known = before if there and found == "done" else None
        return (known or self.status(job, who)).model_copy(update=update)

    def answer(self, status: JobStatus) -> bytes | None:
        """What came out about one picture, packed; None where it is not known, or no longer."""
        if status.total > 1 or status.state != "done":
            return None
        return self.results.packed(status.id, 0)

    def status(self, job: str, who: Identity) -> JobStatus:
        """Where a job stands, in words too; raises NotFound."""
        (status,) = self._noted([self._status(job, who)])
        return status

    def _noted(self, found: list[JobStatus]) -> list[JobStatus]:
        """Those that wait for a worker say so where there is none."""
        if not any(s.state == "queued" for s in found) or self.records.alive():
            return found
        note = {"message": "no worker is running: the job waits until one is started"}
        return [s.model_copy(update=note) if s.state == "queued" else s for s in found]

    def address(self, spec: JobSpec, who: Identity) -> str:
        """Digest of the question, of who may see the answer, and of all that could change it."""
        info = self._model(spec.model)
        prints = [d.fingerprint for d in dictionaries_of(spec, info)]
        return mark(who) + digest(NUMERICS, spec, info.fingerprint, *prints, info.precision)

    def results_page(
        self, job: str, token: str, count: int, who: Identity
    ) -> tuple[JobStatus, list[JobResult], str]:
        """A page of results and the token of the next; a set's aggregate comes first.

        Of a set that is at work the pictures that are done, and no aggregate yet.

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
        kept = self._kept(job, status.total, who)
        if status.total > 1:
            return status, *set_page(kept, status, start, stop)
        if status.state != "done":
            return status, [], ""
        ((one,),) = read(kept, status, [0])
        return status, [AttributeResult.model_validate(one)], ""

    def about(self, status: JobStatus, who: Identity) -> bytes:
        """Spec and provenance of a set as JSON; those of a picture are in its result."""
        return self._files(status.id, who).about() if status.total > 1 else b""

    def mine(self, count: int, who: Identity) -> list[JobStatus]:
        """The caller's jobs of the last day, the latest first; raises InvalidRequest."""
        _, stop = page("", count or LISTED)
        return self._noted(self.records.mine(who, stop))

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
        named = digests(spec)
        for data in images:
            if image_digest(data) not in named:
                raise InvalidRequest(
                    "a picture was sent that the job does not name", field="images"
                )
            self.library.keep(data, who.tenant)
        missing = self.library.missing(named, who.tenant)
        if missing:
            raise ImageNotCached(
                f"{len(missing)} pictures are not held here: send their bytes",
                field="images",
                details={"digests": ",".join(missing[:MAX_NAMED])},
            )

    def _kept(self, job: str, chunks: int, who: Identity) -> Kept:
        """Where the results of a job's chunks are."""
        return self._files(job, who) if chunks > 1 else OfOne(self.results, job)

    def _files(self, job: str, who: Identity) -> JobFiles:
        return JobFiles(self.library.folder(who.tenant, job))

    def _about(self, spec: JobSpec) -> dict[str, Any]:
        """What is needed to have a job again."""
        info = self._model(spec.model)
        prints = {d.id: d.fingerprint for d in info.dictionaries}
        return {
            "schema": NUMERICS,
            "spec": spec,
            "provenance": {
                "model": info.id,
                "model_fingerprint": info.fingerprint,
                "dictionary_fingerprints": prints,
                "precision": info.precision,
                "version": info.server_version,
            },
        }

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


def digests(spec: JobSpec) -> dict[str, None]:
    """Of the pictures that a job names, each once, in their order."""
    if isinstance(spec, AttributeJob):
        return {spec.image.sha256: None}
    if isinstance(spec, EvidenceJob):
        return {image.sha256: None for image in spec.images}
    return dict.fromkeys(names(spec.images))


def dictionaries_of(spec: JobSpec, info: ModelInfo) -> list[DictionaryInfo]:
    """The dictionaries that a job reads; raises NotFound for one that is not there."""
    if isinstance(spec, EvidenceJob):
        return list(info.dictionaries)
    names = [spec.dictionary] if spec.dictionary else []
    if isinstance(spec, AttributeJob | AttributeSetJob):
        targets = spec.targets if isinstance(spec, AttributeSetJob) else (spec.target,)
        later = [t.unit for t in targets if isinstance(t, UnitActivation)]
        names += [u.dictionary for u in later if isinstance(u, Feature)]
    found = {name: info.dictionary(name) for name in names}
    missing = [name for name, one in found.items() if one is None]
    if missing:
        known = ", ".join(d.id for d in info.dictionaries)
        raise NotFound(
            f"model {info.id} has no dictionary {missing[0]!r}; it has {known}", field="dictionary"
        )
    return [one for one in found.values() if one is not None]


def set_page(kept: Kept, status: JobStatus, start: int, stop: int) -> tuple[list[JobResult], str]:
    """Rows ``start`` to ``stop`` of a set, 0 its aggregate; only their chunks are read."""
    chunks, found = status.total - 1, list[JobResult]()
    if start == 0 and status.state == "done":
        ((total,),) = read(kept, status, [chunks])
        found.append(total)
    first, last = max(start - 1, 0), stop - 1
    numbers = range(first // CHUNK, min(chunks, -(-last // CHUNK)))
    for number, part in zip(numbers, read(kept, status, numbers), strict=True):
        places = range(number * CHUNK, number * CHUNK + len(part))
        found += [row for at, row in zip(places, part, strict=True) if first <= at < last]
    return found, str(stop) if last < status.pictures else ""


def read(kept: Kept, status: JobStatus, chunks: Sequence[int]) -> list[Rows]:
    """Results of chunks; of a job that is at work those not done are empty.

    Raises:
        NotFound: The job is done, and a result is no longer there.
    """
    found = kept.read(chunks)
    if status.state == "done" and any(part is None for part in found):
        raise NotFound(
            f"the results of job {status.id[:80]} are no longer kept: submit it again", field="id"
        )
    return [part or [] for part in found]


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


def check_priority(priority: int) -> None:
    """Among the jobs of one caller; raises InvalidRequest."""
    if priority not in (-1, 0, 1):
        raise InvalidRequest(
            f"{priority} is no priority: 1 goes before your other jobs, -1 after them, 0 in turn",
            field="priority",
        )
