"""The Runner over gRPC, for callers without torch."""

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from steerboard.api import convert_answers as answers
from steerboard.api import convert_requests as requests
from steerboard.api.channel import Caller
from steerboard.api.convert_models import model_from_message
from steerboard.spec.answers import Answer, Attribution, Code, Embedding, Prediction, Steered
from steerboard.spec.capabilities import ModelInfo
from steerboard.spec.errors import ImageNotCached, SteerboardError
from steerboard.spec.requests import (
    Attribute,
    Digest,
    Embed,
    Encode,
    Encoded,
    ImageRef,
    Predict,
    Steer,
)
from steerboard.v1 import steering_pb2 as pb
from steerboard.v1.steering_pb2_grpc import SteeringServiceStub

T = TypeVar("T")
Q = TypeVar("Q", Predict, Steer, Attribute, Encode, Embed)


class RemoteRunner:
    """Answers by asking a server. Pictures travel once: after that their digest is sent."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller
        self._stub = SteeringServiceStub(caller.channel)  # type: ignore[no-untyped-call]
        self._sent = SentImages()

    def models(self) -> tuple[ModelInfo, ...]:
        """All models."""
        response = self._caller.call(self._stub.ListModels, pb.ListModelsRequest())
        return tuple(model_from_message(message) for message in response.models)

    def model(self, name: str) -> ModelInfo:
        """One model; raises NotFound."""
        response = self._caller.call(self._stub.GetModel, pb.GetModelRequest(model=name))
        return model_from_message(response.model)

    def predict(self, request: Predict) -> Answer[Prediction]:
        """Logits and probabilities of each image."""

        def ask(request: Predict) -> Answer[Prediction]:
            message = requests.predict_to_message(request)
            return answers.predictions_from_message(self._caller.call(self._stub.Predict, message))

        return self._sent.ask(ask, request)

    def steer(self, request: Steer) -> Answer[Steered]:
        """The clean answer and one for each steer set, of each image."""

        def ask(request: Steer) -> Answer[Steered]:
            message = requests.steer_to_message(request)
            return answers.steered_from_message(self._caller.call(self._stub.Steer, message))

        return self._sent.ask(ask, request)

    def attribute(self, request: Attribute) -> Answer[tuple[Attribution, ...]]:
        """For each image one attribution a target."""

        def ask(request: Attribute) -> Answer[tuple[Attribution, ...]]:
            message = requests.attribute_to_message(request)
            response = self._caller.call(self._stub.Attribute, message)
            return answers.attributions_from_message(response)

        return self._sent.ask(ask, request)

    def encode(self, request: Encode) -> Answer[Code]:
        """The sparse code of each image."""

        def ask(request: Encode) -> Answer[Code]:
            message = requests.encode_to_message(request)
            return answers.codes_from_message(self._caller.call(self._stub.Encode, message))

        return self._sent.ask(ask, request)

    def embed(self, request: Embed) -> Answer[Embedding]:
        """The embedding of each image or text."""

        def ask(request: Embed) -> Answer[Embedding]:
            message = requests.embed_to_message(request)
            return answers.embeddings_from_message(self._caller.call(self._stub.Embed, message))

        return self._sent.ask(ask, request)

    def close(self) -> None:
        """Give the connection back."""
        self._caller.close()


class SentImages:
    """Remembers which pictures the server was sent; bounded, thread-safe."""

    def __init__(self, capacity: int = 65_536) -> None:
        self._capacity = capacity
        self._known: OrderedDict[str, None] = OrderedDict()
        self._lock = threading.Lock()

    def ask(self, ask: Callable[[Q], Answer[T]], request: Q) -> Answer[T]:
        """Ask with digests for known pictures; where some are gone, once more with all bytes."""
        held = {image.sha256 for image in request.images if isinstance(image, Encoded)}
        known = self._known_of(held)
        answer = self._attempt(ask, _with_digests(request, known), known)
        if answer is None:
            answer = ask(request)
        self._remember(_accepted(request.images, answer))
        return answer

    def _attempt(
        self, ask: Callable[[Q], Answer[T]], request: Q, known: set[str]
    ) -> Answer[T] | None:
        """The answer, or None where one of the ``known`` pictures is no longer there."""
        try:
            answer = ask(request)
        except ImageNotCached as error:
            if not known & _missing([error]):
                raise
            self._forget(known)
            return None
        if known & _missing(answer.items):
            self._forget(known)
            return None
        return answer

    def _known_of(self, digests: set[str]) -> set[str]:
        with self._lock:
            return digests & self._known.keys()

    def _remember(self, digests: Iterable[str]) -> None:
        with self._lock:
            for digest in digests:
                self._known[digest] = None
                self._known.move_to_end(digest)
            while len(self._known) > self._capacity:
                self._known.popitem(last=False)

    def _forget(self, digests: Iterable[str]) -> None:
        with self._lock:
            for digest in digests:
                self._known.pop(digest, None)


def _with_digests(request: Q, known: set[str]) -> Q:
    def short(image: ImageRef) -> ImageRef:
        if isinstance(image, Encoded) and image.sha256 in known:
            return Digest(sha256=image.sha256)
        return image

    return request.model_copy(update={"images": tuple(short(image) for image in request.images)})


def _missing(items: Iterable[Any]) -> set[str]:
    """All digests that errors among ``items`` name as not cached."""
    errors = [item for item in items if isinstance(item, ImageNotCached)]
    return {digest for error in errors for digest in missing_digests(error)}


def missing_digests(error: ImageNotCached) -> list[str]:
    """The digests that the error lists."""
    return error.details.get("digests", "").replace(",", " ").split()


def _accepted(images: tuple[ImageRef, ...], answer: Answer[Any]) -> list[str]:
    """Digests of the encoded pictures that were answered without an error."""
    good = (
        image
        for image, item in zip(images, answer.items, strict=False)
        if not isinstance(item, SteerboardError)
    )
    return [image.sha256 for image in good if isinstance(image, Encoded)]


def connect(address: str, token: str | None = None, timeout_s: float = 30.0) -> RemoteRunner:
    """A Runner that asks the inference service at ``host:port``.

    Args:
        address: Where it listens.
        token: A signed token; not needed on the server's own machine where it has no secret.
        timeout_s: Seconds after which a call is given up with DeadlineExceeded.
    """
    return RemoteRunner(Caller(address, token, timeout_s))
