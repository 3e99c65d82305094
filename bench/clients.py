"""Callers in a closed loop: as many threads, each asking again when it was answered."""

import http.client
import itertools
import threading
import time
from collections.abc import Callable, Iterator

import grpc
import numpy as np

from bench.house import pictures
from bench.raw import PROMPTS
from steerboard.api.channel import SHARED_OPTIONS
from steerboard.v1 import steering_pb2 as pb
from steerboard.v1 import types_pb2 as tp
from steerboard.v1.steering_pb2_grpc import SteeringServiceStub

Send = Callable[[bytes], np.ndarray]
_COUNTER = itertools.count(1)


class OverGrpc:
    """Predict on one preprocessed tensor a call."""

    def __init__(
        self, architecture: str, port: int, size: tuple[int, int] = (224, 224), token: str = ""
    ) -> None:
        self.address = f"127.0.0.1:{port}"
        self.channel = grpc.insecure_channel(self.address, options=SHARED_OPTIONS)
        self.stub = SteeringServiceStub(self.channel)
        self.metadata = (("authorization", f"Bearer {token}"),) if token else ()
        self.size = size
        self.profile = ""
        self._architecture = architecture

    def request(self, data: bytes) -> pb.PredictRequest:
        request = pb.PredictRequest(model=self._architecture)
        request.classifier.prompts.prompts.extend(PROMPTS)
        request.images.add().pixels.CopyFrom(
            tp.Tensor(dtype=tp.DTYPE_FLOAT32, shape=[3, *self.size], data=data)
        )
        return request

    def connection(self) -> Send:
        def send(data: bytes) -> np.ndarray:
            response = self.stub.Predict(self.request(data), timeout=120, metadata=self.metadata)
            (item,) = response.items
            return np.frombuffer(item.result.logits.data, "<f4")

        return send

    def close(self) -> None:
        self.channel.close()


class OverHttp:
    """The same bytes as the body of a POST, on a connection that is kept."""

    def __init__(self, port: int, path: str) -> None:
        self._port, self._path = port, path

    def connection(self) -> Send:
        kept = http.client.HTTPConnection("127.0.0.1", self._port, timeout=120)

        def send(data: bytes) -> np.ndarray:
            kept.request("POST", self._path, data)
            response = kept.getresponse()
            body = response.read()
            assert response.status == 200, body[:200]
            return np.frombuffer(body, "<f4")

        return send

    def close(self) -> None:
        """Connections are closed with their threads."""


def bodies(size: tuple[int, int]) -> Iterator[bytes]:
    """Pictures without end, no two alike: one drawn anew in turn, and a number in its corner."""
    drawn = [one.tobytes() for one in pictures(16, 0, size)]
    for number in _COUNTER:
        body = drawn[number % len(drawn)]
        yield np.float32(number % 10_000_000 / 1e6).tobytes() + body[4:]


def throughput(
    server: OverGrpc | OverHttp, given: Iterator[bytes], callers: int, seconds: float
) -> float:
    """Answers a second with ``callers`` callers who ask for ``seconds``.

    All that was asked is waited for; what ends after the time counts with the time it took.
    """
    answered = itertools.count()
    faults: list[BaseException] = []
    taking = threading.Lock()
    begun = time.perf_counter()

    def work() -> None:
        try:
            send = server.connection()
            while not faults and time.perf_counter() - begun < seconds:
                with taking:
                    body = next(given, None)
                if body is None:
                    return
                send(body)
                next(answered)
        except BaseException as fault:
            faults.append(fault)

    threads = [threading.Thread(target=work) for _ in range(callers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if faults:
        raise faults[0]
    return next(answered) / (time.perf_counter() - begun)
