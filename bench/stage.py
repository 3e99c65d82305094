"""What the rows of the bench share: how much is measured, and the servers that are compared."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from bench import children
from bench.clients import OverGrpc, OverHttp
from bench.house import Plan, build, load
from steerboard.inprocess.served import ServedModel
from steerboard.model.load import LoadedModel
from steerboard.model.placement import HOST, Placement

B32, B16, L14, EMOJILAND = "ViT-B-32", "ViT-B-16", "ViT-L-14", "emojiland"


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


# Beside what is measured on the CPU. (No GPU has run it yet.)
ON_GPU = Size(
    architectures=(L14,),
    slider=L14,
    callers=128,
    batch=64,
    tried=(16, 32, 64, 128, 256),
    rows=64,
    streamed=(L14,),
)


def scaled(layer: int, blocks: int) -> int:
    """Block ``layer`` of twelve, from 1, in a tower of another depth."""
    return round(layer * blocks / 12)


@dataclass
class Stage:
    """Where rows run; ``missing`` says what could not be measured, ``profiles`` what took long."""

    size: Size
    threads: int
    python: str
    there: Placement = HOST
    missing: dict[str, str] = field(default_factory=dict)
    profiles: dict[str, Any] = field(default_factory=dict)

    def loaded(self, architecture: str) -> LoadedModel:
        """The model in this process."""
        return loaded(architecture, self.there)

    def build(self, plan: Plan) -> ServedModel:
        """The same, ready to serve."""
        return build(plan, self.loaded(plan.architecture), self.there)

    @contextmanager
    def servers(
        self, architecture: str, profile: str = ""
    ) -> Iterator[tuple[OverGrpc, dict[str, OverHttp]]]:
        """Ours, and every peer that is installed and comes up, all ready; they start together."""
        with ExitStack() as stack:
            own = (architecture, self.threads)
            coming = stack.enter_context(children.starting(*own, profile, there=self.there))
            more = (self.python, *own, self.size.batch, self.there)
            others = {
                name: stack.enter_context(children.starting_peer(name, *more))
                for name in self.size.peers
                if self.has(name)
            }
            self.loaded(architecture)  # Needed next, and they take their time.
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
def loaded(architecture: str, there: Placement = HOST) -> LoadedModel:
    """The model in this process."""
    return load(architecture, there)
