"""The Runner over several servers: each picture is asked about where what was computed of it lies.

A picture's digest decides who owns it (``steerboard.api.fleet``), so that a slider that moves finds
its prefix there. Where the owner is away the next one answers: a slower move, and the same answer.

A question over pictures of several owners is parted, however small, and its answers are joined in
order. Measured with Emojiland on two replicas that share two cores: four cached pictures take 14 ms
in parts and 11 ms whole; but each picture that is asked of another than its owner costs a whole
forward there, 8 ms in that small model and more than 100 ms in a ViT-B/16.

A replica whose queue is full is not passed by: digests are spread evenly, so the others are as
full, and to go on would only multiply what one caller may have in hand.
"""

import itertools
import re
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from hashlib import sha256
from typing import Any, TypeVar, cast

from steerboard.api.fleet import Fleet, Replica
from steerboard.api.sent_images import Q, Question, missing_digests
from steerboard.api.shared_stream import SharedStream
from steerboard.api.speaking import CarryingPool
from steerboard.spec.answers import (
    Answer,
    Attribution,
    Code,
    Embedding,
    Neighbours,
    Prediction,
    Steered,
    Timing,
)
from steerboard.spec.capabilities import ModelInfo
from steerboard.spec.errors import ImageNotCached, SteerboardError, Unavailable
from steerboard.spec.requests import Attribute, Embed, Encode, ImageRef, Pixels, Predict, Steer
from steerboard.spec.runner import Near, Runner

T = TypeVar("T")
# Seconds before each round over all replicas.
ROUNDS_S = (0.0, 0.1, 0.3, 0.6, 1.0)
PARTS = 32


class ReplicatedRunner:
    """Satisfies ``steerboard.spec.runner.Runner``; indistinguishable from that of one server."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet
        self._turns = itertools.count()
        self._pool = CarryingPool(PARTS, "part")

    def models(self) -> tuple[ModelInfo, ...]:
        """All models, as one of the servers tells them."""
        return self._first(self._turn(), lambda runner: runner.models())

    def model(self, name: str) -> ModelInfo:
        """One model; raises NotFound."""
        return self._first(self._turn(), lambda runner: runner.model(name))

    def predict(self, request: Predict) -> Answer[Prediction]:
        """Logits and probabilities of each image."""
        return self._ask(request, lambda runner, part: runner.predict(part))

    def steer(self, request: Steer) -> Answer[Steered]:
        """The clean answer and one for each steer set, of each image."""
        return self._ask(request, lambda runner, part: runner.steer(part))

    def attribute(self, request: Attribute) -> Answer[tuple[Attribution, ...]]:
        """For each image one attribution a target."""
        return self._ask(request, lambda runner, part: runner.attribute(part))

    def encode(self, request: Encode) -> Answer[Code]:
        """The sparse code of each image."""
        return self._ask(request, lambda runner, part: runner.encode(part))

    def embed(self, request: Embed) -> Answer[Embedding]:
        """The embedding of each image or text."""
        return self._ask(request, lambda runner, part: runner.embed(part))

    def nearest(
        self, model: str, dictionary: str, features: Sequence[int], count: int = 8
    ) -> Neighbours:
        """The features whose decoder rows point most nearly the same way; see ``Near``."""

        def ask(runner: Runner) -> Neighbours:
            assert isinstance(runner, Near)
            return runner.nearest(model, dictionary, features, count)

        return self._first(self._turn(), ask)

    def stream(
        self, questions: Iterable[Question]
    ) -> Iterator[tuple[int, Answer[Any] | SteerboardError]]:
        """One stream to each server; a question goes whole to whoever owns its first picture."""
        yield from SharedStream(self._fleet, questions, self._key_of).answers()

    def close(self) -> None:
        """Give all connections back."""
        self._pool.shutdown()
        self._fleet.close()

    def _turn(self) -> str:
        return str(next(self._turns))

    def _key_of(self, question: Question) -> str:
        return key(question.images[0]) if question.images else self._turn()

    def _ask(self, request: Q, ask: Callable[[Runner, Q], Answer[T]]) -> Answer[T]:
        """The answer of the owner, or those of all owners joined."""
        shares = self._shares(request.images)
        if len(shares) < 2:
            return self._first(self._key_of(request), lambda runner: ask(runner, request))

        def part(where: Sequence[int]) -> Answer[T]:
            own = _part(request, where)
            return self._first(self._key_of(own), lambda runner: ask(runner, own))

        futures = [self._pool.submit(part, where) for where in shares]
        answers = _all([future.exception() or future.result() for future in futures])
        if len({answer.provenance for answer in answers}) > 1:
            # Two versions are up, as while servers are replaced: one answer has one provenance.
            return self._first(self._key_of(request), lambda runner: ask(runner, request))
        return joined(answers, shares)

    def _shares(self, images: Sequence[ImageRef]) -> list[list[int]]:
        """Which images go together, by who owns them."""
        found: dict[Replica | None, list[int]] = {}
        for i, image in enumerate(images if len(images) > 1 else ()):
            found.setdefault(next(iter(self._fleet.order(key(image))), None), []).append(i)
        return list(found.values())

    def _first(self, key: str, ask: Callable[[Runner], T]) -> T:
        """What the first of them says that can be reached; a lost digest is asked of all."""
        last = Unavailable("no server is named at this address now", retry_after_s=2.0)
        for pause in ROUNDS_S:
            if pause:
                time.sleep(pause)
            lost: list[ImageNotCached] = []
            for replica in self._fleet.order(key):
                try:
                    return ask(replica.runner)
                except Unavailable as error:
                    last = error
                except ImageNotCached as error:
                    lost.append(error)
            if lost:
                raise lost[0]
        raise self._fleet.fault or last


def key(image: ImageRef) -> str:
    """What decides who owns a picture."""
    if isinstance(image, Pixels):  # A sample will do: it is no name, it only chooses a server.
        return sha256(image.tensor.data[::61]).hexdigest()
    return image.sha256


def _part(request: Q, where: Sequence[int]) -> Q:
    images = tuple(request.images[i] for i in where)
    return cast(Q, request.model_copy(update={"images": images}))


def _all(outcomes: Sequence[Answer[T] | BaseException]) -> list[Answer[T]]:
    """The answers; raises what went wrong, with all digests that are lost in one error."""
    faults = [outcome for outcome in outcomes if isinstance(outcome, BaseException)]
    lost = [fault for fault in faults if isinstance(fault, ImageNotCached)]
    if faults and len(lost) == len(faults):
        digests = [digest for fault in lost for digest in missing_digests(fault)]
        raise ImageNotCached(
            f"{len(digests)} pictures are not held here: send their bytes",
            field=lost[0].field,
            details=lost[0].details | {"digests": ",".join(digests)},
        )
    for fault in faults:
        if not isinstance(fault, ImageNotCached):
            raise fault
    return [outcome for outcome in outcomes if isinstance(outcome, Answer)]


def joined(answers: Sequence[Answer[T]], shares: Sequence[Sequence[int]]) -> Answer[T]:
    """One answer in the order that was asked; parts ran side by side, so times are the longest."""
    items: dict[int, T | SteerboardError] = {}
    for answer, where in zip(answers, shares, strict=True):
        for j, (i, item) in enumerate(zip(where, answer.items, strict=True)):
            items[i] = _renamed(item, j, i) if isinstance(item, SteerboardError) else item
    told = [answer.timing for answer in answers]
    timing = Timing(
        queued_ms=max(t.queued_ms for t in told),
        computed_ms=max(t.computed_ms for t in told),
        prefix_hits=sum(t.prefix_hits for t in told),
        batch_rows=max(t.batch_rows for t in told),
    )
    return Answer(tuple(items[i] for i in range(len(items))), answers[0].provenance, timing)


def _renamed(error: SteerboardError, j: int, i: int) -> SteerboardError:
    """What was said of a part's ``j``-th picture, said of the ``i``-th of all."""
    error.field = error.field.replace(f"images[{j}]", f"images[{i}]")
    error.message = re.sub(rf"\bpicture {j + 1}\b", f"picture {i + 1}", error.message, count=1)
    error.args = (error.message,)
    return error
