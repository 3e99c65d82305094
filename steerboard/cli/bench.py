"""``steerboard bench``: what the project claims about speed, measured beside others."""

import os
import sys
from pathlib import Path

from steerboard.spec.errors import NotFound

ROOT = Path(__file__).resolve().parents[2]


def replace_by_serving(arguments: list[str]) -> None:
    """Become the bench, which lives beside the package in the repository.

    Raises:
        NotFound: This is an installed package without it.
    """
    if not (ROOT / "bench" / "serving.py").is_file():
        raise NotFound("the bench is part of the repository: run it from a clone")
    os.chdir(ROOT)
    os.execv(sys.executable, (sys.executable, "-m", "bench.serving", *arguments))
