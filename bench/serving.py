"""``steerboard bench serving``: the engine beside the raw model, plain hooks and other servers.

What is compared goes in rounds A, B, C, A, B, C; each row of the table stands for itself and can be
run alone (``--only slider``). ``soak`` takes minutes and runs only when it is named.
"""

import argparse
import json
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from bench import rows_engine, rows_people, rows_serving, rows_stream, soak
from bench.clock import machine
from bench.peers import PYTHON, install
from bench.report import Line, markdown, write
from bench.stage import ON_GPU, QUICK, Size, Stage
from steerboard.model.placement import HOST, Placement, choose
from steerboard.spec.errors import InvalidRequest

ROWS: dict[str, Callable[[Stage], Iterator[Line]]] = {
    "throughput": rows_serving.compare_throughput,
    "stream": rows_stream.compare_stream,
    "slider": rows_serving.compare_slider,
    "steered": rows_engine.compare_steered,
    "resteer": rows_engine.compare_resteer,
    "attribute": rows_engine.compare_attribute,
    "ablations": rows_engine.compare_ablations,
    "interactive": rows_people.compare_interactive,
    "fairness": rows_people.compare_fairness,
    "cancelled": rows_people.compare_cancelled,
    "soak": soak.compare,
}
USUAL = tuple(name for name in ROWS if name != "soak")
QUICKLY = ("throughput", "steered", "resteer")
GPU = Placement(torch.device("cuda", 0), "bf16")
THERE = ("throughput", "stream", "slider", "steered", "resteer", "attribute", "ablations")


def measure(plan: Sequence[tuple[Stage, str]]) -> tuple[dict[str, Any], list[Line]]:
    """The lines of each row on its stage, told as each is done, and everything as one record."""
    stages = list({id(stage): stage for stage, _ in plan}.values())
    torch.set_num_threads(stages[0].threads)
    begun, lines = time.perf_counter(), list[Line]()
    before = machine() | {"torch_threads": stages[0].threads}
    for stage, name in plan:
        for line in ROWS[name](stage):
            lines.append(replace(line, row=line.row + where(stage.there)))
            print(told(lines[-1]), file=sys.stderr, flush=True)
    record = {
        "machine": before,
        "rows": [line.told() for line in lines],
        "ratios": {
            f"{line.row}: {line.what}": round(line.value.median, 4)
            for line in lines
            if line.met is not None
        },
        "missing": {name: why for stage in stages for name, why in stage.missing.items()},
        "profiles": {name: one for stage in stages for name, one in stage.profiles.items()},
        "seconds": round(time.perf_counter() - begun, 1),
    }
    return record, lines


def where(there: Placement) -> str:
    """Behind a row's name, where it was not measured on the CPU in float32."""
    return "" if there == HOST else f", {there.device} in {there.precision}"


def told(line: Line) -> str:
    """One line for whoever waits."""
    value = f"{line.value.median:.4g} [{line.value.low:.4g}, {line.value.high:.4g}] {line.unit}"
    return f"{line.row}: {line.what}: {value} {line.bound} {line.told()['met'] or ''}"


def parser() -> argparse.ArgumentParser:
    found = argparse.ArgumentParser(prog="steerboard bench serving")
    found.add_argument("--quick", action="store_true", help="ViT-B/32, one peer, few rounds")
    found.add_argument("--only", default="", help=f"some of {', '.join(ROWS)}; commas between")
    found.add_argument("--architectures", default="", help="of throughput, stream; commas between")
    found.add_argument("--against", default="", help="peers of throughput; commas between")
    found.add_argument("--rounds", type=int, help="of everything that is compared")
    found.add_argument("--moves", type=int, help="of a slider, and of what is timed one by one")
    found.add_argument("--seconds", type=float, help="of load; of a soak as a whole")
    found.add_argument("--callers", type=int, help="of a soak")
    found.add_argument("--threads", type=int, default=torch.get_num_threads(), help="of torch")
    found.add_argument(
        "--device",
        default="auto",
        help="auto, cpu, cuda or cuda:N; auto is the CPU, and ViT-L-14 on CUDA too where it is",
    )
    found.add_argument("--precision", default="", help="of image towers; bf16 on CUDA")
    found.add_argument("--peers", default="", help="interpreter that has the peers")
    found.add_argument("--install-peers", action="store_true", help="make build/peers first")
    found.add_argument("--out", type=Path, help="folder for serving.json and serving.md")
    return found


def placements(asked: argparse.Namespace, gpu: bool) -> list[Placement]:
    """Where it is measured; ``gpu``: whether one is at hand. Raises InvalidRequest."""
    if asked.device == "auto":
        also = gpu and not asked.quick
        return [choose("cpu", asked.precision or "float32"), *([GPU] if also else [])]
    there = choose(asked.device, asked.precision or "float32")
    bare_gpu = there.device.type == "cuda" and not asked.precision
    return [choose(asked.device, GPU.precision) if bare_gpu else there]


def plan(asked: argparse.Namespace, python: str) -> list[tuple[Stage, str]]:
    """Each row that is asked for, on each stage that it is measured on."""
    found = []
    for there in placements(asked, torch.cuda.is_available()):
        on_gpu = there.device.type == "cuda"
        stage = Stage(size_of(asked, on_gpu), asked.threads, python, there)
        found += [(stage, row) for row in rows_of(asked) if row in THERE or not on_gpu]
    return found


def size_of(asked: argparse.Namespace, on_gpu: bool = False) -> Size:
    """How much was asked for."""
    size = ON_GPU if on_gpu else QUICK if asked.quick else Size()
    if asked.architectures:
        named = tuple(asked.architectures.split(","))
        size = replace(size, architectures=named, streamed=named)
    if asked.against:
        size = replace(size, peers=tuple(asked.against.split(",")))
    if asked.rounds:
        size = replace(size, rounds=asked.rounds)
    if asked.moves:
        size = replace(size, moves=asked.moves)
    if asked.seconds:
        size = replace(size, seconds=asked.seconds, soak_s=asked.seconds)
    return replace(size, soak_callers=asked.callers) if asked.callers else size


def rows_of(asked: argparse.Namespace) -> tuple[str, ...]:
    """Which rows; ends the process where one is not known."""
    if not asked.only:
        return QUICKLY if asked.quick else USUAL
    names = tuple(asked.only.split(","))
    for name in set(names) - ROWS.keys():
        sys.exit(f"there is no row {name!r}: it is one of {', '.join(ROWS)}")
    return names


def main(arguments: list[str]) -> int:
    """Measure, print the table, and the record as one line of JSON at the end."""
    asked = parser().parse_args(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # So that no child is left behind.
    python = asked.peers or (str(PYTHON) if PYTHON.exists() else sys.executable)
    try:
        planned = plan(asked, python)
    except InvalidRequest as error:
        sys.exit(f"bench serving: {error.message}")
    if asked.install_peers:
        install()
    record, lines = measure(planned)
    if asked.out:
        write(asked.out, record, lines)
    print(markdown(record, lines))
    print(json.dumps(record))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
