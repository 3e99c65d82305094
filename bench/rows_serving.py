"""Over the wire: ``throughput`` beside the raw model and other servers, and a ``slider``."""

import itertools
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from bench import children
from bench.clients import OverGrpc, OverHttp, bodies, throughput
from bench.clock import figure, in_turn, ratios, seconds
from bench.house import EMOJILAND, pictures
from bench.raw import NEURON, Classifier
from bench.report import Line
from bench.stage import Stage, scaled
from steerboard.v1 import steering_pb2 as pb
from steerboard.v1 import types_pb2 as tp

SEED = 7
# How far logits (14 times a cosine, before training) may lie apart in batches of another shape.
ALIKE = {"float32": 1e-3, "fp16": 0.03, "bf16": 0.2}
REST_S = 0.03


def compare_throughput(stage: Stage) -> Iterator[Line]:
    """Answers a second at saturation, each picture new, and ours over each other's of a round."""
    for architecture in stage.size.architectures:
        with tempfile.TemporaryDirectory() as folder:
            profile = f"{folder}/profile.json" if architecture == EMOJILAND else ""
            with stage.servers(architecture, profile) as (ours, peers):
                yield from _throughput(stage, architecture, ours, peers)
            if profile:
                stage.profiles[architecture] = json.loads(Path(profile).read_text())


def _throughput(
    stage: Stage, architecture: str, ours: OverGrpc, peers: dict[str, OverHttp]
) -> Iterator[Line]:
    size, raw, given = stage.size, Classifier(stage.loaded(architecture)), bodies(ours.size)
    check_alike(raw, ours, peers, ALIKE[stage.there.precision])
    batch = best_batch(raw, size.tried, ours.size)
    calls: dict[str, Callable[[], float]] = {"raw": lambda: raw_speed(raw, batch, ours.size)}
    for name, server in {"served": ours, **peers}.items():
        calls[name] = lambda server=server: throughput(server, given, size.callers, size.seconds)
        calls[name]()  # Once before anything is counted: batches find their size.
    found = in_turn(calls, size.rounds)
    row = f"throughput {architecture}"
    for name, values in found.items():
        yield Line(row, f"{name}, answers a second", figure(values), unit="1/s")
    # Emojiland is reported without a bound: there the serving layer is the cost.
    bound = None if architecture == EMOJILAND else 0.97
    yield Line(row, "served / raw", ratios(found["served"], found["raw"]), at_least=bound)
    if peers:
        best = [max(found[name][i] for name in peers) for i in range(size.rounds)]
        yield Line(row, "served / best peer", ratios(found["served"], best), at_least=1.0)


def raw_speed(raw: Classifier, batch: int, size: tuple[int, int], times: int = 2) -> float:
    """Pictures a second of the model's own batched forward in this process; the fastest time."""
    x = pictures(batch, batch, size)
    return batch / min(seconds(lambda: raw(x)) for _ in range(times))


def best_batch(raw: Classifier, tried: tuple[int, ...], size: tuple[int, int]) -> int:
    """The batch in which the raw model is fastest; each is tried once, after the first."""
    if len(tried) == 1:
        return tried[0]
    raw_speed(raw, tried[0], size, 1)
    return max(tried, key=lambda rows: raw_speed(raw, rows, size, 1))


def check_alike(
    raw: Classifier, ours: OverGrpc, peers: dict[str, OverHttp], within: float = 1e-3
) -> None:
    """All answer the same question alike, before any of them is timed."""
    picture = pictures(1, 0, ours.size)
    right = raw(picture)[0]
    for name, server in {"served": ours, **peers}.items():
        found = server.connection()(picture[0].tobytes())
        if not np.allclose(found, right, atol=within):
            raise RuntimeError(f"{name} answers {found}, the model itself {right}")


def compare_slider(stage: Stage) -> Iterator[Line]:
    """Moves of one slider on one picture, end to end, against plain hooks and nnsight.

    Block L's output is edited, so that N - L blocks are behind it.
    """
    size = stage.size
    raw, blocks = Classifier(stage.loaded(size.slider)), len(stage.loaded(size.slider).tower.blocks)
    server = children.ours(size.slider, stage.threads, there=stage.there)
    with server as ours, _nnsight(stage) as nnsight:
        for layer in (8, 10, 11):
            yield from _slider(stage, scaled(layer, blocks), ours, raw, nnsight)


def _slider(
    stage: Stage, layer: int, ours: OverGrpc, raw: Classifier, nnsight: "Nnsight | None"
) -> Iterator[Line]:
    picture, block = pictures(1, SEED), layer - 1
    blocks = len(stage.loaded(stage.size.slider).tower.blocks)
    moves = {
        "served": itertools.count(1),
        "hooks": itertools.count(1),
        "nnsight": itertools.count(1),
    }

    def m(name: str) -> float:
        return next(moves[name]) / 1000

    def served() -> float:
        request = moved(ours, picture[0], block, m("served"))
        return seconds(lambda: ours.stub.Steer(request, timeout=120))

    def hooks() -> float:
        return seconds(lambda: raw.steered(picture, block, m("hooks")))

    calls: dict[str, Callable[[], float]] = {"served": served, "hooks": hooks}
    if nnsight is not None:
        calls["nnsight"] = lambda: nnsight.move(block, m("nnsight"))[0]
    _moves_agree(ours, picture, block, raw, nnsight, ALIKE[stage.there.precision])
    found = in_turn({name: rested(call) for name, call in calls.items()}, stage.size.moves)
    row, bound = (
        f"slider {stage.size.slider}, L = {layer} of {blocks}",
        0.8 * blocks / (blocks - layer),
    )
    for name, values in found.items():
        yield Line(row, f"{name}, a move", figure([1e3 * v for v in values]), unit="ms")
    for name in calls.keys() - {"served"}:
        value = ratios(found[name], found["served"])
        yield Line(row, f"times faster than {name}", value, at_least=bound)


def rested(call: Callable[[], float]) -> Callable[[], float]:
    """``call`` after a moment in which the threads of whoever was measured before go to sleep.

    OpenMP's threads go on turning for some milliseconds after their work, on somebody's core.
    """

    def after() -> float:
        time.sleep(REST_S)
        return call()

    return after


def _moves_agree(
    ours: OverGrpc,
    picture: np.ndarray,
    block: int,
    raw: Classifier,
    nnsight: "Nnsight | None",
    within: float,
) -> None:
    """The same edit gives the same answer everywhere, and the picture is cached afterwards."""
    right = raw.steered(picture, block, 0.9)[0]
    response = ours.stub.Steer(moved(ours, picture[0], block, 0.9), timeout=120)
    (item,) = response.items
    told = {"served": np.frombuffer(item.result.steered[0].logits.data, "<f4")}
    if nnsight is not None:
        told["nnsight"] = np.array(nnsight.move(block, 0.9)[1])
    for name, found in told.items():
        if not np.allclose(found, right, atol=within):
            raise RuntimeError(f"{name} answers {found}, a plain hook {right}")


def moved(served: OverGrpc, picture: np.ndarray, block: int, m: float) -> pb.SteerRequest:
    """One neuron of a block's output scaled."""
    asked = served.request(picture.tobytes())
    request = pb.SteerRequest(model=asked.model, images=asked.images, classifier=asked.classifier)
    edit = tp.Edit(site=f"resid_post.{block}")
    edit.unit.neuron.index = NEURON
    edit.op.scale.m = m
    request.steer_sets.add(edits=[edit])
    return request


class Nnsight:
    """nnsight in the interpreter of the peers, asked for one move at a time."""

    def __init__(self, child: "subprocess.Popen[str]") -> None:
        self._child = child

    def line(self) -> str:
        assert self._child.stdout is not None
        found = self._child.stdout.readline()
        if not found:
            raise RuntimeError("nnsight ended")
        return found

    def move(self, block: int, m: float) -> tuple[float, list[float]]:
        """Seconds and logits."""
        assert self._child.stdin is not None
        self._child.stdin.write(f"{block} {m}\n")
        self._child.stdin.flush()
        told = json.loads(self.line())
        return told["seconds"], told["logits"]


@contextmanager
def _nnsight(stage: Stage) -> Iterator[Nnsight | None]:
    if not stage.has("nnsight"):
        yield None
        return
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join([str(children.ROOT), *filter(None, sys.path)]),
        "BENCH_THREADS": str(stage.threads),
        "BENCH_ARCHITECTURE": stage.size.slider,
        "BENCH_SEED": str(SEED),
        **children.settings(stage.there),
    }
    command = [stage.python, "-m", "bench.peer_nnsight"]
    with subprocess.Popen(
        command,
        cwd=children.ROOT,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as child:
        try:
            found = Nnsight(child)
            while found.line().strip() != "ready":
                pass
            yield found
        finally:
            child.kill()
