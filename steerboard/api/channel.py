"""Channels and calls: message caps, retries, deadlines, tokens, and errors as exceptions.

gRPC itself does what it can: it takes turns over several servers, watches the health of each,
retries what may be repeated and notices a server that stands still.
"""

import json
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import grpc
from google.rpc import status_pb2
from grpc_status import rpc_status

from steerboard.api.addresses import is_name, parse_addresses, target_of
from steerboard.api.speaking import spoken
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
    # Clients ask this often whether a server still stands; without it they are cut off for that.
    ("grpc.http2.min_ping_interval_without_data_ms", 500),
)
# gRPC's own wait between two tries to connect grows to two minutes, long after a server is back.
_RECONNECT = (("grpc.initial_reconnect_backoff_ms", 200), ("grpc.max_reconnect_backoff_ms", 2000))
# A machine that is away without a word, or a process that stands still, is noticed after both
# first times together, and after the last where it accepts a connection and says no more.
_PINGS = (
    ("grpc.keepalive_time_ms", 1000),
    ("grpc.keepalive_timeout_ms", 2000),
    ("grpc.http2.ping_timeout_ms", 2000),
    ("grpc.http2.max_pings_without_data", 0),
    ("grpc.min_reconnect_backoff_ms", 2000),
)
# A call whose start Ctrl-C interrupted has nobody who sees its end: closing would wait for it.
CLOSE_S = 2.0
# One server alone has nobody to take its place: it is given longer.
_RARE_PINGS = (("grpc.keepalive_time_ms", 10_000), ("grpc.keepalive_timeout_ms", 10_000))


@dataclass(frozen=True)
class Patience:
    """How often a call that nobody answered is tried in all, and how soon; calls are pure."""

    attempts: int = 5
    first_s: float = 0.1
    most_s: float = 1.0

    def methods(self) -> list[dict[str, Any]]:
        """As a gRPC service config says it."""
        policy = {
            "maxAttempts": self.attempts,
            "initialBackoff": f"{self.first_s}s",
            "maxBackoff": f"{self.most_s}s",
            "backoffMultiplier": 2,
            "retryableStatusCodes": ["UNAVAILABLE"],
        }
        return [{"name": [{}], "retryPolicy": policy}] if self.attempts > 1 else []


PATIENT = Patience()
# Where another replica can be asked, that is the second try.
ONCE = Patience(attempts=1)


def service_config(patience: Patience, replicas: bool) -> str:
    """What gRPC is told of retries, turns and health, as JSON.

    Args:
        patience: Of retries; after many in vain there are none until calls succeed again.
        replicas: Take turns over all addresses, and leave out those that do not say SERVING.
    """
    config: dict[str, Any] = {
        "methodConfig": patience.methods(),
        "retryThrottling": {"maxTokens": 100, "tokenRatio": 1},
    }
    if replicas:
        config["loadBalancingConfig"] = [{"round_robin": {}}]
        config["healthCheckConfig"] = {"serviceName": ""}
    return json.dumps(config)


def open_channel(
    address: str | Sequence[str], patience: Patience = PATIENT, watch: bool = False
) -> grpc.Channel:
    """A channel to one server or to several; on this machine no proxy stands between.

    Args:
        address: See ``steerboard.api.addresses``.
        patience: Of retries.
        watch: Let a single server's health decide too whether it is asked.
    """
    addresses = parse_addresses(address)
    replicas = watch or len(addresses) > 1 or is_name(addresses)
    config = service_config(patience, replicas)
    options = [*SHARED_OPTIONS, *_RECONNECT, ("grpc.service_config", config)]
    if replicas:
        options += [("grpc.enable_health_checking", 1), *_PINGS]
    else:
        options += _RARE_PINGS
    if all(is_loopback(one) for one in addresses):
        options.append(("grpc.enable_http_proxy", 0))
    return grpc.insecure_channel(target_of(addresses), options=options)


class Caller:
    """Makes calls with a token, and raises the errors of the tree.

    Args:
        address: One server or several, see ``steerboard.api.addresses``.
        token: A signed token, or None.
        timeout_s: Seconds after which a call is given up.
        channel: What to call over, if not a channel of its own.
    """

    def __init__(
        self,
        address: str | Sequence[str],
        token: str | None = None,
        timeout_s: float = 30.0,
        channel: grpc.Channel | None = None,
    ) -> None:
        self.address = address if isinstance(address, str) else ",".join(address)
        self.channel = channel or open_channel(address)
        self._timeout_s = timeout_s
        self._metadata = (("authorization", f"Bearer {token}"),) if token else ()

    def call(self, method: Any, message: Any) -> Any:
        """The response to one message."""
        try:
            return method(message, timeout=self._timeout_s, metadata=self._metadata + spoken())
        except grpc.RpcError as error:
            raise self._error(error) from None

    def stream(self, method: Any, message: Any, timeout_s: float | None) -> Iterator[Any]:
        """The responses to one message, as they come; leaving early takes the call back."""
        metadata = self._metadata + spoken()
        responses = method(message, timeout=timeout_s, metadata=metadata)
        try:
            yield from responses
        except grpc.RpcError as error:
            raise self._error(error) from None
        finally:
            responses.cancel()

    def close(self) -> None:
        """Give the channel back; what gRPC cannot close within ``CLOSE_S`` is left behind."""
        closing = threading.Thread(target=self.channel.close, name="close channel", daemon=True)
        closing.start()
        closing.join(CLOSE_S)

    def _error(self, error: Any) -> SteerboardError:
        status: status_pb2.Status | None = rpc_status.from_call(error)
        if status is not None:
            return status_to_error(status)
        return self._bare(error.code(), error.details() or "")

    def _bare(self, code: grpc.StatusCode, details: str) -> SteerboardError:
        """An error that gRPC itself made, on the way."""
        if code is grpc.StatusCode.UNAVAILABLE:
            return Unavailable(f"no answer from {self.address}: is it running?", retry_after_s=1.0)
        if code is grpc.StatusCode.CANCELLED and details in ("", code.name):
            # Nobody here took it back: a server that stops drops a call that came too late.
            return Unavailable(f"{self.address} is stopping", retry_after_s=1.0)
        if code is grpc.StatusCode.RESOURCE_EXHAUSTED and "larger than max" in details:
            cap = MAX_MESSAGE_BYTES // 2**20
            return InvalidRequest(f"the message is larger than {cap} MiB: ask about fewer images")
        if code is grpc.StatusCode.DEADLINE_EXCEEDED:
            details = f"{self.address} did not answer within {self._timeout_s:g} s"
        return error_class(code.value[0])(details or code.name)
