"""The error of a job as it stands in its record."""

import json

from steerboard.api.status import error_class
from steerboard.spec.errors import SteerboardError


def error_to_json(error: SteerboardError) -> str:
    """All that a caller is told."""
    return json.dumps(
        {
            "reason": error.reason,
            "message": error.message,
            "field": error.field,
            "details": error.details,
            "retry_after_s": error.retry_after_s,
        }
    )


def error_from_json(text: str) -> SteerboardError:
    """The inverse."""
    record = json.loads(text)
    kind = error_class(0, record.pop("reason"))
    return kind(record.pop("message"), **record)
