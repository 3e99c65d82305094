"""Arrow columns from numpy's own memory, and numbers back.

``pa.array`` and ``to_numpy`` would look for pandas first, and where that is installed import it: a
second and more of a small build, or of the first page of a catalogue.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
import pyarrow as pa

from steerboard.catalogue.records import Array


@dataclass(frozen=True)
class Lists:
    """Rows of lists, or of byte strings, end to end; none is null.

    Attributes:
        counts: ``[n]`` how many values each row has.
        values: Of all rows; the bytes of byte strings.
    """

    counts: Array
    values: Array

    def __len__(self) -> int:
        return len(self.counts)


Values = Sequence[Any] | Array | Lists


def table(columns: Mapping[str, Values], schema: pa.Schema) -> pa.Table:
    """Columns by name as a table; None is null."""
    arrays = [column(f.type, columns[f.name]) for f in schema]
    return pa.Table.from_arrays(arrays, schema=schema)


def column(kind: pa.DataType, values: Values) -> pa.Array:
    """One column; lists may be arrays, and a plain array holds no null.

    Byte strings of one length may be an array of all their bytes.
    """
    if isinstance(values, Lists):
        return end_to_end(kind, values)
    if pa.types.is_fixed_size_binary(kind) and isinstance(values, np.ndarray):
        held = np.ascontiguousarray(values).view(np.uint8)
        return pa.Array.from_buffers(kind, held.size // kind.byte_width, [None, pa.py_buffer(held)])
    lacks = [] if isinstance(values, np.ndarray) else [v is None for v in values]
    valid = pa.py_buffer(np.packbits(~np.array(lacks), bitorder="little")) if any(lacks) else None
    if pa.types.is_list(kind):
        rows = [() if v is None else v for v in values]
        inner = column(kind.value_type, joined(rows))
        return pa.Array.from_buffers(kind, len(rows), [valid, ends(rows)], children=[inner])
    if pa.types.is_fixed_size_binary(kind):
        return pa.Array.from_buffers(kind, len(values), [valid, pa.py_buffer(b"".join(values))])
    if pa.types.is_string(kind) or pa.types.is_binary(kind):
        data = [b"" if v is None else v.encode() if isinstance(v, str) else v for v in values]
        held = pa.py_buffer(b"".join(data))
        return pa.Array.from_buffers(kind, len(data), [valid, ends(data), held])
    plain = [0 if v is None else v for v in values] if valid else values
    numbers = np.ascontiguousarray(plain, kind.to_pandas_dtype())
    return pa.Array.from_buffers(kind, len(numbers), [valid, pa.py_buffer(numbers)])


def end_to_end(kind: pa.DataType, rows: Lists) -> pa.Array:
    """One column of lists or of byte strings."""
    cuts = pa.py_buffer(np.cumsum([0, *rows.counts], dtype=np.int32))
    if pa.types.is_list(kind):
        inner = column(kind.value_type, rows.values)
        return pa.Array.from_buffers(kind, len(rows), [None, cuts], children=[inner])
    held = pa.py_buffer(np.ascontiguousarray(rows.values))
    return pa.Array.from_buffers(kind, len(rows), [None, cuts, held])


def numbers(found: pa.ChunkedArray | pa.Array, nothing: int = 0) -> Array:
    """A column of numbers; nan where a float is null, ``nothing`` where another number is."""
    chunks = found.chunks if isinstance(found, pa.ChunkedArray) else [found]
    kind = np.dtype(found.type.to_pandas_dtype())
    parts = [np.zeros(0, kind), *(numbers_of(chunk, kind, nothing) for chunk in chunks)]
    return np.concatenate(parts)


def numbers_of(chunk: pa.Array, kind: np.dtype[Any], nothing: int) -> Array:
    """The same of one array."""
    valid, held = chunk.buffers()
    last = chunk.offset + len(chunk)
    values = np.frombuffer(held, kind, last)[chunk.offset :] if last else np.zeros(0, kind)
    if not chunk.null_count:
        return values
    bits = np.unpackbits(np.frombuffer(valid, np.uint8), count=last, bitorder="little")
    null = np.nan if kind.kind == "f" else nothing
    filled: Array = np.where(bits[chunk.offset :].astype(bool), values, null).astype(kind)
    return filled


def ends(rows: Sequence[Any]) -> pa.Buffer:
    """Where each row begins, and where the last one ends."""
    return pa.py_buffer(np.cumsum([0, *map(len, rows)], dtype=np.int32))


def joined(rows: Sequence[Any]) -> Sequence[Any] | Array:
    """What lists hold, end to end."""
    if rows and all(isinstance(row, np.ndarray) for row in rows):
        return np.concatenate(rows)
    return list(chain.from_iterable(rows))
