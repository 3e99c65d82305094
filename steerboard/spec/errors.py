"""The error tree. Each error carries its own gRPC status and a reason that a machine can read.

SteerboardError            UNKNOWN
├── InvalidRequest         INVALID_ARGUMENT
│   ├── BadImage           INVALID_ARGUMENT
│   ├── OverlappingEdits   INVALID_ARGUMENT
│   └── EmptyMask          INVALID_ARGUMENT
├── NotFound               NOT_FOUND
│   └── ImageNotCached     NOT_FOUND
├── DictionaryMisfit       FAILED_PRECONDITION
├── Overloaded             RESOURCE_EXHAUSTED
├── Unauthenticated        UNAUTHENTICATED
├── Forbidden              PERMISSION_DENIED
├── Unavailable            UNAVAILABLE
├── DeadlineExceeded       DEADLINE_EXCEEDED
├── Cancelled              CANCELLED
└── Internal               INTERNAL
"""

from collections.abc import Iterator, Mapping
from typing import ClassVar


class SteerboardError(Exception):
    """Anything that a caller can be told.

    Args:
        message: One sentence that a person understands and that names the remedy.
        field: Path of the offending field in the request, or empty.
        details: Further facts for machines, text to text.
        retry_after_s: Seconds to wait before trying again, or None where trying again is useless.
    """

    status: ClassVar[str] = "UNKNOWN"
    reason: ClassVar[str] = "UNKNOWN"

    def __init__(
        self,
        message: str,
        *,
        field: str = "",
        details: Mapping[str, str] | None = None,
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.field = field
        self.details = dict(details or {})
        self.retry_after_s = retry_after_s


class InvalidRequest(SteerboardError):
    """The request could never be answered as it stands."""

    status = "INVALID_ARGUMENT"
    reason = "INVALID_REQUEST"


class BadImage(InvalidRequest):
    """Bytes that do not decode to a picture within the limits."""

    reason = "BAD_IMAGE"


class OverlappingEdits(InvalidRequest):
    """Two edits of one steer set meet at the same site, unit and token."""

    reason = "OVERLAPPING_EDITS"


class EmptyMask(InvalidRequest):
    """An edit that could change nothing: no token under it, or none that is read later."""

    reason = "EMPTY_MASK"


class NotFound(SteerboardError):
    """A model, site, dictionary, feature or job that is not here."""

    status = "NOT_FOUND"
    reason = "NOT_FOUND"


class ImageNotCached(NotFound):
    """Digests whose bytes the server does not hold; ``details["digests"]`` lists them all."""

    reason = "IMAGE_NOT_CACHED"


class DictionaryMisfit(SteerboardError):
    """A dictionary that does not belong to its model; the message gives the numbers."""

    status = "FAILED_PRECONDITION"
    reason = "DICTIONARY_MISFIT"


class Overloaded(SteerboardError):
    """A bounded queue is full; ``retry_after_s`` says when to come back."""

    status = "RESOURCE_EXHAUSTED"
    reason = "OVERLOADED"


class Unauthenticated(SteerboardError):
    """No token, or one that does not verify."""

    status = "UNAUTHENTICATED"
    reason = "UNAUTHENTICATED"


class Forbidden(SteerboardError):
    """A valid token that does not allow this."""

    status = "PERMISSION_DENIED"
    reason = "FORBIDDEN"


class Unavailable(SteerboardError):
    """A part of the system is away; trying again later can help."""

    status = "UNAVAILABLE"
    reason = "UNAVAILABLE"


class DeadlineExceeded(SteerboardError):
    """The caller's time ran out."""

    status = "DEADLINE_EXCEEDED"
    reason = "DEADLINE_EXCEEDED"


class Cancelled(SteerboardError):
    """The caller took the question back."""

    status = "CANCELLED"
    reason = "CANCELLED"


class Internal(SteerboardError):
    """A fault of ours: one constant sentence to the caller, the traceback in the log."""

    status = "INTERNAL"
    reason = "INTERNAL"


def all_errors(root: type[SteerboardError] = SteerboardError) -> Iterator[type[SteerboardError]]:
    """The tree, parents before children."""
    yield root
    for child in root.__subclasses__():
        yield from all_errors(child)
