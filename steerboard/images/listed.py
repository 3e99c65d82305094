"""A set listed once, whose pictures are read when they are asked for, as often as they are.

Where their bytes lie as they are, they are read there; those of a table or of a compressed tar are
put down in a temporary file meanwhile, so that no set ever lies in memory.
"""

import tempfile
import weakref
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property, partial
from threading import Lock

from steerboard.images.picture import Broken, Entry, Source, Value
from steerboard.images.report import Report, facts
from steerboard.spec.errors import InvalidRequest, NotFound


@dataclass(frozen=True)
class ListedPicture:
    """One picture; ``attributes`` are all that the set says of it, its label and split as well."""

    key: str
    read: Callable[[], bytes] = field(repr=False)
    label: str
    attributes: Mapping[str, Value]

    @property
    def data(self) -> bytes:
        """Its bytes, read anew each time; raises NotFound."""
        try:
            return self.read()
        except (OSError, ValueError) as error:
            raise NotFound(f"picture {self.key} cannot be read: {error}") from error


class Spool:
    """A temporary file of pictures that lie nowhere as they are; gone with whoever holds it."""

    def __init__(self) -> None:
        self._file, self._lock = tempfile.TemporaryFile(), Lock()  # noqa: SIM115
        weakref.finalize(self, self._file.close)

    def put(self, data: bytes) -> Callable[[], bytes]:
        """Write a picture down; what reads it again."""
        with self._lock:
            start = self._file.seek(0, 2)
            return partial(self.get, start, self._file.write(data))

    def get(self, start: int, size: int) -> bytes:
        """So many bytes from there on."""
        with self._lock:
            self._file.seek(start)
            return self._file.read(size)


@dataclass(frozen=True)
class ListedSet:
    """The pictures of a split in the set's order, each read when its bytes are asked for.

    Args:
        name: What the set is called.
        source: Where they come from.
        split: Which of them; empty: all.
    """

    name: str
    source: Source
    split: str = ""

    @cached_property
    def _listed(self) -> tuple[list[ListedPicture], Report]:
        """Raises InvalidRequest where there is no picture of the split."""
        found, report, spool = list[ListedPicture](), Report(), Spool()
        report.seen.split = self.split
        for entry in self.source.entries():
            if isinstance(entry, Broken):
                report.add(entry)
                continue
            report.seen.note(entry, True)
            if self.split in ("", entry.split):
                found.append(listed(entry, spool))
        if not found:
            raise InvalidRequest(f"image set {self.name}: {report.seen.why_none()}", field="split")
        return found, report

    @property
    def broken(self) -> Report:
        """How many of its entries name no picture, and why; raises as ``len`` does."""
        return self._listed[1]

    def __len__(self) -> int:
        return len(self._listed[0])

    def __iter__(self) -> Iterator[ListedPicture]:
        return iter(self._listed[0])


def listed(entry: Entry, spool: Spool) -> ListedPicture:
    """An entry as a picture that can be read later."""
    read = entry.at.read if entry.at else spool.put(entry.read())
    return ListedPicture(entry.key, read, entry.label, facts(entry))
