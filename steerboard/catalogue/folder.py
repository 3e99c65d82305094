"""A folder of catalogues, a file a dictionary, on disk or wherever fsspec reaches."""

import math
import time
from pathlib import Path, PurePosixPath

import fsspec
from fsspec.implementations.local import LocalFileSystem

from steerboard.spec.errors import Unavailable

TRUSTED_S = 5.0
ENDING = ".parquet"


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
        """Ids of the dictionaries, sorted; raises Unavailable."""
        try:
            self._fs.invalidate_cache()
            paths = self._fs.ls(self._root, detail=False)
        except FileNotFoundError:
            return []
        except OSError as error:
            raise self._away(error) from error
        files = (PurePosixPath(path).name for path in paths)
        stems = (name.removesuffix(ENDING) for name in files if name.endswith(ENDING))
        return sorted(stem for stem in stems if "." not in stem)

    def place(self, dictionary: str) -> str:
        """Fsspec URL of a dictionary's file, whether it is there or not."""
        return f"{self._place}/{dictionary}{ENDING}"

    def version(self, dictionary: str) -> str | None:
        """Another one for each file that was ever there; None: there is none now.

        Raises:
            Unavailable: The place cannot be reached.
        """
        now = time.monotonic()
        when, known = self._seen.get(dictionary, (-math.inf, None))
        if now - when >= self._trusted_s:
            known = self._look(f"{self._root}/{dictionary}{ENDING}")
            self._seen[dictionary] = now, known
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
