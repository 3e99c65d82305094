"""A folder of catalogues, a file a dictionary, on disk or wherever fsspec reaches.

A catalogue goes by the id of its dictionary. Where several models have one of that id, it goes by
``DICTIONARY@MODEL``, which names the one of that model wherever it lies: at ``DICTIONARY.parquet``
where that is of this model, else beside it.
"""

import math
import time
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from urllib.parse import quote

import fsspec
from fsspec.implementations.local import LocalFileSystem

from steerboard.spec.catalogue import name_of
from steerboard.spec.errors import Unavailable

TRUSTED_S = 5.0
ENDING = ".parquet"
BESIDE = ".thumbnails"  # what lies beside a catalogue, and is none
STALE = "was built from another dictionary than the one served: build it again"


def placed(base: Path, name: str) -> str:
    """Where a configured folder is: an URL as it stands, a path as seen from ``base``."""
    return name if "://" in name else str(base / name)


class Folder:
    """Which catalogues there are, and whether one was written anew.

    Args:
        place: fsspec URL of the folder; it need not be there yet.
        trusted_s: Seconds for which what is known of a distant file is not asked again.
    """

    def __init__(self, place: str, trusted_s: float = TRUSTED_S) -> None:
        self._place = place.rstrip("/")
        self._fs, root = fsspec.core.url_to_fs(place)
        self._root = root.rstrip("/")
        self._trusted_s = 0.0 if isinstance(self._fs, LocalFileSystem) else trusted_s
        self._seen: dict[str, tuple[float, str | None]] = {}

    def names(self) -> list[str]:
        """What the files are called without their ending, sorted; raises Unavailable."""
        try:
            self._fs.invalidate_cache()
            paths = self._fs.ls(self._root, detail=False)
        except FileNotFoundError:
            return []
        except OSError as error:
            raise self._away(error) from error
        files = (PurePosixPath(path).name for path in paths)
        stems = (name.removesuffix(ENDING) for name in files if name.endswith(ENDING))
        return sorted(stem for stem in stems if stem and not stem.endswith(BESIDE))

    def place(self, name: str) -> str:
        """Fsspec URL of a file, whether it is there or not."""
        return f"{self._place}/{name}{ENDING}"

    def meant(self, name: str, model_of: Callable[[str], str]) -> list[str]:
        """The files that a name may mean: one, none, or several where it leaves the model open.

        Args:
            name: ``DICTIONARY`` or ``DICTIONARY@MODEL``.
            model_of: Tells the model of a file; empty: unknown.

        Raises:
            Unavailable: The place cannot be reached.
        """
        if not name or name != PurePosixPath(name).name:
            return []
        if self.version(name) is not None:
            return [name]
        dictionary, at, model = name.rpartition("@")
        if not at:
            return [stem for stem in self.names() if stem.rpartition("@")[0] == name]
        there = bool(dictionary) and self.version(dictionary) is not None
        return [dictionary] if there and quote(model_of(dictionary), safe="") in ("", model) else []

    def place_of(
        self, dictionary: str, model: str, shared: bool, model_of: Callable[[str], str]
    ) -> str:
        """Where the catalogue of a model's dictionary is written: never over another model's.

        Args:
            dictionary: Its id.
            model: That of its model.
            shared: Whether another model has a dictionary of this id.
            model_of: Tells the model of a file; empty: unknown.
        """
        if self.version(dictionary) is not None:
            shared = model_of(dictionary) not in ("", model)
        return self.place(name_of(dictionary, model) if shared else dictionary)

    def version(self, name: str) -> str | None:
        """Another one for each file that was ever there; None: there is none now.

        Raises:
            Unavailable: The place cannot be reached.
        """
        now = time.monotonic()
        when, known = self._seen.get(name, (-math.inf, None))
        if now - when >= self._trusted_s:
            known = self._look(f"{self._root}/{name}{ENDING}")
            self._seen[name] = now, known
        return known

    def _look(self, path: str) -> str | None:
        try:
            self._fs.invalidate_cache()
            return str(self._fs.ukey(path))
        except FileNotFoundError:
            return None
        except OSError as error:
            raise self._away(error) from error

    def _away(self, error: OSError) -> Unavailable:
        return Unavailable(
            f"the catalogues at {self._place} are out of reach ({error}): try again later",
            retry_after_s=TRUSTED_S,
        )
