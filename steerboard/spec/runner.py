"""Whoever answers questions about models: in this process, or over gRPC."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Protocol, runtime_checkable

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

Question = Predict | Steer | Attribute | Encode | Embed


@runtime_checkable
class Runner(Protocol):
    """Calls are pure, thread-safe and may be repeated.

    A whole call raises a ``SteerboardError`` where nothing in it can be answered (an unknown
    model, overlapping edits, a queue that is full); what is wrong with one image alone stands in
    that image's place in the answer.
    """

    def models(self) -> tuple[ModelInfo, ...]:
        """All models."""

    def model(self, name: str) -> ModelInfo:
        """One model; raises NotFound."""

    def predict(self, request: Predict) -> Answer[Prediction]:
        """Logits and probabilities of each image."""

    def steer(self, request: Steer) -> Answer[Steered]:
        """The clean answer and one for each steer set, of each image."""

    def attribute(self, request: Attribute) -> Answer[tuple[Attribution, ...]]:
        """For each image one attribution a target."""

    def encode(self, request: Encode) -> Answer[Code]:
        """The sparse code of each image."""

    def embed(self, request: Embed) -> Answer[Embedding]:
        """The embedding of each image or text."""

    def stream(
        self, questions: Iterable[Question]
    ) -> Iterator[tuple[int, Answer[Any] | SteerboardError]]:
        """Number (from 0) and answer of each question, as they are done: the way for whole sets.

        A question that fails as a whole gives its error; closing the iterator takes the rest back.
        """

    def close(self) -> None:
        """Give back connections and threads; the runner is of no use afterwards."""


@runtime_checkable
class Near(Protocol):
    """A Runner that also tells which features of a dictionary lie near others."""

    def nearest(
        self, model: str, dictionary: str, features: Sequence[int], count: int = 8
    ) -> Neighbours:
        """Those with the largest cosine of decoder rows; at most 1024 features, 64 of each.

        Raises:
            NotFound: No such model or dictionary.
            InvalidRequest: Too many, or no features of the dictionary.
        """
