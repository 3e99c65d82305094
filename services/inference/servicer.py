"""SteeringService: decode, call, encode. Errors are translated at the door."""

from collections.abc import AsyncIterator
from typing import Any

from services.inference.desk import Desk
from services.inference.engine.admission import Load
from services.inference.engine.batching import BatchingKernel
from services.inference.questions import QUESTIONS
from services.inference.stream import Stream
from steerboard.api.convert_models import model_to_message
from steerboard.api.convert_neighbours import neighbours_to_message
from steerboard.spec.errors import Internal, Unavailable
from steerboard.spec.jobs import Lane
from steerboard.spec.runner import Near, Runner
from steerboard.v1 import steering_pb2 as pb
from steerboard.v1.steering_pb2_grpc import SteeringServiceServicer

USUAL = 8  # neighbours of a feature, unless asked


class Servicer(SteeringServiceServicer):
    """Answers with ``runner``, which is None while models load."""

    def __init__(self, desk: Desk) -> None:
        self.runner: Runner | None = None
        self.engine: BatchingKernel | None = None
        self._desk = desk
        self._streams: set[Stream] = set()

    def _ready(self) -> Runner:
        if self.runner is None:
            raise Unavailable("the models are still loading: try again soon", retry_after_s=2.0)
        return self.runner

    async def _answer(
        self, name: str, message: Any, seconds_left: float | None, lane: Lane = "interactive"
    ) -> Any:
        runner, question = self._ready(), QUESTIONS[name]
        load = question.load(message, runner.model(message.model))
        return await self._desk.run(
            lambda ticket: question.answer(runner, message, ticket),
            load,
            seconds_left,
            lane,
            lambda ticket: question.soon(runner, self.engine, message, ticket),
        )

    async def ListModels(
        self, request: pb.ListModelsRequest, context: Any
    ) -> pb.ListModelsResponse:
        """All models."""
        return pb.ListModelsResponse(models=[model_to_message(m) for m in self._ready().models()])

    async def GetModel(self, request: pb.GetModelRequest, context: Any) -> pb.GetModelResponse:
        """One model."""
        return pb.GetModelResponse(model=model_to_message(self._ready().model(request.model)))

    async def Predict(self, request: pb.PredictRequest, context: Any) -> Any:
        """Logits and probabilities of each image."""
        return await self._answer("predict", request, context.time_remaining())

    async def Steer(self, request: pb.SteerRequest, context: Any) -> Any:
        """The clean answer and one for each steer set, of each image."""
        return await self._answer("steer", request, context.time_remaining())

    async def Attribute(self, request: pb.AttributeRequest, context: Any) -> Any:
        """Which features made each target's value."""
        return await self._answer("attribute", request, context.time_remaining())

    async def Encode(self, request: pb.EncodeRequest, context: Any) -> Any:
        """The sparse code of each image."""
        return await self._answer("encode", request, context.time_remaining())

    async def Embed(self, request: pb.EmbedRequest, context: Any) -> Any:
        """Embeddings of images or texts."""
        return await self._answer("embed", request, context.time_remaining())

    async def GetNeighbours(
        self, request: pb.GetNeighboursRequest, context: Any
    ) -> pb.GetNeighboursResponse:
        """Features whose decoder rows point nearly the same way."""
        runner, count = self._ready(), request.count if request.HasField("count") else USUAL
        if not isinstance(runner, Near):
            raise Internal("this runner does not compare features")
        found = await self._desk.run(
            lambda ticket: runner.nearest(
                request.model, request.dictionary, list(request.features), count
            ),
            Load(rows=1, size=request.ByteSize()),
            context.time_remaining(),
            "bulk",
        )
        return neighbours_to_message(found)

    async def RunStream(self, requests: AsyncIterator[pb.RunStreamRequest], context: Any) -> None:
        """Many questions, answered as they are done."""
        self._ready()
        stream = Stream(self._answer, context)
        self._streams.add(stream)
        try:
            await stream.run(requests)
        finally:
            self._streams.discard(stream)

    def stop(self) -> None:
        """Let no stream ask any further."""
        for stream in self._streams:
            stream.stop()
