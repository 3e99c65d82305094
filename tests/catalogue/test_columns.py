"""Columns against what pyarrow makes of the same values."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from steerboard.catalogue.columns import column, numbers, table

RAGGED = [np.arange(3), np.arange(0), np.arange(4, 9)]
CASES: list[tuple[pa.DataType, Any]] = [
    (pa.int32(), np.array([3, 1, 2], np.int64)),
    (pa.float32(), [0.5, None, -1.0]),
    (pa.float32(), [None] * 9),
    (pa.string(), ["a", None, "ü", ""]),
    (pa.binary(), [b"", b"ab", None]),
    (pa.binary(2), [b"ab", b"cd"]),
    (pa.list_(pa.int32()), RAGGED),
    (pa.list_(pa.float32()), [[0.5], None, [], [1, 2]]),
    (pa.list_(pa.string()), [["a", "b"], [], None]),
    (pa.list_(pa.binary(2)), [[b"ab"], [], [b"cd", b"ef"]]),
    (pa.list_(pa.int64()), []),
]


@pytest.mark.parametrize(("kind", "values"), CASES, ids=str)
def test_a_column_is_what_pyarrow_makes_of_the_values(kind: pa.DataType, values: Any) -> None:
    found = column(kind, values)
    found.validate(full=True)
    assert found.equals(pa.array(values, kind))


def test_a_table_has_its_columns_in_the_order_of_the_schema() -> None:
    schema = pa.schema([("b", pa.int32()), ("a", pa.string())])
    rows = table({"a": ["x", None], "b": np.array([1, 2])}, schema)
    assert rows.schema.equals(schema)
    assert rows.to_pylist() == [{"b": 1, "a": "x"}, {"b": 2, "a": None}]


@pytest.mark.parametrize("kind", [pa.int32(), pa.int64(), pa.float32(), pa.float64()], ids=str)
def test_numbers_come_back_as_pyarrow_reads_them(kind: pa.DataType) -> None:
    """Of slices and of several chunks too, whose nulls begin amid a byte."""
    plain, some = pa.array(range(20), kind), pa.array([None, *range(17), None, 5], kind)
    for found in (
        plain, some, plain[3:9], some[3:], some[19:], some[:0],
        pa.chunked_array([plain[5:], some[11:], some[:3]]), pa.chunked_array([], kind),
    ):  # fmt: skip
        filled = found.fill_null(-1).to_numpy()
        if pa.types.is_floating(kind):
            filled = np.where(found.is_null().to_numpy(zero_copy_only=False), np.nan, filled)
        back = numbers(found, nothing=-1)
        assert back.dtype == kind.to_pandas_dtype()
        np.testing.assert_array_equal(back, filled)


def test_the_first_page_of_a_catalogue_imports_nothing_for_it(folder: Path) -> None:
    program = (
        "import sys;"
        "from steerboard.catalogue.file import Catalogue;"
        "from steerboard.catalogue.index import Index;"
        "from steerboard.catalogue.layout import layout;"
        "index = Index(Catalogue(sys.argv[1]));"
        "assert index.info.features > 20 and len(layout(index)) == len(index);"
        "assert index.catalogue.cards(index.features) and index.units.any();"
        "sys.exit('pandas' in sys.modules)"
    )
    place = str(folder / "middle.parquet")
    done = subprocess.run([sys.executable, "-c", program, place], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_nothing_is_imported_for_it() -> None:
    """A build that waits for pandas, which it does not use, waits for a second and more."""
    program = (
        "import sys, pyarrow as pa;"
        "from steerboard.catalogue.columns import table;"
        "from steerboard.catalogue.thumbnails import write_thumbnails;"
        "table({'a': [[1.0], None]}, pa.schema([('a', pa.list_(pa.float32()))]));"
        "write_thumbnails(sys.argv[1], {'00' * 32: b'jpeg'});"
        "sys.exit('pandas' in sys.modules)"
    )
    place = "memory://catalogue.parquet"
    done = subprocess.run([sys.executable, "-c", program, place], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
