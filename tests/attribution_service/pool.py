"""A worker's hands in this process, over a runner that counts its calls."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from services.attribution.desk import Desk
from services.attribution.hands import Hands
from steerboard.api.tokens import Identity
from steerboard.inprocess.runner import LocalRunner
from steerboard.spec.digest import image_digest
from steerboard.spec.errors import ImageNotCached, SteerboardError
from steerboard.spec.jobs import AttributeSetJob
from steerboard.spec.requests import Attribute, Digest, Prompts, Steer

PROMPTS = Prompts(prompts=("cat", "dog", "horse", "boat"))
ANN = Identity(subject="ann")


@dataclass
class Counting:
    """A runner that counts its calls, and fails as a test wishes."""

    inner: LocalRunner
    calls: int = 0
    pictures: int = 0
    fail: Callable[[int], SteerboardError | None] = lambda call: None
    asked: list[Any] = field(default_factory=list)

    def model(self, name: str) -> Any:
        return self.inner.model(name)

    def attribute(self, request: Attribute) -> Any:
        return self._counted(self.inner.attribute, request)

    def steer(self, request: Steer) -> Any:
        return self._counted(self.inner.steer, request)

    def _counted(self, ask: Callable[[Any], Any], request: Any) -> Any:
        """A question by digests that the runner does not know counts for nothing."""
        self.calls += 1
        error = self.fail(self.calls)
        if error is not None:
            raise error
        try:
            found = ask(request)
        except ImageNotCached:
            self.calls -= 1
            raise
        self.pictures += len(request.images)
        self.asked.append(request)
        return found


def a_set(images: list[bytes]) -> AttributeSetJob:
    digests = tuple(Digest(sha256=image_digest(data)) for data in images)
    return AttributeSetJob(
        model="tiny", images=digests, classifier=PROMPTS, dictionary="middle", top_k=5
    )


def work(desk: Desk, hands: Hands, job: str) -> None:
    """Do what is handed out until the job has ended."""
    limit = time.monotonic() + 60
    while desk.records.wanted(job):
        assert time.monotonic() < limit
        for lane in ("interactive", "bulk"):
            for name, chunk in [*out(desk, lane), *desk.records.release(lane)]:
                hands.chunk(name, chunk)
        time.sleep(0.02)


def out(desk: Desk, lane: str) -> list[tuple[str, int]]:
    members = desk.records._redis.zrange(f"steerboard:out:{lane}", 0, -1)
    return [(m.rsplit(":", 1)[0], int(m.rsplit(":", 1)[1])) for m in members]
