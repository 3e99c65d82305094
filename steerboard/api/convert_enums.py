"""Words of the specs as enums of the wire: ``"float32"`` is ``DTYPE_FLOAT32``."""

from functools import lru_cache
from typing import Any


class Unsaid(str):
    """The word of an enum that nobody set; a text that somebody wrote never is one."""


def enum_value(enum: Any, prefix: str, word: str) -> Any:
    """The enum value for ``word``."""
    return enum.Value(f"{prefix}_{word.upper()}")


@lru_cache(maxsize=1024)  # an answer asks hundreds of times for the same few
def enum_word(enum: Any, prefix: str, value: int) -> str:
    """The word for an enum value; one from a newer peer gives a word that no spec accepts."""
    if value not in enum.values():
        return f"number {value}"
    word = str(enum.Name(value)).removeprefix(f"{prefix}_").lower()
    return word if value else Unsaid(word)


def said(**fields: object) -> dict[str, Any]:
    """The fields that were said: None and an unspecified enum fall to the spec's default."""
    return {
        name: value
        for name, value in fields.items()
        if value is not None and not isinstance(value, Unsaid)
    }


def optional(message: Any, field: str) -> Any:
    """The value of an optional field, or None where it is absent."""
    return getattr(message, field) if message.HasField(field) else None
