"""The door's gRPC server, and the clock that hands out chunks and finds lost ones again."""

import asyncio
import gc
import logging
import signal
from threading import Thread

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from services.attribution.catalogues import Catalogues
from services.attribution.celery_app import make_app
from services.attribution.desk import Desk
from services.attribution.dispatch import TICK_S, Dispatcher, Reconciler
from services.attribution.door import Aside, JobDoor
from services.attribution.library import Library
from services.attribution.reading_room import ReadingRoom
from services.attribution.records import Records
from services.attribution.remarks import Remarks
from services.attribution.results import Results
from services.attribution.settings import Settings
from services.attribution.sweeping import Copies, Sweeper
from steerboard.api.channel import SHARED_OPTIONS
from steerboard.api.client import connect
from steerboard.api.interceptor import Door
from steerboard.v1 import jobs_pb2, library_pb2
from steerboard.v1.jobs_pb2_grpc import add_JobServiceServicer_to_server
from steerboard.v1.library_pb2_grpc import add_LibraryServiceServicer_to_server

GRACE_S = 5.0
INFERENCE_S = 3.0  # to wait for fingerprints
LOOKING_S = 20.0  # to wait for the codes of pictures
WORDS_S = 2.0  # for the meaning of words, without which a search goes on
SETS_S = 15.0  # to wait for image sets before the door opens; larger ones come later
SET_S = 2.0  # and for one that somebody asks for
SERVICES = (
    jobs_pb2.DESCRIPTOR.services_by_name["JobService"].full_name,
    library_pb2.DESCRIPTOR.services_by_name["LibraryService"].full_name,
)
_LOG = logging.getLogger(__name__)


async def serve(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT."""
    desk, reconciler = await asyncio.to_thread(open_desk, settings)
    aside = Aside()
    server = grpc.aio.server(
        interceptors=[Door(settings.token_secret)],
        options=[*SHARED_OPTIONS, ("grpc.so_reuseport", 0)],
    )
    add_JobServiceServicer_to_server(JobDoor(desk, aside), server)  # type: ignore[no-untyped-call]
    room = await asyncio.to_thread(open_room, settings, desk.library, aside)
    add_LibraryServiceServicer_to_server(room, server)  # type: ignore[no-untyped-call]
    checks = health.aio.HealthServicer()  # type: ignore[attr-defined]
    health_pb2_grpc.add_HealthServicer_to_server(checks, server)
    for name in ("", *SERVICES):
        await checks.set(name, health_pb2.HealthCheckResponse.SERVING)
    reflection.enable_server_reflection(
        (*SERVICES, health.SERVICE_NAME, reflection.SERVICE_NAME), server
    )
    bind(server, settings.listen)
    await server.start()
    settle()
    _LOG.info("the job door is open on %s", settings.listen)
    ended = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    clock = asyncio.create_task(tick(reconciler))
    await ended.wait()
    clock.cancel()
    await checks.enter_graceful_shutdown()
    await server.stop(GRACE_S)
    aside.close()


def bind(server: grpc.aio.Server, address: str) -> None:
    """Take the address that calls come to; one that cannot be had ends the process."""
    try:
        server.add_insecure_port(address)
    except RuntimeError:
        raise SystemExit(
            f"{address} cannot be listened on: another program may have it; end that one, or set"
            " STEERBOARD_JOBS_LISTEN to another port"
        ) from None


def settle() -> None:
    """Let the collector look seldom, and not at what stays: a set's question is 100,000 objects.

    None of them is part of a cycle; with Python's own thresholds half of a submit is looking.
    """
    gc.freeze()
    gc.set_threshold(100_000, 20, 20)


def open_desk(settings: Settings) -> tuple[Desk, Reconciler]:
    """Connect to everything; nothing has to be up yet."""
    records = Records(settings.broker)
    dispatcher = Dispatcher(records, make_app(settings.broker))
    runner = connect(settings.inference, settings.token, INFERENCE_S)
    library = Library(settings.config, settings.blobs, SET_S)
    library.prepare(SETS_S)
    desk = Desk(records, Results(settings.cache), dispatcher, library, runner)
    sweeper = Sweeper(records, settings.blobs, Copies(library.shelf))
    return desk, Reconciler(records, dispatcher, settings.patience_s, sweeper)


def open_room(settings: Settings, library: Library, aside: Aside) -> ReadingRoom:
    """What answers about catalogues; a page of pictures under a feature may take a while."""
    runner, reader = (connect(settings.inference, settings.token, s) for s in (LOOKING_S, WORDS_S))
    catalogues = Catalogues(library, runner, reader)
    remarks = Remarks(catalogues, settings.store)
    for warm, name in ((remarks.warm, "remarks"), (catalogues.warm, "catalogues")):
        Thread(target=warm, name=name, daemon=True).start()
    return ReadingRoom(library, catalogues, remarks, aside)


async def tick(reconciler: Reconciler) -> None:
    """Let the reconciler's clock go; whatever happens in a tick, the next one comes."""
    while True:
        await asyncio.sleep(TICK_S)
        try:
            await asyncio.to_thread(reconciler.tick)
        except Exception:
            _LOG.exception("the reconciler")
