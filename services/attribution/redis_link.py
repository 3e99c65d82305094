"""Connections to Redis, and what becomes of its errors."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from steerboard.spec.errors import Overloaded, Unavailable

ANSWER_S, CONNECT_S = 3.0, 1.0


def open_redis(url: str, text: bool = True) -> Any:
    """A client with short timeouts. A connection that a restart broke is made anew, once."""
    return redis.Redis.from_url(
        url,
        socket_timeout=ANSWER_S,
        socket_connect_timeout=CONNECT_S,
        retry=Retry(NoBackoff(), 1),
        decode_responses=text,
    )


@contextmanager
def speaking(what: str = "the queue (Redis)") -> Iterator[None]:
    """A Redis that is away becomes Unavailable, one that is full Overloaded."""
    try:
        yield
    except redis.OutOfMemoryError as error:
        raise Overloaded(f"{what} is full: try again later", retry_after_s=30.0) from error
    except (redis.ConnectionError, redis.TimeoutError) as error:
        raise Unavailable(
            f"{what} does not answer: try again in a few seconds", retry_after_s=2.0
        ) from error
