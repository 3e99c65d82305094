"""What nobody can ask for any more is deleted: folders of jobs, copies of sets' pictures."""

import logging
import time
from secrets import token_hex

import fsspec

from services.attribution.records import Records
from services.attribution.shelf import Shelf

SWEEP_S, COPIES_S = 60.0, 600.0
KEPT_S = 25 * 3600.0  # for which a copy stays that no set needs: a job is kept for a day
GONE = ".gone-"
_LOG = logging.getLogger(__name__)


class Copies:
    """Deletes copies of pictures that no image set of the configuration needs any more.

    Tables and compressed tars are copied picture by picture, and a set that has changed leaves
    behind what is no longer in it, one that is no longer configured all of it. A job may have been
    asked about them just before: they stay for longer than a job is kept.

    Args:
        shelf: The sets.
        kept_s: Seconds.
    """

    def __init__(self, shelf: Shelf, kept_s: float = KEPT_S) -> None:
        self._shelf, self._kept_s = shelf, kept_s
        self._since: dict[str, float] = {}
        self._last = time.monotonic()

    def tick(self) -> None:
        """Look where it is time to."""
        if time.monotonic() - self._last > COPIES_S:
            self.sweep()
            self._last = time.monotonic()

    def sweep(self) -> int:
        """Look once; how many files were deleted."""
        count = self._shelf.sweep(self._since, self._kept_s)
        if count:
            _LOG.info("%d copies of pictures that no image set holds were deleted", count)
        return count


class Sweeper:
    """Looks through the folders of jobs from time to time.

    A folder goes with its record, a day after the job's last change; that of a job which was taken
    back goes when it is seen so twice, for a step may still have been in hand the first time.

    Args:
        records: The jobs.
        blobs: fsspec URL of the folder that holds those of all tenants.
        copies: What is looked after as well.
    """

    def __init__(self, records: Records, blobs: str, copies: Copies | None = None) -> None:
        self._records, self._copies = records, copies
        self._fs, root = fsspec.core.url_to_fs(blobs)
        self._root = root.rstrip("/")
        self._last = time.monotonic()
        self._seen: set[str] = set()

    def tick(self) -> None:
        """Look where it is time to; raises Unavailable."""
        now = time.monotonic()
        if now - self._last > SWEEP_S:
            self._last = now
            self.sweep()
        if self._copies is not None:
            self._copies.tick()

    def sweep(self) -> int:
        """Look once; how many folders were deleted. Raises Unavailable."""
        useless = {f for f in self.folders() if self._useless(f)}
        due = {f for f in useless if f in self._seen or GONE in f}
        self._seen = useless - due
        for folder in due:
            self._delete(folder)
        if due:
            _LOG.info("%d folders of jobs were deleted", len(due))
        return len(due)

    def folders(self) -> list[str]:
        """The folders of all jobs."""
        return [str(f) for f in self._fs.glob(f"{self._root}/*.jobs/*")]

    def _useless(self, folder: str) -> bool:
        name = folder.rstrip("/").rpartition("/")[2]
        return GONE in name or self._records.state(name) in ("", "cancelled")

    def _delete(self, folder: str) -> None:
        """Out of the way at once, so that a job which is asked for again begins anew."""
        away = folder if GONE in folder else f"{folder.rstrip('/')}{GONE}{token_hex(4)}"
        if away != folder:
            self._fs.mv(folder, away, recursive=True)
        self._fs.rm(away, recursive=True)
