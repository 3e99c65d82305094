"""The image sets of ``steerboard.yaml``, read once in the background and kept as an index."""

import logging
import time
from collections.abc import Mapping
from concurrent.futures import Future, wait
from pathlib import Path
from threading import Lock, Thread
from typing import Any

from steerboard.images.image_set import open_named
from steerboard.images.indexed import Index, index, read_index, whole
from steerboard.spec.digest import digest
from steerboard.spec.errors import NotFound, SteerboardError, Unavailable

RETRY_S = 30.0  # before a set that could not be read is tried again
NAMED = 10  # broken pictures that the log names
_LOG = logging.getLogger(__name__)


class Shelf:
    """Sets by name; none is read before it is asked for.

    What a set holds is written beside the uploads, and read again from there for as long as no file
    of the set has changed. Pictures within tables and compressed tars are copied there as well.

    Args:
        base: The folder that paths of the configuration start from.
        sets: ``image_sets`` of the configuration.
        fs: The fsspec file system that keeps what is known.
        root: The folder there.
        wait_s: Seconds that a caller waits for a set that is being read; None: to its end.
    """

    def __init__(
        self, base: Path, sets: Mapping[str, Mapping[str, str]], fs: Any, root: str,
        wait_s: float | None,
    ) -> None:  # fmt: skip
        self._sets = {
            name: (str(s.get("images") or ""), str(s.get("manifest") or ""))
            for name, s in sets.items()
        }
        self._base, self._fs, self._root, self.wait_s = base, fs, root, wait_s
        self._readings: dict[str, Future[Index]] = {}
        self._failed_at: dict[str, float] = {}
        self._counts = dict.fromkeys(self._sets, 0)
        self._lock = Lock()

    @property
    def names(self) -> tuple[str, ...]:
        """All sets."""
        return tuple(self._sets)

    def prepare(self, wait_s: float) -> None:
        """Begin to read all sets, and wait so long for them."""
        wait([self._reading(name) for name in self._sets], wait_s)

    def held(self, name: str) -> Index:
        """A set; raises Unavailable while it is being read, and what is wrong with it."""
        if name not in self._sets:
            raise NotFound(
                f"there is no image set {name!r}; there is {', '.join(self._sets) or 'none'}",
                field="image_set",
            )
        try:
            return self._reading(name).result(self.wait_s)
        except TimeoutError:
            raise Unavailable(
                f"the pictures of {name} are being read for the first time, {self._counts[name]}"
                " until now: come back soon",
                retry_after_s=RETRY_S,
            ) from None

    def ready(self) -> list[Index]:
        """Those sets that can be had now, the others left out."""
        found = (r for r in self._readings.copy().values() if r.done() and not r.exception())
        return [r.result() for r in found]

    def within_reach(self) -> list[Index]:
        """Those sets that can be had after waiting for each."""
        return [found for name in self._sets if (found := self._had(name)) is not None]

    def kept(self, sha256: str) -> bytes:
        """The bytes of a picture that lies nowhere by itself; raises OSError."""
        data: bytes = self._fs.cat_file(f"{self._root}/{sha256}")
        return data

    def _had(self, name: str) -> Index | None:
        try:
            return self.held(name)
        except SteerboardError:
            return None

    def _reading(self, name: str) -> Future[Index]:
        """The reading of a set, begun where it was not, or where it failed some time ago."""
        with self._lock:
            failed = self._failed_at.get(name)
            if name in self._readings and (failed is None or time.monotonic() - failed < RETRY_S):
                return self._readings[name]
            self._failed_at.pop(name, None)
            found = self._readings[name] = Future()
        Thread(target=self._read, args=(name, found), name=f"set {name}", daemon=True).start()
        return found

    def _read(self, name: str, told: "Future[Index]") -> None:
        try:
            found = self._index(name)
        except Exception as error:
            self._failed_at[name] = time.monotonic()
            if isinstance(error, SteerboardError):
                _LOG.warning("image set %s cannot be read: %s", name, error.message)
            else:
                _LOG.exception("image set %s cannot be read", name)
                error = Unavailable(f"image set {name} cannot be read: see the log of the door")
            told.set_exception(error)
            return
        _LOG.info("image set %s: %d pictures", name, found.table.num_rows)
        if found.broken:
            _LOG.warning("image set %s: %s", name, found.told(NAMED))
        told.set_result(found)

    def _index(self, name: str) -> Index:
        images, manifest = self._sets[name]
        source = open_named(self._base, images, manifest)
        place = f"{self._root}/{digest(str(self._base.resolve()), images, manifest)}.parquet"
        known = read_index(self._fs, place)
        try:
            if known is not None and known.stamp == source.stamp():
                return known
            found = index(source, self._keep, lambda count: self._counts.update({name: count}))
        except OSError as error:
            raise Unavailable(f"it cannot be reached: {error}") from error
        found.write(self._fs, place)
        return found

    def _keep(self, sha256: str, data: bytes) -> None:
        path = f"{self._root}/{sha256}"
        if not self._fs.exists(path):
            whole(self._fs, path, data)
