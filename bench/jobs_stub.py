"""An inference service that computes nothing: a real gRPC server that waits and then answers."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

import grpc
import numpy as np

from steerboard.api.channel import SHARED_OPTIONS
from steerboard.api.convert_answers import attributions_to_message, steered_to_message
from steerboard.api.convert_models import model_to_message
from steerboard.spec.answers import Answer, Attribution, Prediction, ResolvedTarget, Steered
from steerboard.spec.capabilities import DictionaryInfo, Limits, ModelInfo, SiteInfo
from steerboard.v1 import steering_pb2
from steerboard.v1.steering_pb2_grpc import (
    SteeringServiceServicer,
    add_SteeringServiceServicer_to_server,
)

MODEL, DICTIONARY = "stub", "nothing"
UNITS = 24


def attribution(maps: bool) -> Attribution:
    """As large as a usual answer."""
    row, grid = (
        np.linspace(1, 0, UNITS, dtype=np.float32),
        np.zeros((UNITS * maps, 7, 7), np.float32),
    )
    return Attribution(
        ResolvedTarget(0, 1), 1.0, np.arange(UNITS), row, row, row, row, 0.0, 0.0, 0.0, 0.0, grid
    )


def attributions(count: int, maps: bool) -> steering_pb2.AttributeResponse:
    """The answer about so many pictures."""
    return attributions_to_message(Answer(((attribution(maps),),) * count))


def described() -> ModelInfo:
    """A model with one dictionary, as the door asks for."""
    site = SiteInfo(
        name="resid_post.0", width=8, tokens=50, units=("feature",), n_bar=1.0, patches_read=True
    )
    nothing = DictionaryInfo(
        id=DICTIONARY,
        fingerprint="0",
        site=site.name,
        tokens="all",
        architecture="topk",
        size=UNITS,
    )
    limits = Limits(
        max_images=512, max_prompts=8, max_steer_sets=256, max_image_bytes=2**24,
        max_image_pixels=2**24,
    )  # fmt: skip
    return ModelInfo(
        id=MODEL, fingerprint="0", architecture="none", image_size=(224, 224), grid=(7, 7),
        prefix_tokens=1, pooled_from="prefix", embedding_width=8, logit_scale=1.0,
        precision="float32", sites=(site,), dictionaries=(nothing,), limits=limits,
    )  # fmt: skip


class Waiting(SteeringServiceServicer):
    """Answers any call after ``seconds``, and counts calls and pictures."""

    def __init__(self, info: ModelInfo, seconds: float) -> None:
        self._info, self._seconds = info, seconds
        self._made = lru_cache(attributions)  # what waits must not compute
        self.calls: dict[str, int] = {"Attribute": 0, "Steer": 0}

    async def GetModel(self, request: Any, context: Any) -> steering_pb2.GetModelResponse:
        return steering_pb2.GetModelResponse(model=model_to_message(self._info))

    async def Attribute(self, request: Any, context: Any) -> steering_pb2.AttributeResponse:
        self.calls["Attribute"] += 1
        await asyncio.sleep(self._seconds)
        return self._made(len(request.images), request.maps)

    async def Steer(self, request: Any, context: Any) -> steering_pb2.SteerResponse:
        self.calls["Steer"] += 1
        await asyncio.sleep(self._seconds)
        said = Prediction(np.zeros(2, np.float32), np.full(2, 0.5, np.float32))
        sets = len(request.steer_sets)
        change = np.zeros((sets, 1), np.float32)
        steered = Steered(said, (said,) * sets, (ResolvedTarget(0, 1),), change, change)
        return steered_to_message(Answer(tuple(steered for _ in request.images)))


@contextmanager
def waiting(seconds: float) -> Iterator[tuple[str, Waiting]]:
    """Address and servicer of a server that lives in this process."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    servicer = Waiting(described(), seconds)

    async def begin() -> tuple[Any, int]:
        server = grpc.aio.server(options=SHARED_OPTIONS)
        add_SteeringServiceServicer_to_server(servicer, server)  # type: ignore[no-untyped-call]
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        return server, port

    server, port = asyncio.run_coroutine_threadsafe(begin(), loop).result(30)
    try:
        yield f"127.0.0.1:{port}", servicer
    finally:
        asyncio.run_coroutine_threadsafe(server.stop(1), loop).result(30)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
