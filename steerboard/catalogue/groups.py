"""Row groups of a Parquet file behind fsspec: the foot is read once, a group when it is asked for.

A file of this machine is mapped into memory and stays so: a page of features takes no opening, and
a file that is written anew (under another name, then moved) is never read half old and half new.
"""

from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq


class Groups:
    """The row groups of one file; for several threads.

    Args:
        fs: An fsspec file system.
        path: On it.

    Attributes:
        foot: The file's metadata.
        lowest: The smallest value of the first column in each group; groups rise by it.
        near: Whether the file lies on this machine.
    """

    def __init__(self, fs: Any, path: str) -> None:
        self._fs, self._path = fs, path
        # Zero copies: the buffer is the mapping.
        self.near = "file" in fs.protocol
        self._mapped = pa.memory_map(path).read_buffer() if self.near else None
        with self._source() as source:
            self.foot = pq.ParquetFile(source).metadata
        groups = map(self.foot.row_group, range(self.foot.num_row_groups))
        self.lowest: list[Any] = [group.column(0).statistics.min for group in groups]

    def read(self, numbers: Sequence[int], columns: Sequence[str]) -> pa.Table:
        """Some columns of some groups, in the order asked."""
        with self._source() as source:
            file = pq.ParquetFile(source, metadata=self.foot)
            return file.read_row_groups(list(numbers), columns=list(columns), use_threads=False)

    def columns(self, names: Sequence[str]) -> pa.Table:
        """Some columns of all groups, and nothing else from the file."""
        with self._source() as source:
            return pq.ParquetFile(source, metadata=self.foot).read(columns=list(names))

    def _source(self) -> Any:
        """What pyarrow reads from: a reader of its own for each call."""
        if self._mapped is None:
            return self._fs.open(self._path, "rb")
        return pa.BufferReader(self._mapped)
