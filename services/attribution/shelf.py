"""The image sets of ``steerboard.yaml``, read once in the background and kept as an index.

Whoever asks for a set gets what is known of it; whether its files have changed since is looked at
behind the answer, and a set that did is read anew while the old index still serves.
"""

import logging
import time
from collections.abc import Mapping
from concurrent.futures import Future, wait
from contextlib import suppress
from pathlib import Path
from threading import Lock, Thread
from typing import Any

import fsspec

from steerboard.images.image_set import open_named, places
from steerboard.images.indexed import Index, index, read_index, whole
from steerboard.images.picture import Lasting
from steerboard.images.spans import stamp_of
from steerboard.spec.digest import digest
from steerboard.spec.errors import NotFound, SteerboardError, Unavailable

RETRY_S = 30.0  # before a set that could not be read is tried again
LOOK_S, SHARE = 10.0, 20.0  # before its files are looked at again; so many times what a look takes
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
        look_s: Seconds at least between two looks at whether a set's files have changed.
    """

    def __init__(
        self, base: Path, sets: Mapping[str, Mapping[str, str]], fs: Any, root: str,
        wait_s: float | None, look_s: float = LOOK_S,
    ) -> None:  # fmt: skip
        self._sets = {
            name: (str(s.get("images") or ""), str(s.get("manifest") or ""))
            for name, s in sets.items()
        }
        self._base, self._fs, self._root, self.wait_s = base, fs, root, wait_s
        self._readings: dict[str, Future[Index]] = {}
        self._failed_at: dict[str, float] = {}
        self._counts = dict.fromkeys(self._sets, 0)
        self._look_s = look_s
        self._next_look: dict[str, float] = {}
        self._looking: set[str] = set()
        self._versions: dict[str, str] = {}  # of the index files that were read or written
        self._busy: set[str] = set()  # sets whose pictures are being read now
        self._lock, self._sweeping = Lock(), Lock()

    @property
    def names(self) -> tuple[str, ...]:
        """All sets."""
        return tuple(self._sets)

    def prepare(self, wait_s: float) -> None:
        """Begin to read all sets, and wait so long for them."""
        wait([self._reading(name) for name in self._sets], wait_s)

    def held(self, name: str) -> Index:
        """A set; raises Unavailable while it is being read, and what is wrong with it.

        It may be about to be read anew: who asks does not wait for that.
        """
        if name not in self._sets:
            raise NotFound(
                f"there is no image set {name!r}; there is {', '.join(self._sets) or 'none'}",
                field="image_set",
            )
        try:
            found = self._reading(name).result(self.wait_s)
            self._look_again(name, found)
            return found
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
        """Those sets that can be had after waiting for each, as another process may know them.

        For who misses a picture: the job door reads a set anew, and workers follow.
        """
        return [found for name in self._sets if (found := self._had(name)) is not None]

    def kept(self, sha256: str) -> bytes:
        """The bytes of a picture that lies nowhere by itself; raises OSError."""
        data: bytes = self._fs.cat_file(f"{self._root}/{sha256}")
        return data

    def sweep(self, since: dict[str, float], after_s: float) -> int:
        """Delete what no set has needed for so long; how many files.

        Nothing is swept while a set is being read, which keeps pictures before it tells of them.

        Args:
            since: By path, when it was first seen unused; brought up to date.
            after_s: Seconds.
        """
        now = time.monotonic()
        with self._sweeping:
            if self._busy:
                return 0
            unused = self._unused()
            for path in since.keys() - unused:
                del since[path]
            due = [path for path in unused if now - since.setdefault(path, now) >= after_s]
            for path in due:
                with suppress(FileNotFoundError):
                    self._fs.rm_file(path)
                del since[path]
        return len(due)

    def _unused(self) -> set[str]:
        """Paths of the folder that belong to none of the sets, as they are now or stand on disk."""
        used: set[str] = set()
        for name in self._sets:
            place, reading = self._place(name), self._readings.get(name)
            known = [read_index(self._fs, place)]
            if reading is not None and reading.done() and not reading.exception():
                known.append(reading.result())
            used.add(place.rpartition("/")[2])
            used.update(d for found in known if found is not None for d in found.kept)
        self._fs.invalidate_cache()
        try:
            held = self._fs.ls(self._root, detail=False)
        except FileNotFoundError:
            return set()
        return {path for path in held if path.rstrip("/").rpartition("/")[2] not in used}

    def _had(self, name: str) -> Index | None:
        try:
            found = self._reading(name).result(self.wait_s)
        except (SteerboardError, TimeoutError):
            return None
        version = self._version(self._place(name))
        if version and version != self._versions.get(name):
            anew = read_index(self._fs, self._place(name))
            if anew is not None:
                self._versions[name], found = version, anew
                self._put(name, found)
        return found

    def _look_again(self, name: str, found: Index) -> None:
        """Look in the background whether a set's files have changed, unless that was just done."""
        with self._lock:
            if name in self._looking or time.monotonic() < self._next_look.get(name, 0.0):
                return
            self._looking.add(name)
        Thread(target=self._look, args=(name, found), name=f"look {name}", daemon=True).start()

    def _look(self, name: str, found: Index) -> None:
        began = time.monotonic()
        try:
            for place in filter(None, places(self._base, *self._sets[name])):
                fsspec.core.url_to_fs(place)[0].invalidate_cache()
            if self._source(name).stamp() != found.stamp:
                _LOG.info("image set %s has changed: it is read anew", name)
                anew = self._index(name)
                self._put(name, anew)
                _LOG.info("image set %s: %d pictures", name, anew.table.num_rows)
                if anew.broken:
                    _LOG.warning("image set %s: %s", name, anew.told(NAMED))
        except Exception as error:  # half written, or away: what was known goes on serving
            why = error.message if isinstance(error, SteerboardError) else repr(error)
            _LOG.warning("image set %s is served as it was: %s", name, why)
        finally:
            took = time.monotonic() - began
            with self._lock:
                self._looking.discard(name)
                self._next_look[name] = time.monotonic() + max(self._look_s, SHARE * took)

    def _put(self, name: str, found: Index) -> None:
        """From now on a set is this."""
        told: Future[Index] = Future()
        told.set_result(found)
        with self._lock:
            self._readings[name] = told

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
        self._next_look[name] = time.monotonic() + self._look_s
        told.set_result(found)

    def _source(self, name: str) -> Lasting:
        return open_named(self._base, *self._sets[name])

    def _place(self, name: str) -> str:
        """Where its index is kept."""
        return f"{self._root}/{digest(str(self._base.resolve()), *self._sets[name])}.parquet"

    def _version(self, place: str) -> str:
        """Another one when the file was written anew; empty where there is none."""
        try:
            self._fs.invalidate_cache(self._root)
            return stamp_of([self._fs.info(place)])
        except OSError:
            return ""

    def _index(self, name: str) -> Index:
        with self._sweeping:
            self._busy.add(name)
        try:
            return self._indexed(name)
        finally:
            self._busy.discard(name)

    def _indexed(self, name: str) -> Index:
        source, place = self._source(name), self._place(name)
        version, known = self._version(place), read_index(self._fs, place)
        try:
            if known is not None and known.stamp == source.stamp():
                self._versions[name] = version
                return known
            found = index(source, self._keep, lambda count: self._counts.update({name: count}))
        except OSError as error:
            raise Unavailable(f"it cannot be reached: {error}") from error
        found.write(self._fs, place)
        self._versions[name] = self._version(place)
        return found

    def _keep(self, sha256: str, data: bytes) -> None:
        path = f"{self._root}/{sha256}"
        if not self._fs.exists(path):
            whole(self._fs, path, data)
