"""A runner that lets people go first: its questions travel in the lane of batch work."""

from typing import Any

from steerboard.spec.answers import Answer, Attribution, Code, Embedding, Prediction, Steered
from steerboard.spec.capabilities import ModelInfo
from steerboard.spec.errors import SteerboardError
from steerboard.spec.requests import Attribute, Embed, Encode, Predict, Steer
from steerboard.spec.runner import Question, Runner


class Patient:
    """The same answers over ``RunStream``, so that a slider moved meanwhile is answered first.

    Args:
        runner: Who answers.
    """

    def __init__(self, runner: Runner) -> None:
        self._runner = runner
        self.stream = runner.stream

    def models(self) -> tuple[ModelInfo, ...]:
        """See ``Runner``."""
        return self._runner.models()

    def model(self, name: str) -> ModelInfo:
        """See ``Runner``."""
        return self._runner.model(name)

    def predict(self, request: Predict) -> Answer[Prediction]:
        """See ``Runner``."""
        return self._ask(request)

    def steer(self, request: Steer) -> Answer[Steered]:
        """See ``Runner``."""
        return self._ask(request)

    def attribute(self, request: Attribute) -> Answer[tuple[Attribution, ...]]:
        """See ``Runner``."""
        return self._ask(request)

    def encode(self, request: Encode) -> Answer[Code]:
        """See ``Runner``."""
        return self._ask(request)

    def embed(self, request: Embed) -> Answer[Embedding]:
        """See ``Runner``."""
        return self._ask(request)

    def close(self) -> None:
        """Nothing of its own: the runner stays open for others."""

    def _ask(self, question: Question) -> Answer[Any]:
        ((_, found),) = list(self._runner.stream([question]))
        if isinstance(found, SteerboardError):
            raise found
        return found
