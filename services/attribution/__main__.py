"""``python -m services.attribution door`` or ``worker``."""

import asyncio
import logging
import os
import sys

from services.attribution.settings import read_settings


def main() -> None:
    """Start the part that the command line names."""
    part, *names = sys.argv[1:] or [""]
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    settings = read_settings(os.environ)
    if part == "door":
        from services.attribution.server import serve

        asyncio.run(serve(settings))
    elif part == "worker":
        from services.attribution.supervisor import Supervisor

        Supervisor(settings).run()
    elif part == "consumer" and names:
        from services.attribution.worker import consume

        consume(settings, names[0])
    else:
        raise SystemExit("usage: python -m services.attribution door|worker")


if __name__ == "__main__":
    main()
