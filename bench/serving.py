"""``steerboard bench serving``: the engine beside the raw model, plain hooks and other servers.

What is compared, in rounds A, B, C, A, B, C:

- ``throughput``: answers a second of ``Predict`` on preprocessed tensors, each picture new, from
  callers in a closed loop; the model's own batched forward in this process, at its best batch; and
  peers that serve the same model with their own batching to the same callers.
- ``steered``: a batch whose rows each carry 1 to 8 edits of a wide ReLU dictionary, against the
  same batch without.
- ``resteer``: a slider that moves on a cached picture, against a full forward (engine time).
- ``slider``: the same end to end over gRPC, against a plain forward hook in this process.
"""

import argparse
import itertools
import json
import signal
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from bench import children
from bench.clients import OverGrpc, OverHttp, throughput
from bench.clock import Figure, figure, in_turn, machine, ratios, seconds
from bench.house import Plan, build, load, pictures
from bench.raw import Classifier
from steerboard.inprocess.kernel import DirectKernel, Row
from steerboard.model.load import LoadedModel
from steerboard.spec.edits import Edit, Feature, Neuron, Scale, SteerSet
from steerboard.v1 import steering_pb2 as pb
from steerboard.v1 import types_pb2 as tp

FEATURES = 49_152


@dataclass(frozen=True)
class Size:
    """How much is measured."""

    architecture: str = "ViT-B-32"
    rounds: int = 5
    pictures: int = 96
    callers: int = 16
    batch: int = 16
    rows: int = 32
    moves: int = 50
    peers: tuple[str, ...] = ("mosec", "litserve")


QUICK = Size(rounds=3, pictures=24, callers=8, batch=8, rows=32, moves=10, peers=("mosec",))


def measure(size: Size, threads: int, python: str) -> dict[str, object]:
    """Everything, as one record."""
    torch.set_num_threads(threads)
    begun = time.perf_counter()
    peers = [name for name in size.peers if children.installed(name, python)]
    with ExitStack() as stack:
        served = stack.enter_context(children.ours(size.architecture, threads))
        others = {
            name: stack.enter_context(
                children.peer(name, python, size.architecture, threads, size.batch)
            )
            for name in peers
        }
        loaded = load(size.architecture)
        record: dict[str, object] = {
            "machine": machine() | {"torch_threads": threads},
            "architecture": size.architecture,
            "peers_missing": sorted(set(size.peers) - set(peers)),
            "throughput": compare_throughput(size, loaded, served, others),
            "slider": compare_slider(size, loaded, served),
        }
    record["resteer"] = compare_resteer(size, loaded)
    record["steered"] = compare_steered(size, loaded)
    record["seconds"] = round(time.perf_counter() - begun, 1)
    return record


def compare_throughput(
    size: Size, loaded: LoadedModel, served: OverGrpc, others: dict[str, OverHttp]
) -> dict[str, object]:
    """Answers a second, and ours over each other's in the same round."""
    raw, seeds = Classifier(loaded), itertools.count(1)

    def bodies() -> list[bytes]:
        return [one.tobytes() for one in pictures(size.pictures, next(seeds))]

    def best_raw() -> float:
        return max(
            len(x) / seconds(lambda x=x: raw(x))
            for x in (pictures(n, next(seeds)) for n in (size.batch, 2 * size.batch))
        )

    check_alike(raw, served, others)
    calls: dict[str, Callable[[], float]] = {"raw": best_raw}
    for name, server in {"served": served, **others}.items():
        calls[name] = lambda server=server: throughput(server, bodies(), size.callers)
    found = in_turn(calls, size.rounds)
    told: dict[str, object] = {
        f"{name}_per_s": figure(values).told() for name, values in found.items()
    }
    for name in ("raw", *others):
        told[f"served_over_{name}"] = ratios(found["served"], found[name]).told()
    return told


def check_alike(raw: Classifier, served: OverGrpc, others: dict[str, OverHttp]) -> None:
    """All answer the same question alike, before any of them is timed."""
    picture = pictures(1, 0)
    right = raw(picture)[0]
    for name, server in {"served": served, **others}.items():
        found = server.connection()(picture[0].tobytes())
        if not np.allclose(found, right, atol=1e-3):
            raise RuntimeError(f"{name} answers {found}, the model itself {right}")


def compare_slider(size: Size, loaded: LoadedModel, served: OverGrpc) -> dict[str, object]:
    """Moves of one slider on one picture: gRPC and all, against a forward with a hook."""
    raw, blocks = Classifier(loaded), len(loaded.tower.blocks)
    picture = pictures(1, 7)
    told = {}
    for layer in sorted({2 * blocks // 3, blocks - 2, blocks - 1}):
        ms = itertools.count(1)

        def ask(layer: int = layer, ms: "itertools.count[int]" = ms) -> float:
            request = moved(served, picture[0], layer, next(ms) / 1000)
            return seconds(lambda: served.stub.Steer(request, timeout=120))

        def hook(layer: int = layer) -> float:
            return seconds(lambda: raw.steered(picture, layer, 3, 0.5))

        ask()
        found = in_turn({"served": ask, "hooks": hook}, size.moves)
        bound = 0.8 * blocks / max(1, blocks - layer - 1)
        told[f"L={layer + 1} of {blocks}"] = {
            "served_ms": 1e3 * figure(found["served"]).median,
            "hooks_ms": 1e3 * figure(found["hooks"]).median,
            "times_faster": figure(found["hooks"]).median / figure(found["served"]).median,
            "bound": bound if layer + 1 < blocks else None,
        }
    return told


def moved(served: OverGrpc, picture: np.ndarray, layer: int, m: float) -> pb.SteerRequest:
    """One neuron of a block's output scaled."""
    asked = served.request(picture.tobytes())
    request = pb.SteerRequest(model=asked.model, images=asked.images, classifier=asked.classifier)
    edit = tp.Edit(site=f"resid_post.{layer}")
    edit.unit.neuron.index = 3
    edit.op.scale.m = m
    request.steer_sets.add(edits=[edit])
    return request


def compare_resteer(size: Size, loaded: LoadedModel) -> dict[str, object]:
    """Engine time of a move on a cached picture over that of a full forward."""
    served, kernel = build(Plan(size.architecture), loaded), DirectKernel()
    blocks = len(loaded.tower.blocks)
    tensors = _endless()
    cached = Row("cached", next(tensors))
    told = {}
    for layer in sorted({blocks // 2 - 1, 2 * blocks // 3 - 1, blocks - 1}):
        ms, names = itertools.count(1), itertools.count()

        def again(layer: int = layer, ms: "itertools.count[int]" = ms) -> float:
            row = Row("cached", cached.pixels, neuron(f"resid_post.{layer}", next(ms) / 1000))
            return seconds(lambda: kernel.embed(served, [row]))

        def full(names: "itertools.count[int]" = names, layer: int = layer) -> float:
            row = Row(f"{layer} {next(names)}", next(tensors))
            return seconds(lambda: kernel.embed(served, [row]))

        again()
        found = in_turn({"again": again, "full": full}, max(5, size.moves))
        told[f"block {layer + 1} of {blocks}"] = {
            "ratio": ratios(found["again"], found["full"]).told(),
            "bound": 0.05 if layer + 1 == blocks else (blocks - layer - 1) / blocks + 0.1,
        }
    return told


def _endless():
    for seed in itertools.count(1000):
        yield torch.from_numpy(pictures(1, seed)[0])


def neuron(site: str, m: float) -> SteerSet:
    return SteerSet(edits=(Edit(site=site, unit=Neuron(index=3), op=Scale(m=m)),))


def compare_steered(size: Size, loaded: LoadedModel) -> dict[str, object]:
    """A batch under edits of a wide dictionary over the same batch without; nothing cached."""
    block = 2 * len(loaded.tower.blocks) // 3
    served = build(Plan(size.architecture, FEATURES, block), loaded)
    kernel, tensors = DirectKernel(cache_bytes=0), _endless()
    plain = [Row(str(i), next(tensors)) for i in range(size.rows)]
    rng = np.random.default_rng(0)
    steered = [
        Row(row.image, row.pixels, edits(f"resid_post.{block}", rng, 1 + i % 8))
        for i, row in enumerate(plain)
    ]
    kernel.embed(served, plain)
    found = in_turn(
        {
            "steered": lambda: seconds(lambda: kernel.embed(served, steered)),
            "plain": lambda: seconds(lambda: kernel.embed(served, plain)),
        },
        size.rounds,
    )
    return {
        "rows": size.rows,
        "features": FEATURES,
        "ratio": ratios(found["steered"], found["plain"]).told(),
        "bound": 1.05,
    }


def edits(site: str, rng: np.random.Generator, count: int) -> SteerSet:
    chosen = rng.choice(FEATURES, count, replace=False)
    return SteerSet(
        edits=tuple(
            Edit(site=site, unit=Feature(dictionary="book", index=int(f)), op=Scale(m=-1))
            for f in chosen
        )
    )


def table(record: dict[str, object]) -> str:
    """The record as Markdown, one line a number."""
    lines = ["| what | median | lowest | highest |", "|---|---|---|---|"]

    def walk(path: str, value: object) -> None:
        if isinstance(value, dict) and set(value) == {"median", "low", "high"}:
            found = Figure(**value)
            lines.append(f"| {path} | {found.median:.3g} | {found.low:.3g} | {found.high:.3g} |")
        elif isinstance(value, dict):
            for name, inner in value.items():
                walk(f"{path}: {name}" if path else name, inner)
        elif isinstance(value, float):
            lines.append(f"| {path} | {value:.3g} | | |")
        else:
            lines.append(f"| {path} | {value} | | |")

    walk("", record)
    return "\n".join(lines)


def main(arguments: list[str]) -> int:
    """Measure, print the table, and the record as one line of JSON at the end."""
    parser = argparse.ArgumentParser(prog="steerboard bench serving")
    parser.add_argument("--quick", action="store_true", help="ViT-B/32, one peer, few rounds")
    parser.add_argument("--architecture", default="ViT-B-32")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--peers", default=sys.executable, help="interpreter that has the peers")
    parser.add_argument("--out", type=Path, help="folder for serving.json and serving.md")
    asked = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # So that no child is left behind.
    size = QUICK if asked.quick else Size(architecture=asked.architecture)
    record = measure(size, asked.threads, asked.peers)
    if asked.out:
        asked.out.mkdir(parents=True, exist_ok=True)
        (asked.out / "serving.json").write_text(json.dumps(record, indent=1))
        (asked.out / "serving.md").write_text(table(record) + "\n")
    print(table(record))
    print(json.dumps(record))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
