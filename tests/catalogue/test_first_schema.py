"""The catalogues that the demo ships are of the first schema, and go on being read."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from services.attribution.library import Library
from steerboard.catalogue.first_schema import FirstCatalogue
from steerboard.catalogue.folder import Folder
from steerboard.catalogue.opening import open_catalogue
from steerboard.spec.errors import InvalidRequest

ROWS = [
    {
        "feature": f,
        "firing_rate": 0.5,
        "maximum": 2.0,
        "images": ["a" * 64, "b" * 64],
        "activations": [2.0, 1.0],
        "heats": [[0.0, 1.0, 2.0, 0.5], [1.0, 0.0, 0.0, 0.0]],
        "rows": 2,
    }
    for f in (3, 8)
]


def save(place: Path, schema: str) -> str:
    table = pa.Table.from_pylist(ROWS).replace_schema_metadata({"steerboard.catalogue": schema})
    pq.write_table(table, place)
    return str(place)


def test_the_first_schema_is_read(tmp_path: Path) -> None:
    found = open_catalogue(save(tmp_path / "middle.parquet", "1"))
    assert isinstance(found, FirstCatalogue)
    (card,) = found.cards([8, 4], 1)
    assert (card.dictionary, card.feature, card.maximum, card.label) == ("middle", 8, 2.0, "")
    assert card.references[0].heat == ((0.0, 1.0), (2.0, 0.5)) and len(card.references) == 1


def test_a_later_schema_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest, match="has schema 9, and this version reads 2"):
        open_catalogue(save(tmp_path / "middle.parquet", "9"))


def test_the_library_reads_whatever_is_there_and_sees_that_it_was_rebuilt(
    tiny_house: Path, tmp_path: Path
) -> None:
    library = Library(tiny_house, str(tmp_path / "blobs"))
    library._catalogue = Folder(str(tmp_path))
    assert library.features("middle", [3]) == []
    save(tmp_path / "middle.parquet", "1")
    assert [c.feature for c in library.features("middle", [3, 4, 8])] == [3, 8]
    table = pa.Table.from_pylist(ROWS[:1]).replace_schema_metadata({"steerboard.catalogue": "1"})
    pq.write_table(table, tmp_path / "middle.parquet")
    assert [c.feature for c in library.features("middle", [3, 4, 8])] == [3]
