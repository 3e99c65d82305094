"""``python -m bench.serve ARCHITECTURE PORT THREADS [PROFILE]``: our own server, for the bench.

The process is set up as the service's own is, and reads the service's own settings:
``STEERBOARD_TOKEN_SECRET``, ``STEERBOARD_DEVICE``, ``STEERBOARD_PRECISION``.
"""

import asyncio
import os
import sys

from services.inference.allocation import settle
from services.inference.trimming import keep_pages, trim_at_rest


def main() -> None:
    settle()
    if keep_pages():
        trim_at_rest()
    architecture, port, threads, *profile = sys.argv[1:]
    serve(architecture, int(port), int(threads), "".join(profile))


def serve(architecture: str, port: int, threads: int, profile: str) -> None:
    """Import what is heavy, and serve."""
    import torch

    from bench.house import Plan, build, placement
    from bench.sampler import Sampler
    from services.inference.loading import behind_engine, warm
    from services.inference.server import run

    torch.set_num_threads(threads)
    sampler = Sampler()

    def load():
        served = build(Plan(architecture), there=placement())
        runner, engine = behind_engine({architecture: served}, "bench")
        warm(runner)
        if profile:
            sampler.start()
        return runner, engine

    secret = os.environ.get("STEERBOARD_TOKEN_SECRET") or None
    asyncio.run(run(f"127.0.0.1:{port}", secret, load))
    if profile:
        sampler.write(profile)


if __name__ == "__main__":
    main()
