"""``python -m bench.serve ARCHITECTURE PORT THREADS``: the project's own server, for the bench."""

import asyncio
import sys

import torch

from bench.house import Plan, build
from services.inference.loading import behind_engine, warm
from services.inference.server import run


def main() -> None:
    architecture, port, threads = sys.argv[1], sys.argv[2], int(sys.argv[3])
    torch.set_num_threads(threads)

    def load():
        runner, engine = behind_engine({architecture: build(Plan(architecture))}, "bench")
        warm(runner)
        return runner, engine

    asyncio.run(run(f"127.0.0.1:{port}", None, load))


if __name__ == "__main__":
    main()
