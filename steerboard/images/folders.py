"""A folder of pictures, or a folder of a folder per class."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import PurePosixPath

import fsspec

from steerboard.images.picture import SUFFIXES, Broken, Entry
from steerboard.images.spans import Span, stamp_of, url_of
from steerboard.spec.errors import NotFound

SPLITS = ("train", "training", "val", "valid", "validation", "dev", "test")


@dataclass(frozen=True)
class Folder:
    """Every picture below a folder, by path.

    A first folder named like a split (``train``, ``test``, ...) is the split; the next one is the
    class. A picture that lies in no such folder has none.

    Args:
        place: fsspec URL of the folder.
    """

    place: str

    def entries(self) -> Iterator[Entry | Broken]:
        """By path; raises NotFound where there is no such folder."""
        fs, root = fsspec.core.url_to_fs(self.place)
        if not fs.isdir(root):
            raise NotFound(f"there is no folder {self.place}: name one that holds pictures")
        for path in sorted(fs.find(root)):
            if path.lower().endswith(SUFFIXES):
                key = path[len(root) :].lstrip("/")
                split, label = where(key)
                at = Span(url_of(fs, path))
                yield Entry(key, partial(fs.cat_file, path), label, split, at=at)

    def stamp(self) -> str:
        """Over every picture."""
        fs, root = fsspec.core.url_to_fs(self.place)
        found = fs.find(root, detail=True)
        return stamp_of(found[p] for p in sorted(found) if p.lower().endswith(SUFFIXES))


def where(key: str) -> tuple[str, str]:
    """Split and class of a path within a set; empty where the path does not say."""
    folders = PurePosixPath(key).parts[:-1]
    split = folders[0] if folders and folders[0] in SPLITS else ""
    rest = folders[1:] if split else folders
    return split, rest[0] if rest else ""
