"""The job door as a gRPC service: decode, call, encode."""

import asyncio
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from typing import Any, TypeVar

from services.attribution.desk import Desk
from services.attribution.records import ENDED
from services.attribution.results import unpack
from steerboard.api.convert_jobs import (
    job_from_message,
    job_result_to_message,
    job_status_to_message,
)
from steerboard.api.interceptor import caller
from steerboard.api.tokens import Identity
from steerboard.spec.jobs import AttributeResult, JobSpec, JobStatus
from steerboard.v1 import jobs_pb2
from steerboard.v1.jobs_pb2_grpc import JobServiceServicer

T = TypeVar("T")
POLL_S, SLOWEST_POLL_S = 0.01, 0.3  # at first, and while nothing but the count changes
THREADS = 32


class Aside:
    """Runs blocking calls off the event loop, in threads of its own."""

    def __init__(self, threads: int = THREADS) -> None:
        self._pool = ThreadPoolExecutor(threads, "door")

    async def __call__(self, call: Callable[..., T], *arguments: Any) -> T:
        """What the call returns, or raises."""
        return await asyncio.get_running_loop().run_in_executor(self._pool, call, *arguments)

    def close(self) -> None:
        """Wait for the calls in hand."""
        self._pool.shutdown()


@lru_cache(maxsize=256)  # who moves about on a page asks again and again for the same few
def answered(packed: bytes) -> jobs_pb2.JobResult:
    """What came out about one picture, from what is stored."""
    (found,) = unpack(packed)
    return job_result_to_message(AttributeResult.model_validate(found))


def forward(status: JobStatus, last: JobStatus | None) -> JobStatus:
    """Progress never goes back before a watcher's eyes, also where Redis forgot a last second."""
    if last is None or status.done >= last.done:
        return status
    return status.model_copy(update={"done": last.done})


def next_pause(pause: float, status: JobStatus, last: JobStatus | None) -> float:
    """Seconds until a watcher's next look, after one of ``pause``.

    The count of a large set changes at every moment: it is told a few times a second, and sooner
    when something else has happened, or the end is near.
    """
    if last is None or status.state != last.state:
        return POLL_S
    near = SLOWEST_POLL_S if status.seconds_left is None else status.seconds_left / 2
    return max(POLL_S, min(pause * 1.5, SLOWEST_POLL_S, near))


class JobDoor(JobServiceServicer):
    """JobService."""

    def __init__(self, desk: Desk, aside: Aside) -> None:
        self._desk, self._aside = desk, aside

    async def Submit(
        self, request: jobs_pb2.SubmitRequest, context: Any
    ) -> jobs_pb2.SubmitResponse:
        """Accept a job or join the one that runs."""
        spec = job_from_message(request.spec)
        status, answer = await self._aside(self._submit, request, spec, caller())
        return jobs_pb2.SubmitResponse(status=job_status_to_message(status), result=answer)

    def _submit(
        self, request: jobs_pb2.SubmitRequest, spec: JobSpec, who: Identity
    ) -> tuple[JobStatus, jobs_pb2.JobResult | None]:
        """The job, and its answer where that is known already."""
        status = self._desk.submit(spec, list(request.images), who, request.priority)
        packed = self._desk.answer(status)
        return status, None if packed is None else answered(packed)

    async def Watch(
        self, request: jobs_pb2.WatchRequest, context: Any
    ) -> AsyncIterator[jobs_pb2.WatchResponse]:
        """The state now and at each change."""
        last, who, pause = None, caller(), 0.0
        while True:
            status = forward(await self._aside(self._desk.status, request.id, who), last)
            if status != last:
                yield jobs_pb2.WatchResponse(status=job_status_to_message(status))
            if status.state in ENDED:
                return
            pause = next_pause(pause, status, last)
            last = status
            await asyncio.sleep(pause)

    async def Result(
        self, request: jobs_pb2.ResultRequest, context: Any
    ) -> jobs_pb2.ResultResponse:
        """A page of results."""
        who = caller()
        status, rows, following = await self._aside(
            self._desk.results_page, request.id, request.page_token, request.page_size, who
        )
        first = not request.page_token
        return jobs_pb2.ResultResponse(
            about_json=await self._aside(self._desk.about, status, who) if first else b"",
            status=job_status_to_message(status),
            results=[job_result_to_message(r) for r in rows],
            next_page_token=following,
        )

    async def Cancel(
        self, request: jobs_pb2.CancelRequest, context: Any
    ) -> jobs_pb2.CancelResponse:
        """Take a job back."""
        status = await self._aside(self._desk.cancel, request.id, caller())
        return jobs_pb2.CancelResponse(status=job_status_to_message(status))

    async def ListJobs(
        self, request: jobs_pb2.ListJobsRequest, context: Any
    ) -> jobs_pb2.ListJobsResponse:
        """The caller's jobs."""
        found = await self._aside(self._desk.mine, request.count, caller())
        return jobs_pb2.ListJobsResponse(jobs=map(job_status_to_message, found))
