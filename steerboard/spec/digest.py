"""Content addresses: SHA-256 over canonical JSON, or over encoded image bytes."""

import hashlib
import json

from pydantic import BaseModel

# Raised when the meaning of a spec or the arithmetic behind an answer changes.
SCHEMA = 1


def canonical_json(value: object) -> bytes:
    """Keys sorted, no spaces, no NaN: the same value always gives the same bytes."""
    if isinstance(value, BaseModel):
        value = value.model_dump(mode="json")
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()


def digest(*parts: object) -> str:
    """Hex SHA-256 of the schema number and of all parts in canonical JSON."""
    dumped = [p.model_dump(mode="json") if isinstance(p, BaseModel) else p for p in parts]
    return hashlib.sha256(canonical_json([SCHEMA, *dumped])).hexdigest()


def image_digest(data: bytes) -> str:
    """Hex SHA-256 of the encoded bytes of a picture."""
    return hashlib.sha256(data).hexdigest()
