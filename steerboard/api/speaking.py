"""In whose name a call is made, by a program that serves many people over one connection.

The server lets the people of one page take turns as callers of their own where the page's token
allows it to speak for others (``Identity.speaks``); elsewhere the name is not heard.
"""

from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import ContextVar, copy_context
from typing import Any, TypeVar
from urllib.parse import quote, unquote

from steerboard.spec.errors import InvalidRequest

T = TypeVar("T")
HEADER = "steerboard-for"
MOST = 128
_NAME: ContextVar[str] = ContextVar("speaking_for", default="")


def speak_for(name: str) -> None:
    """From now on calls of this thread, and of what it hands to ``CarryingPool``s, are for them."""
    _NAME.set(name)


def spoken() -> tuple[tuple[str, str], ...]:
    """The metadata that says so; empty where nobody is named."""
    name = _NAME.get()
    return ((HEADER, quote(name, safe="")),) if name else ()


def heard(metadata: Mapping[str, str]) -> str:
    """The name that a call's metadata gives, or nothing.

    Raises:
        InvalidRequest: It is longer than ``MOST`` characters.
    """
    name = unquote(metadata.get(HEADER, ""))
    if len(name) > MOST:
        raise InvalidRequest(f"the name in {HEADER} is longer than {MOST} characters")
    return name


class CarryingPool(ThreadPoolExecutor):
    """Threads that speak for whom the thread spoke that handed them their work."""

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> "Future[T]":
        """See ``Executor``."""
        return super().submit(copy_context().run, fn, *args, **kwargs)
