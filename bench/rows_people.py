"""Many people on one server, over gRPC: ``interactive``, ``fairness``, ``cancelled``."""

import secrets
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import grpc
import numpy as np

from bench import children
from bench.clients import OverGrpc, bodies
from bench.clock import figure, one
from bench.hosted import counted
from bench.report import Line
from bench.stage import B32, Stage
from steerboard.api.tokens import Identity, sign
from steerboard.spec.jobs import Lane
from steerboard.v1 import steering_pb2 as pb

CANCELLED = 64
IN_FLIGHT = 40 + 7 * 4
BULK_ROWS = 8  # pictures in one question of a batch caller
LEAST_MOVES = 60  # of which a p95 is one that three are slower than


def caller(
    server: OverGrpc, name: str, secret: str, lanes: tuple[Lane, ...] = ("interactive",)
) -> OverGrpc:
    """A client of its own with a token of its own."""
    token = sign(Identity(subject=name, lanes=lanes), secret)
    port = int(server.address.rpartition(":")[2])
    return OverGrpc(B32, port, server.size, token)


@contextmanager
def asking(calls: list[Callable[[], object]]) -> Iterator[None]:
    """Within: each call is made again and again, in a thread of its own."""
    stop, faults = threading.Event(), list[BaseException]()

    def work(call: Callable[[], object]) -> None:
        try:
            while not stop.is_set():
                call()
        except BaseException as fault:
            faults.append(fault)

    threads = [threading.Thread(target=work, args=(call,)) for call in calls]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    if faults:
        raise faults[0]


def compare_interactive(stage: Stage) -> Iterator[Line]:
    """p95 of single new pictures while four callers keep the batch lane full, and without them."""
    secret, count = secrets.token_hex(32), max(LEAST_MOVES, 2 * stage.size.moves)
    with ExitStack() as stack:
        server = stack.enter_context(children.ours(B32, stage.threads, secret=secret))
        given, taking = bodies(server.size), threading.Lock()

        def fresh() -> bytes:
            with taking:
                return next(given)

        ann = caller(server, "ann", secret)
        send = ann.connection()

        def latencies(count: int = count) -> np.ndarray:
            return np.array([_timed(send, fresh()) for _ in range(count)])

        latencies(8)
        unloaded = float(np.percentile(latencies(), 95))
        took: list[float] = []
        bulk = [caller(server, f"batch {i}", secret, ("bulk",)) for i in range(4)]

        def ask(client: OverGrpc) -> None:
            request = client.request(fresh())
            for _ in range(BULK_ROWS - 1):
                request.images.add().pixels.CopyFrom(client.request(fresh()).images[0].pixels)
            response = client.stub.Predict(request, timeout=120, metadata=client.metadata)
            took.append(response.timing.computed_ms / 1e3)

        # Two questions at a time of each: while one is computed, the next one waits already.
        with asking([lambda c=c: ask(c) for c in bulk for _ in range(2)]):
            while len(took) < 16:
                time.sleep(0.05)
            took.clear()
            loaded = float(np.percentile(latencies(), 95))
        batch = float(np.median(took))
    row = f"interactive {B32}"
    yield Line(row, "p95 alone", one(1e3 * unloaded), unit="ms")
    yield Line(row, "one batch of the batch lane", one(1e3 * batch), unit="ms")
    what = "p95 while four callers fill the batch lane"
    bound = 1e3 * (batch + 2 * unloaded)
    yield Line(row, what, one(1e3 * loaded), at_most=bound, unit="ms", details={"moves": count})


def _timed(send: Callable[[bytes], object], body: bytes) -> float:
    begun = time.perf_counter()
    send(body)
    return time.perf_counter() - begun


def compare_fairness(stage: Stage) -> Iterator[Line]:
    """Jain's index over eight equal callers, one of whom has ten times as much in the queue.

    (sum x)^2 / (n sum x^2) over the answers each had; Jain, Chiu and Hawe, 1984.
    """
    secret, found = secrets.token_hex(32), []
    with children.ours(B32, stage.threads, secret=secret) as server:
        given, taking = bodies(server.size), threading.Lock()
        people = [caller(server, f"caller {i}", secret) for i in range(8)]
        for _ in range(min(3, stage.size.rounds)):
            answered: Counter[int] = Counter()

            def ask(i: int, answered: "Counter[int]" = answered) -> None:
                with taking:
                    body = next(given)
                people[i].connection()(body)
                answered[i] += 1

            at_once = [i for i in range(8) for _ in range(40 if i == 0 else 4)]  # IN_FLIGHT in all
            with asking([lambda i=i: ask(i) for i in at_once]):
                _until(lambda answered=answered: answered.total() >= IN_FLIGHT, 600)
                answered.clear()  # From where all queues are full.
                enough = 8 * stage.size.moves
                _until(lambda answered=answered, n=enough: answered.total() >= n, 600)
                shares = [answered[i] for i in range(8)]
            found.append(jain(shares))
    yield Line(
        f"fairness {B32}",
        "Jain's index, eight callers, one sends ten times as much",
        figure(found),
        at_least=0.95,
        details={"answers": shares},
    )


def jain(shares: list[int]) -> float:
    """1 where all are equal, 1/n where one has all."""
    return sum(shares) ** 2 / (len(shares) * sum(x * x for x in shares))


def compare_cancelled(stage: Stage) -> Iterator[Line]:
    """Rows computed for questions that were taken back, or too late, while they waited."""
    for name in ("cancelled", "expired"):
        with counted(B32, stage.threads) as (server, engine, kernel):
            given = bodies(server.size)
            server.connection()(next(given))
            before = kernel.rows
            with engine.paused():
                left = 0.3 if name == "expired" else 60
                calls = [
                    server.stub.Predict.future(server.request(next(given)), timeout=left)
                    for _ in range(CANCELLED)
                ]
                _until(lambda: engine.waiting == CANCELLED)
                for call in calls if name == "cancelled" else ():
                    call.cancel()
                outcomes = Counter(_outcome(call) for call in calls)
                time.sleep(0.5)  # The server learns of it.
            _until(lambda: engine.waiting == 0)
            server.connection()(next(given))
            rows = kernel.rows - before - 1
        what = f"rows computed for {CANCELLED} {name} questions"
        told = {str(code): count for code, count in outcomes.items()}
        yield Line("cancelled", what, one(float(rows)), at_most=0, details=told)


def _outcome(call: "grpc.Future[pb.PredictResponse]") -> str:
    try:
        call.result()
    except grpc.FutureCancelledError:
        return "CANCELLED"
    except grpc.RpcError as error:
        return str(error.code().name)
    return "OK"


def _until(said: Callable[[], bool], patience_s: float = 60) -> None:
    end = time.monotonic() + patience_s
    while not said():
        if time.monotonic() > end:
            raise RuntimeError("this never came")
        time.sleep(0.01)
