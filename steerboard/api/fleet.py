"""Several servers that answer alike: who is there, and whose a picture is.

gRPC watches the health of each (``steerboard.api.channel``); a replica that is away or does not say
SERVING loses its share only, and has it again when it is back.
"""

import hashlib
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import grpc

from steerboard.spec.errors import Unavailable
from steerboard.spec.runner import Runner

SETTLED_S = 1.0  # how long the first question waits to learn who is there
LOOK_UP_S = 10.0
HURRY_S = 1.0  # between two looks where somebody is away
LEAVING_S = 60.0  # longer than a call: who is not named any more finishes what was asked


@dataclass(eq=False)
class Replica:
    """One server; ``there`` is None until its health is known."""

    address: str
    runner: Runner
    channel: grpc.Channel
    there: bool | None = field(default=None, init=False)


Open = Callable[[str], tuple[Runner, grpc.Channel]]


def rank(key: str, addresses: Sequence[str]) -> list[str]:
    """Addresses by falling score for ``key``: the first is its owner.

    Where an address goes, its keys alone go to others; where one comes, it takes its share of each.
    (Thaler and Ravishankar, Using name-based mappings to increase hit rates, 1998: highest random
    weight, or rendezvous hashing.)
    """

    def score(address: str) -> bytes:
        return hashlib.blake2b(f"{address} {key}".encode(), digest_size=8).digest()

    return sorted(addresses, key=score, reverse=True)


class Fleet:
    """The replicas that are named now; ``fault`` is why they could not be looked up.

    Args:
        addresses: Those to begin with.
        open_: What asks one address, and its channel.
        look_up: The addresses as they are now, where they can change.
    """

    def __init__(
        self,
        addresses: Sequence[str],
        open_: Open,
        look_up: Callable[[], Sequence[str]] | None = None,
    ) -> None:
        self._open = open_
        self._look_up = look_up
        self._members: dict[str, Replica] = {}
        self._leaving: list[tuple[float, Replica]] = []
        self._change = threading.Condition()
        self._hurry, self._closed = threading.Event(), threading.Event()
        self._settled = False
        self.fault: Unavailable | None = None
        self._be(addresses)
        if look_up is not None:
            threading.Thread(target=self._follow, name="addresses", daemon=True).start()

    def order(self, key: str) -> list[Replica]:
        """Whom to ask about ``key``: its owner first, who is away last."""
        members = self._now()
        ranked = [members[address] for address in rank(key, list(members))]
        if not all(replica.there for replica in ranked):
            self._hurry.set()
        return sorted(ranked, key=lambda replica: not replica.there)

    def there(self) -> list[Replica]:
        """All replicas that serve now."""
        return [replica for replica in self._now().values() if replica.there]

    def close(self) -> None:
        """Give all connections back."""
        self._closed.set()
        self._hurry.set()
        with self._change:
            replicas = [*self._members.values(), *(one for _, one in self._leaving)]
            self._members, self._leaving = {}, []
            self._change.notify_all()
        for replica in replicas:
            replica.runner.close()

    def _now(self) -> dict[str, Replica]:
        """The members; for the first time only when it is known who of them is there."""
        with self._change:
            if not self._settled:
                self._change.wait_for(self._known, SETTLED_S)
                self._settled = True
            return dict(self._members)

    def _known(self) -> bool:
        members = self._members.values()
        return bool(members) and all(replica.there is not None for replica in members)

    def _be(self, addresses: Sequence[str]) -> None:
        """Have these members; those that stay keep their connection and what they were sent."""
        with self._change:
            if self._closed.is_set():
                return
            for address in self._members.keys() - set(addresses):
                self._leaving.append((time.monotonic(), self._members.pop(address)))
            fresh = [self._join(a) for a in addresses if a not in self._members]
        for replica in fresh:
            self._watch(replica)

    def _join(self, address: str) -> Replica:
        self._members[address] = Replica(address, *self._open(address))
        return self._members[address]

    def _watch(self, replica: Replica) -> None:
        def told(state: grpc.ChannelConnectivity) -> None:
            # While connecting for the first time nothing is known yet.
            known = replica.there is not None or state in _DECIDED
            with self._change:
                replica.there = state is grpc.ChannelConnectivity.READY if known else None
                self._change.notify_all()

        replica.channel.subscribe(told, try_to_connect=True)

    def _follow(self) -> None:
        """Look the name up again and again, sooner where somebody is away."""
        while self._look_up is not None and not self._closed.is_set():
            try:
                self._be(self._look_up())
                self.fault = None
            except Unavailable as error:  # Who was named before may well be there still.
                self.fault = error
            self._say_goodbye()
            self._hurry.wait(LOOK_UP_S)
            self._hurry.clear()
            self._closed.wait(HURRY_S)

    def _say_goodbye(self) -> None:
        before = time.monotonic() - LEAVING_S
        with self._change:
            gone = [replica for since, replica in self._leaving if since < before]
            self._leaving = [(since, one) for since, one in self._leaving if since >= before]
        for replica in gone:
            replica.runner.close()


_DECIDED = (grpc.ChannelConnectivity.READY, grpc.ChannelConnectivity.TRANSIENT_FAILURE)
