"""Opens a catalogue of whatever schema."""

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq

from steerboard.catalogue.file import NUMBER, Catalogue
from steerboard.catalogue.first_schema import FirstCatalogue
from steerboard.spec.errors import InvalidRequest, NotFound


def model_of(place: str) -> str:
    """The model of a catalogue; empty where the file does not say, or there is none."""
    try:
        found = open_catalogue(place)
    except (NotFound, InvalidRequest):
        return ""  # whoever opens it is told
    return str(found.about["model"]) if isinstance(found, Catalogue) else ""


def open_catalogue(place: str) -> Catalogue | FirstCatalogue:
    """The reader of a file.

    Raises:
        NotFound: There is none.
        InvalidRequest: It is none, is damaged, or was written by a later version.
    """
    fs, path = fsspec.core.url_to_fs(place)
    if fs.exists(path):
        try:
            with fs.open(path, "rb") as file:
                held = pq.ParquetFile(file).metadata.metadata or {}
        except (pa.ArrowInvalid, IsADirectoryError) as error:
            raise InvalidRequest(f"{place} is no catalogue, or a damaged one: {error}") from error
        if held.get(NUMBER) == b"1":
            return FirstCatalogue(place)
    return Catalogue(place)
