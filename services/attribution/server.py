"""The door's gRPC server, and the reconciler that sends lost chunks again."""

import asyncio
import logging
import signal

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from services.attribution.celery_app import make_app
from services.attribution.door import Desk, JobDoor, ReadingRoom
from services.attribution.jobs import Jobs
from services.attribution.library import Library
from services.attribution.settings import Settings
from steerboard.api.channel import SHARED_OPTIONS
from steerboard.api.client import connect
from steerboard.api.interceptor import Door
from steerboard.spec.errors import SteerboardError
from steerboard.v1 import jobs_pb2, library_pb2
from steerboard.v1.jobs_pb2_grpc import add_JobServiceServicer_to_server
from steerboard.v1.library_pb2_grpc import add_LibraryServiceServicer_to_server

GRACE_S = 5.0
RECONCILE_S = 15.0
SERVICES = (
    jobs_pb2.DESCRIPTOR.services_by_name["JobService"].full_name,
    library_pb2.DESCRIPTOR.services_by_name["LibraryService"].full_name,
)
_LOG = logging.getLogger(__name__)


async def serve(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT."""
    desk = await asyncio.to_thread(open_desk, settings)
    server = grpc.aio.server(
        interceptors=[Door(settings.token_secret)],
        options=[*SHARED_OPTIONS, ("grpc.so_reuseport", 0)],
    )
    add_JobServiceServicer_to_server(JobDoor(desk), server)  # type: ignore[no-untyped-call]
    add_LibraryServiceServicer_to_server(ReadingRoom(desk.library), server)  # type: ignore[no-untyped-call]
    checks = health.aio.HealthServicer()  # type: ignore[attr-defined]
    health_pb2_grpc.add_HealthServicer_to_server(checks, server)
    for name in ("", *SERVICES):
        await checks.set(name, health_pb2.HealthCheckResponse.SERVING)
    reflection.enable_server_reflection(
        (*SERVICES, health.SERVICE_NAME, reflection.SERVICE_NAME), server
    )
    server.add_insecure_port(settings.listen)
    await server.start()
    _LOG.info("the job door is open on %s", settings.listen)
    ended = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    reconciler = asyncio.create_task(reconcile(desk))
    await ended.wait()
    reconciler.cancel()
    await checks.enter_graceful_shutdown()
    await server.stop(GRACE_S)


def open_desk(settings: Settings) -> Desk:
    """Connect to everything; nothing has to be up yet."""
    jobs = Jobs(settings.broker, settings.cache)
    library = Library(settings.config, settings.blobs)
    return Desk(
        jobs, make_app(settings.broker), library, connect(settings.inference, settings.token)
    )


async def reconcile(desk: Desk) -> None:
    """Every few seconds: chunks of jobs without progress since the last look are sent again."""
    before: dict[str, list[int]] = {}
    while True:
        await asyncio.sleep(RECONCILE_S)
        try:
            now = await asyncio.to_thread(desk.jobs.unfinished)
            for job, lane, chunks in now:
                if before.get(job) == chunks:
                    await asyncio.to_thread(desk.send, job, lane, chunks)
            before = {job: chunks for job, _, chunks in now}
        except SteerboardError as error:
            _LOG.warning("%s", error.message)
