"""What the rows of the bench share: how much is measured, and the servers that are compared."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from bench import children
from bench.clients import OverGrpc, OverHttp
from bench.house import load
from steerboard.model.load import LoadedModel

B32, B16, EMOJILAND = "ViT-B-32", "ViT-B-16", "emojiland"


@dataclass(frozen=True)
class Size:
    """How much is measured."""

    architectures: tuple[str, ...] = (B32, B16, EMOJILAND)
    slider: str = B16
    rounds: int = 5
    seconds: float = 8.0  # of load, for each of what is compared
    callers: int = 32
    batch: int = 16
    tried: tuple[int, ...] = (8, 16, 32, 64)  # Batches of the raw model, the best of which counts.
    rows: int = 32
    moves: int = 50
    peers: tuple[str, ...] = ("mosec", "litserve")
    streamed: tuple[str, ...] = (B32, EMOJILAND)
    streamed_pictures: int = 500
    soak_s: float = 120.0
    soak_callers: int = 200


QUICK = Size(
    architectures=(B32,),
    slider=B32,
    rounds=3,
    seconds=0.5,
    tried=(16,),
    rows=32,
    moves=10,
    peers=("mosec",),
    streamed=(EMOJILAND,),
    streamed_pictures=100,
    soak_s=10.0,
    soak_callers=50,
)


@dataclass
class Stage:
    """Where rows run; ``missing`` says what could not be measured, ``profiles`` what took long."""

    size: Size
    threads: int
    python: str
    missing: dict[str, str] = field(default_factory=dict)
    profiles: dict[str, Any] = field(default_factory=dict)

    @contextmanager
    def servers(
        self, architecture: str, profile: str = ""
    ) -> Iterator[tuple[OverGrpc, dict[str, OverHttp]]]:
        """Ours, and every peer that is installed and comes up, all ready; they start together."""
        with ExitStack() as stack:
            coming = stack.enter_context(children.starting(architecture, self.threads, profile))
            own = (self.python, architecture, self.threads, self.size.batch)
            others = {
                name: stack.enter_context(children.starting_peer(name, *own))
                for name in self.size.peers
                if self.has(name)
            }
            loaded(architecture)  # Needed next, and they take their time.
            yield coming.ready(), self._ready(others)

    def _ready(self, coming: dict[str, "children.Coming[OverHttp]"]) -> dict[str, OverHttp]:
        """Those that come up; the others are told among what is missing."""
        found: dict[str, OverHttp] = {}
        for name, one in coming.items():
            try:
                found[name] = one.ready()
            except RuntimeError as fault:
                self.missing[name] = str(fault)
        return found

    def has(self, name: str) -> bool:
        """Whether the interpreter for peers has this one."""
        if children.installed(name, self.python):
            return True
        self.missing[name] = "not installed: steerboard bench serving --install-peers"
        return False


@cache
def loaded(architecture: str) -> LoadedModel:
    """The model in this process."""
    return load(architecture)
