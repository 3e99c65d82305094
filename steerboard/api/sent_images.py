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


class SentImages:
    """Remembers which pictures the server was sent; bounded, thread-safe."""

    def __init__(self, capacity: int = 65_536) -> None:
        self._capacity = capacity
        self._known: OrderedDict[str, None] = OrderedDict()
        self._lock = threading.Lock()

    def ask(self, ask: Callable[[Q], Answer[T]], request: Q) -> Answer[T]:
        """Ask with digests for known pictures; where some are gone, once more with all bytes."""
        short, known = self.shortened(request)
        answer = self._attempt(ask, short, known)
        if answer is None:
            answer = ask(request)
        self.remember(request, answer)
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
        held = {image.sha256 for image in request.images if isinstance(image, Encoded)}
        with self._lock:
            known = held & self._known.keys()

        def short(image: ImageRef) -> ImageRef:
            if isinstance(image, Encoded) and image.sha256 in known:
                return Digest(sha256=image.sha256)
            return image

        images = tuple(short(image) for image in request.images)
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
        with self._lock:
            for image, item in zip(request.images, answer.items, strict=False):
                if isinstance(image, Encoded) and not isinstance(item, SteerboardError):
                    self._known[image.sha256] = None
                    self._known.move_to_end(image.sha256)
            while len(self._known) > self._capacity:
                self._known.popitem(last=False)


def _missing(items: Iterable[Any]) -> set[str]:
    """All digests that errors among ``items`` name as not cached."""
    errors = [item for item in items if isinstance(item, ImageNotCached)]
    return {digest for error in errors for digest in missing_digests(error)}


def missing_digests(error: ImageNotCached) -> list[str]:
    """The digests that the error lists."""
    return error.details.get("digests", "").replace(",", " ").split()
