"""``python -m services.inference``: read the environment once, load, serve."""

import asyncio
import logging
import os
import sys

from services.inference.allocation import settle
from services.inference.settings import Settings, read_settings
from services.inference.trimming import keep_pages, trim_at_rest
from steerboard.spec.errors import SteerboardError


def main() -> None:
    """Run until told to stop; a wrong setting or model ends the process with a sentence."""
    settings = read_settings(os.environ)
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s inference %(levelname)s %(message)s"
    )
    try:
        serve(settings)
    except SteerboardError as error:
        sys.exit(f"inference: {error.message}")
    except RuntimeError as error:
        if "bind" not in str(error):
            raise
        sys.exit(f"inference: {settings.listen} cannot be listened on: is another server there?")


def serve(settings: Settings) -> None:
    """Import what is heavy, and serve."""
    settle()
    if keep_pages():
        trim_at_rest()
    import torch

    from services.inference.engine.admission import Load
    from services.inference.engine.batching import BatchingKernel
    from services.inference.loading import Hosting, load_runner, warm
    from services.inference.server import run
    from steerboard.inprocess.kept import Kept
    from steerboard.model.placement import choose
    from steerboard.spec.runner import Runner

    if settings.threads:
        torch.set_num_threads(settings.threads)

    hosting = Hosting(
        placement=choose(settings.device, settings.precision),
        device_bytes=settings.device_bytes,
        cache_bytes=settings.cache_bytes,
        lazy=settings.load == "lazy",
        kept=Kept(settings.kept, settings.kept_bytes) if settings.kept else None,
    )

    def load() -> tuple[Runner, BatchingKernel]:
        runner, engine = load_runner(settings.config, hosting)
        if not hosting.lazy:
            warm(runner)
        return runner, engine

    limits = Load(settings.queue_rows, settings.queue_bytes, settings.queue_calls)
    asyncio.run(run(settings.listen, settings.token_secret, load, limits))


if __name__ == "__main__":
    main()
