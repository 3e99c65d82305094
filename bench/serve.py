"""``python -m bench.serve ARCHITECTURE PORT THREADS [PROFILE]``: our own server, for the bench.

A token secret is read from ``STEERBOARD_TOKEN_SECRET``, as the service itself does.
"""

import asyncio
import os
import sys

import torch

from bench.house import Plan, build
from bench.sampler import Sampler
from services.inference.loading import behind_engine, warm
from services.inference.server import run


def main() -> None:
    architecture, port, threads, *profile = sys.argv[1:]
    torch.set_num_threads(int(threads))
    sampler = Sampler()

    def load():
        runner, engine = behind_engine({architecture: build(Plan(architecture))}, "bench")
        warm(runner)
        if profile:
            sampler.start()
        return runner, engine

    secret = os.environ.get("STEERBOARD_TOKEN_SECRET") or None
    asyncio.run(run(f"127.0.0.1:{port}", secret, load))
    if profile:
        sampler.write(profile[0])


if __name__ == "__main__":
    main()
