"""``python -m bench.serve ARCHITECTURE PORT THREADS [PROFILE]``: our own server, for the bench.

The process is set up as the service's own is, and reads the service's own settings:
``STEERBOARD_TOKEN_SECRET``, ``STEERBOARD_DEVICE``, ``STEERBOARD_PRECISION``. A dictionary comes
with ``--features`` and ``--bias``; it is random, and no gate is asked.
"""

import argparse
import asyncio
import os

from services.inference.allocation import settle
from services.inference.trimming import keep_pages, trim_at_rest


def main() -> None:
    settle()
    if keep_pages():
        trim_at_rest()
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("architecture")
    parser.add_argument("port", type=int)
    parser.add_argument("threads", type=int)
    parser.add_argument("profile", nargs="?", default="")
    parser.add_argument("--features", type=int, default=0)
    parser.add_argument("--bias", type=float, default=-2.0)
    serve(parser.parse_args())


def serve(asked: argparse.Namespace) -> None:
    """Import what is heavy, and serve."""
    import torch

    from bench.house import Plan, build, placement
    from bench.sampler import Sampler
    from services.inference.loading import behind_engine, warm
    from services.inference.server import run

    torch.set_num_threads(asked.threads)
    sampler = Sampler()

    def load():
        plan = Plan(asked.architecture, asked.features, bias=asked.bias)
        served = build(plan, there=placement())
        runner, engine = behind_engine({asked.architecture: served}, "bench")
        warm(runner)
        if asked.profile:
            sampler.start()
        return runner, engine

    secret = os.environ.get("STEERBOARD_TOKEN_SECRET") or None
    asyncio.run(run(f"127.0.0.1:{asked.port}", secret, load))
    if asked.profile:
        sampler.write(asked.profile)


if __name__ == "__main__":
    main()
