"""The Runner over gRPC, for callers without torch."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import grpc

from steerboard.api import convert_answers as answers
from steerboard.api import convert_requests as requests
from steerboard.api.addresses import is_name, parse_addresses, resolve
from steerboard.api.channel import ONCE, Caller, open_channel
from steerboard.api.convert_models import model_from_message
from steerboard.api.convert_neighbours import neighbours_from_message
from steerboard.api.fleet import Fleet
from steerboard.api.outbox import Outbox
from steerboard.api.replicas import ReplicatedRunner
from steerboard.api.sent_images import Question, SentImages, missing_digests
from steerboard.api.status import status_to_error
from steerboard.spec.answers import (
    Answer,
    Attribution,
    Code,
    Embedding,
    Neighbours,
    Prediction,
    Steered,
)
from steerboard.spec.capabilities import ModelInfo
from steerboard.spec.errors import SteerboardError
from steerboard.spec.requests import Attribute, Embed, Encode, Predict, Steer
from steerboard.spec.runner import Runner
from steerboard.v1 import steering_pb2 as pb
from steerboard.v1.steering_pb2_grpc import SteeringServiceStub

__all__ = ["RemoteRunner", "connect", "missing_digests"]


@dataclass(frozen=True)
class Kind:
    """How one kind of question travels."""

    field: str
    to_message: Callable[[Any], Any]
    from_message: Callable[[Any], Answer[Any]]


KINDS: dict[type[Any], Kind] = {
    Predict: Kind("predict", requests.predict_to_message, answers.predictions_from_message),
    Steer: Kind("steer", requests.steer_to_message, answers.steered_from_message),
    Attribute: Kind("attribute", requests.attribute_to_message, answers.attributions_from_message),
    Encode: Kind("encode", requests.encode_to_message, answers.codes_from_message),
    Embed: Kind("embed", requests.embed_to_message, answers.embeddings_from_message),
}


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

    def nearest(
        self, model: str, dictionary: str, features: Sequence[int], count: int = 8
    ) -> Neighbours:
        """The features whose decoder rows point most nearly the same way; see ``Near``."""
        message = pb.GetNeighboursRequest(
            model=model, dictionary=dictionary, features=features, count=count
        )
        return neighbours_from_message(self._caller.call(self._stub.GetNeighbours, message))

    def stream(
        self, questions: Iterable[Question]
    ) -> Iterator[tuple[int, Answer[Any] | SteerboardError]]:
        """Number (from 0) and answer of each question, as they are done: the way for whole sets.

        Questions are taken no faster than they are answered. One that fails as a whole gives its
        error in its place; the others go on.
        """
        outbox = Outbox(questions, self._sent)
        messages = (_numbered(number, question) for number, question in outbox)
        try:
            for response in self._caller.stream(self._stub.RunStream, messages, None):
                found, open_ = _outcome(response), outbox[response.id]
                if self._sent.lacked(open_.known, found):
                    outbox.repeat(response.id)
                    continue
                outbox.answered(response.id)
                if isinstance(found, Answer):
                    self._sent.remember(open_.question, found)
                yield response.id, found
        finally:
            outbox.close()

    def close(self) -> None:
        """Give the connection back."""
        self._caller.close()


def _numbered(number: int, question: Question) -> pb.RunStreamRequest:
    kind = KINDS[type(question)]
    return pb.RunStreamRequest(id=number, **{kind.field: kind.to_message(question)})


def _outcome(response: pb.RunStreamResponse) -> Answer[Any] | SteerboardError:
    name = response.WhichOneof("outcome")
    if name == "error":
        return status_to_error(response.error)
    kind = next(kind for kind in KINDS.values() if kind.field == name)
    return kind.from_message(getattr(response, kind.field))


def connect(
    address: str | Sequence[str], token: str | None = None, timeout_s: float = 30.0
) -> Runner:
    """A Runner that asks the inference service.

    Several servers share the pictures: each is asked about those whose digests fall to it, and
    where one is away the others answer. (Programs that give the same replicas should write their
    addresses alike: a picture's owner is found by them.)

    Args:
        address: ``host:port``; several with commas between, or as a list; or
            ``dns:///name:port``, a server at each address that the name has at the time.
        token: A signed token; not needed on the server's own machine where it has no secret.
        timeout_s: Seconds after which a call is given up with DeadlineExceeded.

    Raises:
        InvalidRequest: ``address`` is no address.
    """
    addresses = parse_addresses(address)
    if len(addresses) == 1 and not is_name(addresses):
        return RemoteRunner(Caller(addresses, token, timeout_s))

    def open_(one: str) -> tuple[Runner, grpc.Channel]:
        channel = open_channel(one, ONCE, watch=True)
        return RemoteRunner(Caller(one, token, timeout_s, channel)), channel

    if is_name(addresses):
        return ReplicatedRunner(Fleet((), open_, lambda: resolve(addresses[0])))
    return ReplicatedRunner(Fleet(addresses, open_))
