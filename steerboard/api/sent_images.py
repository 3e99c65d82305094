"""Which pictures a server has seen: a picture travels once, after that its digest is sent."""

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable
from typing import Any, TypeVar, cast

from steerboard.spec.answers import Answer
from steerboard.spec.errors import ImageNotCached, SteerboardError
from steerboard.spec.requests import (
    Attribute,
    Digest,
    Embed,
    Encode,
    Encoded,
    ImageRef,
    Predict,
    Steer,
)

T = TypeVar("T")
Question = Predict | Steer | Attribute | Encode | Embed
Q = TypeVar("Q", bound=Question)
Digests = tuple[str | None, ...]


class SentImages:
    """Remembers which pictures the server was sent; bounded, thread-safe."""

    def __init__(self, capacity: int = 65_536) -> None:
        self._capacity = capacity
        self._known: OrderedDict[str, None] = OrderedDict()
        self._lock = threading.Lock()

    def ask(self, ask: Callable[[Q], Answer[T]], request: Q) -> Answer[T]:
        """Ask with digests for known pictures; where some are gone, once more with all bytes."""
        digests = _digests(request)
        short, known = self._shortened(request, digests)
        answer = self._attempt(ask, short, known)
        if answer is None:
            answer = ask(request)
        self._remember(digests, answer)
        return answer

    def _attempt(
        self, ask: Callable[[Q], Answer[T]], request: Q, known: set[str]
    ) -> Answer[T] | None:
        """The answer, or None where one of the ``known`` pictures is no longer there."""
        try:
            answer = ask(request)
        except ImageNotCached as error:
            if not self.lacked(known, error):
                raise
            return None
        return None if self.lacked(known, answer) else answer

    def shortened(self, request: Q) -> tuple[Q, set[str]]:
        """The request with digests in place of pictures that were sent before, and these."""
        return self._shortened(request, _digests(request))

    def _shortened(self, request: Q, digests: Digests) -> tuple[Q, set[str]]:
        with self._lock:
            known = {digest for digest in digests if digest is not None and digest in self._known}
        images: tuple[ImageRef, ...] = tuple(
            image if digest is None or digest not in known else Digest(sha256=digest)
            for image, digest in zip(request.images, digests, strict=True)
        )
        return cast(Q, request.model_copy(update={"images": images})), known

    def lacked(self, known: set[str], outcome: Answer[Any] | SteerboardError) -> bool:
        """Whether some of ``known`` are no longer there; then all of them are forgotten."""
        items = outcome.items if isinstance(outcome, Answer) else (outcome,)
        if not known & _missing(items):
            return False
        with self._lock:
            for digest in known:
                self._known.pop(digest, None)
        return True

    def remember(self, request: Question, answer: Answer[Any]) -> None:
        """The encoded pictures that were answered without an error are there now."""
        self._remember(_digests(request), answer)

    def _remember(self, digests: Digests, answer: Answer[Any]) -> None:
        with self._lock:
            for digest, item in zip(digests, answer.items, strict=False):
                if digest is not None and not isinstance(item, SteerboardError):
                    self._known[digest] = None
                    self._known.move_to_end(digest)
            while len(self._known) > self._capacity:
                self._known.popitem(last=False)


def _digests(request: Question) -> Digests:
    """Of each image its digest, once (of a photograph it takes milliseconds), or None.

    Those that are sent as digests already are the caller's to know.
    """
    return tuple(image.sha256 if isinstance(image, Encoded) else None for image in request.images)


def _missing(items: Iterable[Any]) -> set[str]:
    """All digests that errors among ``items`` name as not cached."""
    errors = [item for item in items if isinstance(item, ImageNotCached)]
    return {digest for error in errors for digest in missing_digests(error)}


def missing_digests(error: ImageNotCached) -> list[str]:
    """The digests that the error lists."""
    return error.details.get("digests", "").replace(",", " ").split()
