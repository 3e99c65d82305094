"""Channels and calls: message caps, retries, deadlines, tokens, and errors as exceptions."""

import json
from collections.abc import Iterator
from typing import Any

import grpc
from google.rpc import status_pb2
from grpc_status import rpc_status

from steerboard.api.status import error_class, status_to_error
from steerboard.api.tokens import is_loopback
from steerboard.spec.errors import InvalidRequest, SteerboardError, Unavailable

MAX_MESSAGE_BYTES = 64 * 1024 * 1024
# A status that lists 512 missing digests is larger than gRPC's 8 KiB for metadata.
MAX_METADATA_BYTES = 256 * 1024

# What clients and servers agree on.
SHARED_OPTIONS: tuple[tuple[str, Any], ...] = (
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
    ("grpc.max_metadata_size", MAX_METADATA_BYTES),
    ("grpc.absolute_max_metadata_size", MAX_METADATA_BYTES),
)
_RETRY = {
    "maxAttempts": 5,
    "initialBackoff": "0.1s",
    "maxBackoff": "1s",
    "backoffMultiplier": 2,
    "retryableStatusCodes": ["UNAVAILABLE"],
}
# gRPC's own wait between two tries to connect grows to two minutes, long after a server is back.
_RECONNECT = (("grpc.initial_reconnect_backoff_ms", 200), ("grpc.max_reconnect_backoff_ms", 2000))
_SERVICE_CONFIG = json.dumps({"methodConfig": [{"name": [{}], "retryPolicy": _RETRY}]})


def open_channel(address: str) -> grpc.Channel:
    """A channel to ``host:port``; on this machine no proxy stands between."""
    options = [*SHARED_OPTIONS, *_RECONNECT, ("grpc.service_config", _SERVICE_CONFIG)]
    if is_loopback(address):
        options.append(("grpc.enable_http_proxy", 0))
    return grpc.insecure_channel(address, options=options)


class Caller:
    """Makes calls to one address, with a token, and raises the errors of the tree."""

    def __init__(self, address: str, token: str | None = None, timeout_s: float = 30.0) -> None:
        self.address = address
        self.channel = open_channel(address)
        self._timeout_s = timeout_s
        self._metadata = (("authorization", f"Bearer {token}"),) if token else ()

    def call(self, method: Any, message: Any) -> Any:
        """The response to one message."""
        try:
            return method(message, timeout=self._timeout_s, metadata=self._metadata)
        except grpc.RpcError as error:
            raise self._error(error) from None

    def stream(self, method: Any, message: Any, timeout_s: float | None) -> Iterator[Any]:
        """The responses to one message, as they come; leaving early takes the call back."""
        responses = method(message, timeout=timeout_s, metadata=self._metadata)
        try:
            yield from responses
        except grpc.RpcError as error:
            raise self._error(error) from None
        finally:
            responses.cancel()

    def close(self) -> None:
        """Give the channel back."""
        self.channel.close()

    def _error(self, error: Any) -> SteerboardError:
        status: status_pb2.Status | None = rpc_status.from_call(error)
        if status is not None:
            return status_to_error(status)
        return self._bare(error.code(), error.details() or "")

    def _bare(self, code: grpc.StatusCode, details: str) -> SteerboardError:
        """An error that gRPC itself made, on the way."""
        if code is grpc.StatusCode.UNAVAILABLE:
            return Unavailable(f"no answer from {self.address}: is it running?", retry_after_s=1.0)
        if code is grpc.StatusCode.RESOURCE_EXHAUSTED and "larger than max" in details:
            cap = MAX_MESSAGE_BYTES // 2**20
            return InvalidRequest(f"the message is larger than {cap} MiB: ask about fewer images")
        if code is grpc.StatusCode.DEADLINE_EXCEEDED:
            details = f"{self.address} did not answer within {self._timeout_s:g} s"
        return error_class(code.value[0])(details or code.name)
