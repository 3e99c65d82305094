"""What every call passes on its way in: who is it, and what does an error become.

Servicers behind it raise plain ``SteerboardError``s; ``caller()`` tells them whom they answer.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextvars import ContextVar
from functools import partial
from typing import Any, NoReturn

import grpc
from google.protobuf.message import DecodeError
from grpc_status import rpc_status

from steerboard.api.status import error_to_status, translate
from steerboard.api.tokens import ANONYMOUS, Identity, identify
from steerboard.spec.errors import InvalidRequest

_CALLER: ContextVar[Identity] = ContextVar("caller", default=ANONYMOUS)
Reader = Callable[[Any], Any]
_OPEN = ("/grpc.health.", "/grpc.reflection.")


def caller() -> Identity:
    """The identity of the call in hand."""
    return _CALLER.get()


class Door(grpc.aio.ServerInterceptor):  # type: ignore[type-arg]
    """Authenticates and translates errors; health and reflection pass freely."""

    def __init__(self, secret: str | None) -> None:
        self._secret = secret

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Any]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Any:
        """Wrap the handler of one call."""
        handler = await continuation(handler_call_details)
        method = str(handler_call_details.method)
        if handler is None or method.startswith(_OPEN):
            return handler
        # Bytes are taken apart behind the door, where what does not parse becomes an error of ours.
        coders = {"response_serializer": handler.response_serializer}
        read = _reader(handler.request_deserializer, method)
        if handler.unary_unary is not None:
            call = self._unary(handler.unary_unary, method, read)
            return grpc.unary_unary_rpc_method_handler(call, **coders)
        if handler.unary_stream is not None:
            stream = self._stream(handler.unary_stream, method, read)
            return grpc.unary_stream_rpc_method_handler(stream, **coders)
        if handler.stream_stream is not None:
            both = self._unary(handler.stream_stream, method, partial(_each, read))
            return grpc.stream_stream_rpc_method_handler(both, **coders)
        raise NotImplementedError(f"{method} answers a stream once: teach the door about it")

    def _enter(self, context: Any) -> None:
        metadata = {str(k).lower(): v for k, v in context.invocation_metadata() or ()}
        _CALLER.set(identify(metadata, context.peer(), self._secret))

    def _unary(
        self, behaviour: Callable[..., Awaitable[Any]], method: str, read: Reader
    ) -> Callable[..., Any]:
        """For one answer, and for streams whose answers are written, not yielded."""

        async def call(request: Any, context: Any) -> Any:
            try:
                self._enter(context)
                return await behaviour(read(request), context)
            except grpc.aio.AbortError:
                raise
            except Exception as error:
                await _abort(context, error, method)

        return call

    def _stream(
        self, behaviour: Callable[..., AsyncIterator[Any]], method: str, read: Reader
    ) -> Callable[..., Any]:
        async def call(request: Any, context: Any) -> AsyncIterator[Any]:
            try:
                self._enter(context)
                async for response in behaviour(read(request), context):
                    yield response
            except grpc.aio.AbortError:
                raise
            except Exception as error:
                await _abort(context, error, method)

        return call


def _reader(deserialize: Reader, method: str) -> Reader:
    """Bytes to a message; raises InvalidRequest where they are none of its kind."""

    def read(data: Any) -> Any:
        try:
            return deserialize(data)
        except DecodeError:
            kind = method.rpartition("/")[2]
            raise InvalidRequest(
                f"these bytes are no {kind}Request: client and server speak different contracts"
            ) from None

    return read


async def _each(read: Reader, requests: AsyncIterator[Any]) -> AsyncIterator[Any]:
    async for request in requests:
        yield read(request)


async def _abort(context: Any, error: Exception, method: str) -> NoReturn:
    status = rpc_status.to_status(error_to_status(translate(error, {"method": method})))
    await context.abort(status.code, status.details, status.trailing_metadata)
    raise AssertionError("abort returns never")
