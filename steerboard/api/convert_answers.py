"""Answers <-> messages. Arrays keep shape and value; indices travel as 32-bit numbers."""

from collections.abc import Callable, Iterable
from dataclasses import fields
from functools import lru_cache
from typing import Any, TypeVar

from steerboard.api.convert_enums import Unsaid, enum_value, enum_word, optional
from steerboard.api.convert_tensors import (
    array_to_message,
    floats_from_message,
    indices_to_message,
    ints_from_message,
)
from steerboard.api.status import error_to_status, status_to_error
from steerboard.spec.answers import (
    Answer,
    Attribution,
    Code,
    Embedding,
    Prediction,
    Provenance,
    ResolvedTarget,
    Steered,
    Timing,
)
from steerboard.spec.errors import Internal, SteerboardError
from steerboard.v1 import steering_pb2 as pb
from steerboard.v1 import types_pb2

T = TypeVar("T")
R = TypeVar("R")


def _to_response(
    answer: Answer[T],
    response: Callable[..., R],
    item: Callable[..., object],
    convert: Callable[[T], object],
) -> R:
    """A response whose items hold each result or its error."""
    items = [
        item(error=error_to_status(found))
        if isinstance(found, SteerboardError)
        else item(result=convert(found))
        for found in answer.items
    ]
    provenance = types_pb2.Provenance(**vars(answer.provenance))
    return response(
        items=items, provenance=provenance, timing=types_pb2.Timing(**vars(answer.timing))
    )


def _from_response(response: Any, convert: Callable[[Any], T]) -> Answer[T]:
    return Answer(
        items=tuple(_outcomes(response.items, convert)),
        provenance=Provenance(**_fields(response.provenance)),
        timing=Timing(**_fields(response.timing)),
    )


def _outcomes(items: Iterable[Any], convert: Callable[[Any], T]) -> Iterable[T | SteerboardError]:
    for item in items:
        match item.WhichOneof("outcome"):
            case "result":
                yield convert(item.result)
            case "error":
                yield status_to_error(item.error)
            case _:
                yield Internal("the server sent an item with neither result nor error: update it")


def _fields(message: Any) -> dict[str, Any]:
    return {field.name: getattr(message, field.name) for field in message.DESCRIPTOR.fields}


def _prediction_to_message(prediction: Prediction) -> pb.Prediction:
    logits, probabilities = (
        array_to_message(a) for a in (prediction.logits, prediction.probabilities)
    )
    return pb.Prediction(logits=logits, probabilities=probabilities)


def _prediction_from_message(message: pb.Prediction) -> Prediction:
    return Prediction(
        floats_from_message(message.logits), floats_from_message(message.probabilities)
    )


def predictions_to_message(answer: Answer[Prediction]) -> pb.PredictResponse:
    """As a message."""
    return _to_response(answer, pb.PredictResponse, pb.PredictItem, _prediction_to_message)


def predictions_from_message(message: pb.PredictResponse) -> Answer[Prediction]:
    """As an answer."""
    return _from_response(message, _prediction_from_message)


def _target_to_message(target: ResolvedTarget) -> pb.ResolvedTarget:
    kind = enum_value(pb.TargetKind, "TARGET_KIND", target.kind)
    return pb.ResolvedTarget(index=target.index, against=target.against, kind=kind)


def _target_from_message(message: pb.ResolvedTarget) -> ResolvedTarget:
    return _resolved(message.index, optional(message, "against"), message.kind)


@lru_cache(maxsize=4096)  # a set's pictures have few targets among them
def _resolved(index: int, against: int | None, number: int) -> ResolvedTarget:
    kind: Any = enum_word(pb.TargetKind, "TARGET_KIND", number)
    return ResolvedTarget(index, against, "logit" if isinstance(kind, Unsaid) else kind)


def _steered_to_message(steered: Steered) -> pb.Steered:
    return pb.Steered(
        clean=_prediction_to_message(steered.clean),
        steered=[_prediction_to_message(prediction) for prediction in steered.steered],
        targets=[_target_to_message(target) for target in steered.targets],
        predicted=array_to_message(steered.predicted),
        measured=array_to_message(steered.measured),
    )


def _steered_from_message(message: pb.Steered) -> Steered:
    return Steered(
        clean=_prediction_from_message(message.clean),
        steered=tuple(_prediction_from_message(prediction) for prediction in message.steered),
        targets=tuple(_target_from_message(target) for target in message.targets),
        predicted=floats_from_message(message.predicted),
        measured=floats_from_message(message.measured),
    )


def steered_to_message(answer: Answer[Steered]) -> pb.SteerResponse:
    """As a message."""
    return _to_response(answer, pb.SteerResponse, pb.SteerItem, _steered_to_message)


def steered_from_message(message: pb.SteerResponse) -> Answer[Steered]:
    """As an answer."""
    return _from_response(message, _steered_from_message)


_SCALARS = ("value", "rest", "error", "bias", "total")
_ARRAYS = ("scores", "activations", "peaks", "prefix_scores", "maps")


def _attribution_to_message(found: Attribution) -> pb.Attribution:
    scalars: dict[str, Any] = {name: getattr(found, name) for name in _SCALARS}
    arrays: dict[str, Any] = {name: array_to_message(getattr(found, name)) for name in _ARRAYS}
    return pb.Attribution(
        target=_target_to_message(found.target),
        features=indices_to_message(found.features),
        baseline=found.baseline,
        **scalars,
        **arrays,
    )


_READ: dict[str, Callable[[Any], Any]] = {
    "target": _target_from_message,
    "features": ints_from_message,
    **dict.fromkeys(_ARRAYS, floats_from_message),
}


class _Received(Attribution):
    """An attribution whose fields are read from its message when they are asked for.

    A set has one for each of its pictures, and needs few of their fields; who reads them is not
    who waits for the next answer.
    """

    def __getattr__(self, name: str) -> Any:
        message = self.__dict__.get("_message")
        if message is None or name not in Attribution.__dataclass_fields__:
            raise AttributeError(f"an attribution has no {name!r}")
        value = getattr(message, name)
        found = self.__dict__[name] = _READ[name](value) if name in _READ else value
        return found

    def __reduce__(self) -> Any:
        return Attribution, tuple(getattr(self, one.name) for one in fields(Attribution))


def _attribution_from_message(message: pb.Attribution) -> Attribution:
    found = object.__new__(_Received)
    found.__dict__.update(_message=message, baseline=optional(message, "baseline"))
    return found


def _attributions_to_message(found: tuple[Attribution, ...]) -> pb.Attributions:
    return pb.Attributions(targets=[_attribution_to_message(one) for one in found])


def _attributions_from_message(message: pb.Attributions) -> tuple[Attribution, ...]:
    return tuple(_attribution_from_message(one) for one in message.targets)


def attributions_to_message(answer: Answer[tuple[Attribution, ...]]) -> pb.AttributeResponse:
    """As a message."""
    return _to_response(answer, pb.AttributeResponse, pb.AttributeItem, _attributions_to_message)


def attributions_from_message(message: pb.AttributeResponse) -> Answer[tuple[Attribution, ...]]:
    """As an answer."""
    return _from_response(message, _attributions_from_message)


def _code_to_message(code: Code) -> pb.Code:
    tokens, features = code.shape
    return pb.Code(
        token_count=tokens,
        feature_count=features,
        tokens=indices_to_message(code.tokens),
        features=indices_to_message(code.features),
        values=array_to_message(code.values),
        embedding=None
        if code.embedding is None
        else pb.Embedding(values=array_to_message(code.embedding)),
    )


def _code_from_message(message: pb.Code) -> Code:
    return Code(
        shape=(message.token_count, message.feature_count),
        tokens=ints_from_message(message.tokens),
        features=ints_from_message(message.features),
        values=floats_from_message(message.values),
        embedding=floats_from_message(message.embedding.values)
        if message.HasField("embedding")
        else None,
    )


def codes_to_message(answer: Answer[Code]) -> pb.EncodeResponse:
    """As a message."""
    return _to_response(answer, pb.EncodeResponse, pb.EncodeItem, _code_to_message)


def codes_from_message(message: pb.EncodeResponse) -> Answer[Code]:
    """As an answer."""
    return _from_response(message, _code_from_message)


def _embedding_to_message(embedding: Embedding) -> pb.Embedding:
    return pb.Embedding(values=array_to_message(embedding.values))


def _embedding_from_message(message: pb.Embedding) -> Embedding:
    return Embedding(floats_from_message(message.values))


def embeddings_to_message(answer: Answer[Embedding]) -> pb.EmbedResponse:
    """As a message."""
    return _to_response(answer, pb.EmbedResponse, pb.EmbedItem, _embedding_to_message)


def embeddings_from_message(message: pb.EmbedResponse) -> Answer[Embedding]:
    """As an answer."""
    return _from_response(message, _embedding_from_message)
