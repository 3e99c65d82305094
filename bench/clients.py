"""Callers in a closed loop: as many threads, each asking again when it was answered."""

import http.client
import threading
import time
from collections.abc import Callable

import grpc
import numpy as np

from bench.raw import PROMPTS
from steerboard.api.channel import SHARED_OPTIONS
from steerboard.v1 import steering_pb2 as pb
from steerboard.v1 import types_pb2 as tp
from steerboard.v1.steering_pb2_grpc import SteeringServiceStub

Send = Callable[[bytes], np.ndarray]


class OverGrpc:
    """Predict on one preprocessed tensor a call."""

    def __init__(self, architecture: str, port: int) -> None:
        self.channel = grpc.insecure_channel(f"127.0.0.1:{port}", options=SHARED_OPTIONS)
        self.stub = SteeringServiceStub(self.channel)
        self._architecture = architecture

    def request(self, data: bytes) -> pb.PredictRequest:
        request = pb.PredictRequest(model=self._architecture)
        request.classifier.prompts.prompts.extend(PROMPTS)
        shape = [3, 224, 224]
        request.images.add().pixels.CopyFrom(
            tp.Tensor(dtype=tp.DTYPE_FLOAT32, shape=shape, data=data)
        )
        return request

    def connection(self) -> Send:
        def send(data: bytes) -> np.ndarray:
            (item,) = self.stub.Predict(self.request(data), timeout=120).items
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


def throughput(server: OverGrpc | OverHttp, bodies: list[bytes], callers: int) -> float:
    """Answers a second with ``callers`` callers, each body asked about once."""
    left = list(bodies)
    faults: list[BaseException] = []

    def work() -> None:
        send = server.connection()
        try:
            while left:
                try:
                    body = left.pop()
                except IndexError:
                    return
                send(body)
        except BaseException as fault:
            faults.append(fault)

    threads = [threading.Thread(target=work) for _ in range(callers)]
    begun = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if faults:
        raise faults[0]
    return len(bodies) / (time.perf_counter() - begun)
