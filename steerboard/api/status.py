"""Errors as statuses and back: the one place that translates.

Every error travels as ``google.rpc.Status`` with an ErrorInfo (reason, domain, details), beside it
BadRequest where a field is named, RetryInfo where trying again helps, ResourceInfo where a thing is
not here. ``status_to_error`` is the inverse of ``error_to_status``.
"""

import logging
from collections.abc import Mapping, Sequence

from google.protobuf.duration_pb2 import Duration
from google.rpc import code_pb2, error_details_pb2, status_pb2
from pydantic import ValidationError
from pydantic_core import ErrorDetails

from steerboard.spec.errors import (
    Internal,
    InvalidRequest,
    NotFound,
    SteerboardError,
    all_errors,
)

DOMAIN = "steerboard"
FAULT = "Something went wrong on the server; it is written in its log. Trying again may help."
_LOG = logging.getLogger(__name__)
_BY_REASON = {kind.reason: kind for kind in all_errors()}
_UNIONS = frozenset({"op", "unit", "classifier", "target", "targets", "images", "image", "job"})
_EDIT_TAGS = frozenset({"feature", "neuron", "head", "direction", "scale", "set", "add", "remove"})
_IMAGE_TAGS = frozenset({"encoded", "digest", "pixels"})
_CLASS_TAGS = frozenset({"prompts", "probe", "logit", "margin"})
_TAGS = _EDIT_TAGS | _IMAGE_TAGS | _CLASS_TAGS | {"attribute", "attribute_set"}
_SENTENCES = {
    "missing": "is missing",
    "finite_number": "is not a finite number",
    "union_tag_not_found": "does not say which kind it is",
    "union_tag_invalid": "is of a kind that is not known here",
    "extra_forbidden": "is not known here",
}


def error_to_status(error: SteerboardError) -> status_pb2.Status:
    """The status that carries all of ``error``."""
    status = status_pb2.Status(code=code_pb2.Code.Value(error.status), message=error.message)
    for detail in _details(error):
        status.details.add().Pack(detail)
    return status


def _details(error: SteerboardError) -> list[object]:
    found: list[object] = [
        error_details_pb2.ErrorInfo(reason=error.reason, domain=DOMAIN, metadata=error.details)
    ]
    if error.field:
        violation = error_details_pb2.BadRequest.FieldViolation(
            field=error.field, description=error.message
        )
        found.append(error_details_pb2.BadRequest(field_violations=[violation]))
    if error.retry_after_s is not None:
        delay = Duration()
        delay.FromNanoseconds(round(error.retry_after_s * 1e9))
        found.append(error_details_pb2.RetryInfo(retry_delay=delay))
    if isinstance(error, NotFound):
        name = error.details.get("name", error.field)
        found.append(error_details_pb2.ResourceInfo(resource_name=name, description=error.message))
    return found


def status_to_error(status: status_pb2.Status) -> SteerboardError:
    """The error that ``status`` carries; one without details is told by its code alone."""
    info, bad, retry = (
        error_details_pb2.ErrorInfo(),
        error_details_pb2.BadRequest(),
        error_details_pb2.RetryInfo(),
    )
    held = {
        type(m): detail.Unpack(m)
        for detail in status.details
        for m in (info, bad, retry)
        if detail.Is(m.DESCRIPTOR)
    }
    return error_class(status.code, info.reason if info.domain == DOMAIN else "")(
        status.message,
        field=bad.field_violations[0].field if bad.field_violations else "",
        details=dict(info.metadata),
        retry_after_s=retry.retry_delay.ToNanoseconds() / 1e9 if held.get(type(retry)) else None,
    )


def error_class(code: int, reason: str = "") -> type[SteerboardError]:
    """The class for a reason, or else the most general one with this gRPC status."""
    if reason in _BY_REASON:
        return _BY_REASON[reason]
    name = code_pb2.Code.Name(code) if code in code_pb2.Code.values() else "UNKNOWN"
    return next((kind for kind in all_errors() if kind.status == name), SteerboardError)


def from_validation(error: ValidationError) -> InvalidRequest:
    """What pydantic found, as a sentence about the first field and a count of the others."""
    told = error.errors(include_url=False, include_context=False)
    found = [one for one in told if not _follows(one, told)]
    first = found[0]
    path = field_path(first["loc"])
    more = f" ({len(found) - 1} more fields are wrong too)" if len(found) > 1 else ""
    return InvalidRequest(f"{_sentence(first, path)}{more}", field=path)


def _sentence(one: ErrorDetails, path: str) -> str:
    """What is wrong with a field; of what no single field is to blame for, the rule alone."""
    text = _SENTENCES.get(one["type"])
    if text is not None:
        return f"{path or 'the question'} {text}"
    said = one["msg"].removeprefix("Value error, ")
    return f"{path} does not do: {said}" if path else said


def _follows(one: ErrorDetails, told: Sequence[ErrorDetails]) -> bool:
    """Whether a list is only too short because pydantic leaves out its faulty items."""
    depth = len(one["loc"])
    return one["type"] == "too_short" and any(
        len(other["loc"]) > depth and other["loc"][:depth] == one["loc"] for other in told
    )


def field_path(location: Sequence[int | str]) -> str:
    """``steer_sets[0].edits[1].op.m``: pydantic's location without the tags of its unions."""
    path = field = ""
    for part in location:
        if isinstance(part, int):
            path += f"[{part}]"
            continue
        if not (part in _TAGS and field in _UNIONS):
            path += f".{part}"
        field = part
    return path.removeprefix(".")


def translate(error: BaseException, context: Mapping[str, str] | None = None) -> SteerboardError:
    """Any exception as an error for the caller; an unknown one is logged in full."""
    if isinstance(error, SteerboardError):
        return error
    if isinstance(error, ValidationError):
        return from_validation(error)
    _LOG.error("fault in a call %s", dict(context or {}), exc_info=error)
    return Internal(FAULT)
