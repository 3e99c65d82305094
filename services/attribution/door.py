"""The job door and the reading room as gRPC services: decode, call, encode."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from typing import Any, TypeVar

from celery import Celery

from services.attribution.celery_app import send_chunk
from services.attribution.compute import aggregate, size
from services.attribution.jobs import ENDED, Jobs
from services.attribution.library import Library
from steerboard.api.convert_jobs import (
    JobResult,
    job_from_message,
    job_result_to_message,
    job_status_to_message,
)
from steerboard.api.convert_library import (
    feature_card_to_message,
    image_card_to_message,
    image_set_to_message,
)
from steerboard.api.interceptor import caller
from steerboard.api.tokens import Identity
from steerboard.spec.capabilities import ModelInfo
from steerboard.spec.digest import digest
from steerboard.spec.errors import Forbidden, ImageNotCached, NotFound, Unavailable
from steerboard.spec.jobs import AttributeJob, AttributeResult, JobSpec, JobStatus
from steerboard.spec.runner import Runner
from steerboard.v1 import jobs_pb2, library_pb2
from steerboard.v1.jobs_pb2_grpc import JobServiceServicer
from steerboard.v1.library_pb2_grpc import LibraryServiceServicer

T = TypeVar("T")
POLL_S = 0.15
PAGE = 200
NUMERICS = 1  # raised when the arithmetic of a job changes


class Desk:
    """What the two services work with.

    Args:
        jobs: The records.
        app: Celery, to send chunks.
        library: Pictures and cards.
        runner: The inference service, asked for fingerprints only.
    """

    def __init__(self, jobs: Jobs, app: Celery, library: Library, runner: Runner) -> None:
        self.jobs, self.app, self.library, self.runner = jobs, app, library, runner
        self._models: dict[str, tuple[float, ModelInfo]] = {}

    def submit(self, spec: JobSpec, images: list[bytes], who: Identity) -> JobStatus:
        """Accept, join, or answer from the record."""
        for data in images:
            self.library.keep(data)
        wanted = [spec.image] if isinstance(spec, AttributeJob) else list(spec.images)
        missing = self.library.missing(d.sha256 for d in wanted)
        if missing:
            raise ImageNotCached(
                f"{len(missing)} pictures are not held here: send their bytes",
                field="images",
                details={"digests": ",".join(missing)},
            )
        lane = lane_of(spec, who)
        job = self.address(spec)
        chunks, pictures = size(spec)
        found = self.jobs.open(job, spec, chunks, pictures, lane, who.subject)
        if found == "new":
            self.send(job, lane, range(chunks))
        status = self.jobs.status(job)
        note = (
            "" if self.jobs.alive() else "no worker is running: the job waits until one is started"
        )
        update = {
            "cached": found == "done",
            "joined": found in ("queued", "running"),
            "message": status.message or note,
        }
        return status.model_copy(update=update)

    def address(self, spec: JobSpec) -> str:
        """Digest of the question and of everything that could change its answer."""
        info = self._model(spec.model)
        dictionary = info.dictionary(spec.dictionary)
        if dictionary is None:
            known = ", ".join(d.id for d in info.dictionaries)
            raise NotFound(
                f"model {info.id} has no dictionary {spec.dictionary!r}; it has {known}",
                field="dictionary",
            )
        return digest(NUMERICS, spec, info.fingerprint, dictionary.fingerprint, info.precision)

    def _model(self, name: str) -> ModelInfo:
        """Fingerprints, remembered for seconds: a cached answer needs no other server."""
        at, info = self._models.get(name, (0.0, None))
        if info is None or time.monotonic() - at > 5:
            try:
                info = self.runner.model(name)
            except Unavailable:
                if info is None:
                    raise
            self._models[name] = (time.monotonic(), info)
        return info

    def send(self, job: str, lane: str, chunks: range | list[int]) -> None:
        """Put chunks on the queue; where that fails the record says so."""
        try:
            for chunk in chunks:
                send_chunk(self.app, lane, job, chunk)
        except Unavailable as away:
            self.jobs.end(job, "failed", away)
            raise

    def results(self, job: str, start: int, count: int) -> tuple[JobStatus, list[JobResult], str]:
        """A page of results; a set's aggregate comes first, once the job is done."""
        status = self.jobs.status(job)
        if status.state != "done":
            return status, [], ""
        first = self.jobs.result(job, 0)
        if status.total == 1 and first and "features" in first[0] and "provenance" in first[0]:
            return status, [AttributeResult.model_validate(first[0])], ""
        rows = [row for i in range(status.total) for row in self.jobs.result(job, i)]
        listed: list[JobResult] = [{"aggregate": aggregate(rows)}, *rows]
        stop = start + (count or PAGE)
        return status, listed[start:stop], str(stop) if stop < len(listed) else ""


def lane_of(spec: JobSpec, who: Identity) -> str:
    """One picture is interactive, a set is bulk; the token must allow it."""
    lane = "interactive" if isinstance(spec, AttributeJob) else "bulk"
    if lane not in who.lanes:
        raise Forbidden(f"the token does not allow the lane {lane!r}")
    return lane


async def aside(call: Callable[..., T], *arguments: Any) -> T:
    """A blocking call off the event loop."""
    return await asyncio.to_thread(call, *arguments)


class JobDoor(JobServiceServicer):
    """JobService."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def Submit(
        self, request: jobs_pb2.SubmitRequest, context: Any
    ) -> jobs_pb2.SubmitResponse:
        """Accept a job or join the one that runs."""
        spec = job_from_message(request.spec)
        status = await aside(self._desk.submit, spec, list(request.images), caller())
        return jobs_pb2.SubmitResponse(status=job_status_to_message(status))

    async def Watch(
        self, request: jobs_pb2.WatchRequest, context: Any
    ) -> AsyncIterator[jobs_pb2.WatchResponse]:
        """The state now and at each change."""
        last = None
        while True:
            status = await aside(self._desk.jobs.status, request.id)
            if status != last:
                yield jobs_pb2.WatchResponse(status=job_status_to_message(status))
                last = status
            if status.state in ENDED:
                return
            await asyncio.sleep(POLL_S)

    async def Result(
        self, request: jobs_pb2.ResultRequest, context: Any
    ) -> jobs_pb2.ResultResponse:
        """A page of results."""
        start = int(request.page_token or 0)
        status, rows, following = await aside(
            self._desk.results, request.id, start, request.page_size
        )
        return jobs_pb2.ResultResponse(
            status=job_status_to_message(status),
            results=[job_result_to_message(r) for r in rows],
            next_page_token=following,
        )

    async def Cancel(
        self, request: jobs_pb2.CancelRequest, context: Any
    ) -> jobs_pb2.CancelResponse:
        """Take a job back."""
        await aside(self._desk.jobs.end, request.id, "cancelled")
        status = await aside(self._desk.jobs.status, request.id)
        return jobs_pb2.CancelResponse(status=job_status_to_message(status))


class ReadingRoom(LibraryServiceServicer):
    """LibraryService."""

    def __init__(self, library: Library) -> None:
        self._library = library

    async def ListImageSets(
        self, request: library_pb2.ListImageSetsRequest, context: Any
    ) -> library_pb2.ListImageSetsResponse:
        """All image sets."""
        sets = [image_set_to_message(s) for s in self._library.image_sets()]
        return library_pb2.ListImageSetsResponse(image_sets=sets)

    async def ListImages(
        self, request: library_pb2.ListImagesRequest, context: Any
    ) -> library_pb2.ListImagesResponse:
        """A page of pictures."""
        cards = self._library.images(request.image_set, request.split, request.group)
        start = int(request.page_token or 0)
        stop = start + (request.page_size or PAGE)
        return library_pb2.ListImagesResponse(
            images=[image_card_to_message(c) for c in cards[start:stop]],
            next_page_token=str(stop) if stop < len(cards) else "",
            total=len(cards),
        )

    async def GetImages(
        self, request: library_pb2.GetImagesRequest, context: Any
    ) -> library_pb2.GetImagesResponse:
        """Bytes of pictures."""
        found = [(d, await aside(self._library.read, d)) for d in request.digests]
        return library_pb2.GetImagesResponse(
            images=[library_pb2.ImageBytes(sha256=d, data=b) for d, b in found]
        )

    async def GetFeatures(
        self, request: library_pb2.GetFeaturesRequest, context: Any
    ) -> library_pb2.GetFeaturesResponse:
        """What is known of features."""
        cards = await aside(self._library.features, request.dictionary, list(request.indices))
        return library_pb2.GetFeaturesResponse(features=[feature_card_to_message(c) for c in cards])
