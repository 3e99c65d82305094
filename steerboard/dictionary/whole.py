"""Files that are whole or not there at all, and sentences where the disk refuses them."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from safetensors import SafetensorError

from steerboard.spec.errors import InvalidRequest

LOCK = ".training"


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """A draft beside ``path`` that takes its place once it is written: a kill leaves the old file.

    Raises:
        InvalidRequest: See ``written``.
    """
    draft = path.with_name(f"{path.name}.{os.getpid()}")
    try:
        with written(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            yield draft
            with draft.open("rb") as file:
                os.fsync(file.fileno())
            draft.replace(path)
    finally:
        with suppress(OSError):
            draft.unlink()


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Holds ``folder`` for this process; the system lets go of it however the process ends.

    Raises:
        InvalidRequest: Another process holds it.
    """
    with (folder / LOCK).open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise InvalidRequest(
                f"another training is at work in {folder}: wait for it, or choose another --out",
                field="out",
            ) from error
        yield


@contextmanager
def written(place: Path) -> Iterator[None]:
    """Says in a sentence why ``place`` cannot be written.

    Raises:
        InvalidRequest: The disk is full or read-only, a folder is a file, permission is lacking.
    """
    try:
        yield
    except (OSError, SafetensorError) as error:
        raise InvalidRequest(f"{place} cannot be written: {error}", field="out") from error
