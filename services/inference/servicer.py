"""SteeringService: decode, call, encode. Errors are translated at the door."""

from collections.abc import Callable
from typing import Any, TypeVar

from services.inference.desk import Desk
from services.inference.engine.ticket import Ticket
from steerboard.api import convert_answers as answers
from steerboard.api import convert_requests as requests
from steerboard.api.convert_models import model_to_message
from steerboard.spec.answers import Answer
from steerboard.spec.errors import Unavailable
from steerboard.spec.runner import Runner
from steerboard.v1 import steering_pb2 as pb
from steerboard.v1.steering_pb2_grpc import SteeringServiceServicer

Q = TypeVar("Q")
A = TypeVar("A")
M = TypeVar("M")


class Servicer(SteeringServiceServicer):
    """Answers with ``runner``, which is None while models load."""

    def __init__(self, desk: Desk) -> None:
        self.runner: Runner | None = None
        self._desk = desk

    def _ready(self) -> Runner:
        if self.runner is None:
            raise Unavailable("the models are still loading: try again soon", retry_after_s=2.0)
        return self.runner

    async def _answer(
        self,
        context: Any,
        decode: Callable[[], Q],
        ask: Callable[[Q], Answer[A]],
        encode: Callable[[Answer[A]], M],
    ) -> M:
        def call(ticket: Ticket) -> M:
            return encode(ticket.stamp(ask(decode())))

        return await self._desk.run(call, context.time_remaining())

    async def ListModels(
        self, request: pb.ListModelsRequest, context: Any
    ) -> pb.ListModelsResponse:
        """All models."""
        return pb.ListModelsResponse(models=[model_to_message(m) for m in self._ready().models()])

    async def GetModel(self, request: pb.GetModelRequest, context: Any) -> pb.GetModelResponse:
        """One model."""
        return pb.GetModelResponse(model=model_to_message(self._ready().model(request.model)))

    async def Predict(self, request: pb.PredictRequest, context: Any) -> pb.PredictResponse:
        """Logits and probabilities of each image."""
        return await self._answer(
            context,
            lambda: requests.predict_from_message(request),
            self._ready().predict,
            answers.predictions_to_message,
        )

    async def Steer(self, request: pb.SteerRequest, context: Any) -> pb.SteerResponse:
        """The clean answer and one for each steer set, of each image."""
        return await self._answer(
            context,
            lambda: requests.steer_from_message(request),
            self._ready().steer,
            answers.steered_to_message,
        )

    async def Attribute(self, request: pb.AttributeRequest, context: Any) -> pb.AttributeResponse:
        """Which features made each target's value."""
        return await self._answer(
            context,
            lambda: requests.attribute_from_message(request),
            self._ready().attribute,
            answers.attributions_to_message,
        )

    async def Encode(self, request: pb.EncodeRequest, context: Any) -> pb.EncodeResponse:
        """The sparse code of each image."""
        return await self._answer(
            context,
            lambda: requests.encode_from_message(request),
            self._ready().encode,
            answers.codes_to_message,
        )

    async def Embed(self, request: pb.EmbedRequest, context: Any) -> pb.EmbedResponse:
        """Embeddings of images or texts."""
        return await self._answer(
            context,
            lambda: requests.embed_from_message(request),
            self._ready().embed,
            answers.embeddings_to_message,
        )
