"""The gRPC server: starts at once, says SERVING when models are loaded and warmed, stops softly."""

import asyncio
import logging
import signal
from collections.abc import Callable

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from services.inference.desk import Desk
from services.inference.engine.admission import LIMITS, Admission
from services.inference.engine.admission import Load as Bounds
from services.inference.engine.batching import BatchingKernel
from services.inference.servicer import Servicer
from steerboard.api.channel import SHARED_OPTIONS
from steerboard.api.interceptor import Door
from steerboard.spec.runner import Runner
from steerboard.v1 import steering_pb2
from steerboard.v1.steering_pb2_grpc import add_SteeringServiceServicer_to_server

SERVICE = steering_pb2.DESCRIPTOR.services_by_name["SteeringService"].full_name
GRACE_S = 10.0
# Clients look up addresses anew only when a connection ends: without this none finds a new server.
MAX_CONNECTION_AGE_MS = 300_000
_LOG = logging.getLogger(__name__)
Load = Callable[[], tuple[Runner, BatchingKernel]]


class InferenceServer:
    """One server on one address; ``start``, ``load``, ``stop`` within one event loop."""

    def __init__(self, listen: str, token_secret: str | None, limits: Bounds = LIMITS) -> None:
        self._desk = Desk(Admission(limits))
        self._engine: BatchingKernel | None = None
        self._servicer = Servicer(self._desk)
        self._health = health.aio.HealthServicer()  # type: ignore[attr-defined]
        self._server = grpc.aio.server(interceptors=[Door(token_secret)], options=_options())
        add_SteeringServiceServicer_to_server(self._servicer, self._server)  # type: ignore[no-untyped-call]
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        names = (SERVICE, health.SERVICE_NAME, reflection.SERVICE_NAME)
        reflection.enable_server_reflection(names, self._server)
        self.port = self._server.add_insecure_port(listen)

    async def start(self) -> None:
        """Listen; health says NOT_SERVING and calls are told that models are loading."""
        await self._say(health_pb2.HealthCheckResponse.NOT_SERVING)
        await self._server.start()

    async def load(self, load: Load) -> None:
        """Load and warm in a thread, then say SERVING."""
        runner, self._engine = await asyncio.get_running_loop().run_in_executor(None, load)
        self._servicer.runner, self._servicer.engine = runner, self._engine
        await self._say(health_pb2.HealthCheckResponse.SERVING)

    async def stop(self, grace_s: float = GRACE_S) -> None:
        """Say NOT_SERVING, take no new calls, let those in hand end within ``grace_s``."""
        await self._health.enter_graceful_shutdown()
        self._servicer.stop()
        await self._server.stop(grace_s)
        if self._engine is not None:
            await asyncio.get_running_loop().run_in_executor(None, self._engine.close)
        self._desk.close()

    async def _say(self, status: "health_pb2.HealthCheckResponse.ServingStatus") -> None:
        for name in ("", SERVICE):
            await self._health.set(name, status)


def _options() -> list[tuple[str, object]]:
    return [
        *SHARED_OPTIONS,
        ("grpc.max_connection_age_ms", MAX_CONNECTION_AGE_MS),
        ("grpc.max_connection_age_grace_ms", 60_000),
        ("grpc.so_reuseport", 0),
    ]


async def run(listen: str, token_secret: str | None, load: Load, limits: Bounds = LIMITS) -> None:
    """Serve until SIGTERM or SIGINT; a model that does not load ends the process."""
    server = InferenceServer(listen, token_secret, limits)
    ended = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    await server.start()
    _LOG.info("listening on %s; loading models", listen)
    loading = asyncio.create_task(server.load(load))
    waiting = asyncio.create_task(ended.wait())
    done, _ = await asyncio.wait({loading, waiting}, return_when=asyncio.FIRST_COMPLETED)
    try:
        if loading in done:
            loading.result()
            _LOG.info("serving on %s", listen)
            await waiting
    finally:
        _LOG.info("stopping: calls in hand may end within %g s", GRACE_S)
        loading.cancel()
        waiting.cancel()
        await server.stop()
