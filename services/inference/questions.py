"""The five questions of the contract: how each is decoded, asked, weighed and encoded."""

from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

from services.inference.engine.admission import Load
from services.inference.engine.batching import TEXTS_A_ROW, BatchingKernel
from services.inference.engine.ticket import Ticket
from services.inference.engine.work import Arrays
from steerboard.api import convert_answers as answers
from steerboard.api import convert_requests as requests
from steerboard.inprocess.runner import LocalRunner
from steerboard.spec.capabilities import ModelInfo
from steerboard.spec.runner import Runner

FEW, LITTLE = 8, 2**20  # pictures and bytes of a call for which no thread is taken
Soon = tuple["Future[Arrays]", Callable[[Arrays], Any]]


@dataclass(frozen=True)
class Question:
    """One kind of question. ``rows`` counts what each image costs, from the message."""

    name: str
    decode: Callable[[Any], Any]
    encode: Callable[[Any], Any]
    rows: Callable[[Any], int]

    def load(self, message: Any, info: ModelInfo) -> Load:
        """What the message asks for, before anything of it is decoded."""
        images = len(message.images)
        height, width = info.image_size
        rows = images * self.rows(message) + _texts(message) // TEXTS_A_ROW
        return Load(rows=max(1, rows), size=message.ByteSize() + images * 3 * height * width * 4)

    def answer(self, runner: Runner, message: Any, ticket: Ticket) -> Any:
        """The response message."""
        answer = getattr(runner, self.name)(self.decode(message))
        return self.encode(ticket.stamp(answer))

    def soon(
        self, runner: Runner, engine: BatchingKernel | None, message: Any, ticket: Ticket
    ) -> Soon | None:
        """Where only the engine takes time: what it computes, and the response message from that.

        For a few pictures of which nothing must be decoded: of others the rest takes time too.
        """
        if self.name != "predict" or engine is None or not isinstance(runner, LocalRunner):
            return None
        if len(message.images) > FEW or message.ByteSize() > LITTLE:
            return None
        begun = runner.begin(self.decode(message))
        if begun is None:
            return None
        waiting = engine.embed_later(begun.served, begun.rows)
        return waiting, lambda found: self.encode(ticket.stamp(begun.finish(found[0])))


def _texts(message: Any) -> int:
    """Sentences that the text tower may have to read."""
    if hasattr(message, "classifier"):
        return len(message.classifier.prompts.prompts)
    return len(getattr(message, "texts", ()))


def _one(_message: Any) -> int:
    return 1


def _steered(message: Any) -> int:
    return 1 + len(message.steer_sets) + len(message.targets)


def _attributed(message: Any) -> int:
    walks = message.method_name == "integrated_gradients"
    return 1 + max(1, len(message.targets)) * (1 + (message.steps or 16 if walks else 0))


QUESTIONS = {
    question.name: question
    for question in (
        Question("predict", requests.predict_from_message, answers.predictions_to_message, _one),
        Question("steer", requests.steer_from_message, answers.steered_to_message, _steered),
        Question(
            "attribute",
            requests.attribute_from_message,
            answers.attributions_to_message,
            _attributed,
        ),
        Question("encode", requests.encode_from_message, answers.codes_to_message, _one),
        Question("embed", requests.embed_from_message, answers.embeddings_to_message, _one),
    )
}
