"""One bidirectional stream: a few questions in hand at a time, each answered when it is done."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from typing import Any

import grpc

from steerboard.api.status import error_to_status, translate
from steerboard.spec.errors import InvalidRequest, Overloaded, SteerboardError, Unavailable
from steerboard.spec.jobs import Lane
from steerboard.v1 import steering_pb2 as pb

# Questions of one stream that are in hand at once: enough that the next is decoded meanwhile.
WINDOW = 16
Answer = Callable[[str, Any, float | None, Lane], Awaitable[Any]]


class Stream:
    """Reads questions no faster than they are answered, and writes answers one at a time.

    Where the queue is full a question waits here: the stream as a whole is slowed, not refused.
    """

    def __init__(self, answer: Answer, context: Any) -> None:
        self._reading: asyncio.Task[None] | None = None
        self._stopping = False
        self._answer = answer
        self._context = context
        self._window = asyncio.Semaphore(WINDOW)
        self._writing = asyncio.Lock()

    async def run(self, requests: AsyncIterator[pb.RunStreamRequest]) -> None:
        """Until the caller has asked everything and everything is answered.

        Raises:
            Unavailable: The service stops; what was read until then is answered.
        """
        try:
            async with asyncio.TaskGroup() as group:
                self._reading = asyncio.create_task(self._read(requests, group))
                try:
                    await self._reading
                except asyncio.CancelledError:
                    if not self._stopping:
                        raise
        except* SteerboardError as found:
            raise found.exceptions[0] from None
        if self._stopping:
            raise Unavailable(
                "the service is stopping: ask the rest of another, or later", retry_after_s=1.0
            )

    def stop(self) -> None:
        """Read no further, and end when what is in hand is answered."""
        self._stopping = True
        if self._reading is not None:
            self._reading.cancel()

    async def _read(
        self, requests: AsyncIterator[pb.RunStreamRequest], group: asyncio.TaskGroup
    ) -> None:
        async for request in requests:
            await self._window.acquire()
            group.create_task(self._one(request))

    async def _one(self, request: pb.RunStreamRequest) -> None:
        response = pb.RunStreamResponse(id=request.id)
        name = request.WhichOneof("question")
        try:
            found = await self._patiently(name, request)
            getattr(response, str(name)).CopyFrom(found)
        except Exception as error:
            told = error_to_status(translate(error, {"question": str(name)}))
            response.error.CopyFrom(told)
        # An answer that cannot be written: whoever asked is gone, and the call ends by itself.
        async with self._writing:
            with suppress(grpc.aio.InternalError):
                await self._context.write(response)
        self._window.release()

    async def _patiently(self, name: str | None, request: pb.RunStreamRequest) -> Any:
        """The answer, however often the queue is full before there is room."""
        if name is None:
            raise InvalidRequest(
                "there is no question here of a kind that is known", field="question"
            )
        while True:
            try:
                left = self._context.time_remaining()
                return await self._answer(name, getattr(request, name), left, "bulk")
            except Overloaded as full:
                if "waiting_rows" not in full.details:
                    raise  # Not the queue: waiting here is of no use.
                await asyncio.sleep(full.retry_after_s or 1.0)
