"""Hugging Face's hub, asked once whether it is there.

Its client asks six times with growing pauses for every file before it looks into its own cache: it
takes 24 s to say that a tag cannot be fetched, or to load one whose files lie here.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from huggingface_hub import constants, get_session

ANSWERS_S = 3.0


@contextmanager
def asked_once() -> Iterator[None]:
    """Within: where the hub cannot be reached, only what was fetched before is looked for."""
    before = constants.HF_HUB_OFFLINE
    constants.HF_HUB_OFFLINE = before or not _answers()
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = before


def _answers() -> bool:
    """Whether it says anything at all; a proxy that the environment names is asked."""
    try:
        get_session().head(constants.ENDPOINT, timeout=ANSWERS_S)
    except Exception:  # whatever its client raises, which changed between versions
        return False
    return True
