"""An inference service that computes nothing: a real gRPC server that waits and then answers.

As the real one it holds the pictures that it was sent, and asks for the bytes of others."""

import asyncio
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import grpc
import numpy as np
from grpc_status import rpc_status

from steerboard.api.channel import SHARED_OPTIONS
from steerboard.api.convert_answers import attributions_to_message, steered_to_message
from steerboard.api.convert_models import model_to_message
from steerboard.api.status import error_to_status
from steerboard.spec.answers import Answer, Attribution, Prediction, ResolvedTarget, Steered
from steerboard.spec.capabilities import DictionaryInfo, Limits, ModelInfo, SiteInfo
from steerboard.spec.digest import image_digest
from steerboard.spec.errors import ImageNotCached
from steerboard.v1 import steering_pb2

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


@lru_cache  # what waits must not compute
def attributions(count: int, maps: bool) -> bytes:
    """The answer about so many pictures."""
    answer = Answer(((attribution(maps),),) * count)
    return attributions_to_message(answer).SerializeToString()


@lru_cache
def steered(count: int, sets: int) -> bytes:
    """The answer about so many pictures under so many steer sets."""
    said = Prediction(np.zeros(2, np.float32), np.full(2, 0.5, np.float32))
    change = np.zeros((sets, 1), np.float32)
    one = Steered(said, (said,) * sets, (ResolvedTarget(0, 1),), change, change)
    return steered_to_message(Answer((one,) * count)).SerializeToString()


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


@dataclass(frozen=True)
class Asked:
    """What a question comes to.

    Attributes:
        answer: To it.
        sent: Digests of the pictures that came along.
        named: Those of the pictures that did not.
    """

    answer: bytes
    sent: frozenset[str]
    named: frozenset[str]


@lru_cache(maxsize=4096)  # a question that comes again is not read again
def attribute_asked(data: bytes) -> Asked:
    """Of the bytes of an ``AttributeRequest``."""
    request = steering_pb2.AttributeRequest.FromString(data)
    return Asked(attributions(len(request.images), request.maps), *pictures(request.images))


@lru_cache(maxsize=4096)
def steer_asked(data: bytes) -> Asked:
    """Of the bytes of a ``SteerRequest``."""
    request = steering_pb2.SteerRequest.FromString(data)
    answer = steered(len(request.images), len(request.steer_sets))
    return Asked(answer, *pictures(request.images))


def pictures(images: Iterable[Any]) -> tuple[frozenset[str], frozenset[str]]:
    """Digests of those that came along, and of those that were named."""
    found = list(images)
    sent = frozenset(image_digest(i.encoded) for i in found if i.encoded)
    return sent, frozenset(i.digest for i in found if i.digest)


class Waiting:
    """Answers any call about pictures that it holds after ``seconds``, and counts them.

    Attributes:
        late_s: By which each answer was late, for this is one process that many ask.
    """

    def __init__(self, info: ModelInfo, seconds: float) -> None:
        self._info, self._seconds = info, seconds
        self.late_s: list[float] = []
        self._held: set[str] = set()
        self.calls: dict[str, int] = {"Attribute": 0, "Steer": 0}

    async def model(self, request: bytes, context: Any) -> bytes:
        """GetModel, at once."""
        message = steering_pb2.GetModelResponse(model=model_to_message(self._info))
        return message.SerializeToString()

    async def attribute(self, request: bytes, context: Any) -> bytes:
        """Attribute."""
        return await self._answer("Attribute", attribute_asked(request), context)

    async def steer(self, request: bytes, context: Any) -> bytes:
        """Steer."""
        return await self._answer("Steer", steer_asked(request), context)

    async def _answer(self, name: str, asked: Asked, context: Any) -> bytes:
        began = time.monotonic()
        self._held |= asked.sent
        if not asked.named <= self._held:
            await self._refuse(asked.named - self._held, context)
        self.calls[name] += 1
        await asyncio.sleep(self._seconds)
        self.late_s.append(time.monotonic() - began - self._seconds)
        return asked.answer

    async def _refuse(self, missing: frozenset[str], context: Any) -> None:
        error = ImageNotCached("send their bytes", details={"digests": ",".join(missing)})
        status = rpc_status.to_status(error_to_status(error))
        await context.abort(status.code, status.details, status.trailing_metadata)

    def handler(self) -> grpc.GenericRpcHandler:
        """For a server; questions stay bytes, and answers are bytes that were made once."""
        methods = {"GetModel": self.model, "Attribute": self.attribute, "Steer": self.steer}
        service = steering_pb2.DESCRIPTOR.services_by_name["SteeringService"].full_name
        handlers = {n: grpc.unary_unary_rpc_method_handler(m) for n, m in methods.items()}
        return grpc.method_handlers_generic_handler(service, handlers)


@contextmanager
def waiting(seconds: float) -> Iterator[tuple[str, Waiting]]:
    """Address and servicer of a server that lives in this process."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    servicer = Waiting(described(), seconds)

    async def begin() -> tuple[Any, int]:
        server = grpc.aio.server(options=SHARED_OPTIONS)
        server.add_generic_rpc_handlers((servicer.handler(),))
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
