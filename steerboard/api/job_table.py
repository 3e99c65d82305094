"""The result of an attribution job as a Parquet file: a row a picture, the spec in its metadata.

``read_about`` gives back what a file says of itself; with that spec the job can be had again. Of a
set that is still at work the file holds the pictures that are done, and says so.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from secrets import token_hex
from typing import Any

import fsspec
from pydantic import TypeAdapter

from steerboard.api.jobs_client import JobClient, LibraryClient
from steerboard.spec import named
from steerboard.spec.errors import InvalidRequest
from steerboard.spec.jobs import AttributeResult

KEY = b"steerboard"
SCHEMA = 2  # the second has keys
ROWS = 2000  # of a row group
PAGE = 1000  # cards of pictures
KINDS = ("attribute", "attribute_set")
TEXTS = ("image", "key", "error", "reason", "kind")
WHOLE = ("index", "against")
NUMBERS = ("value", "rest", "error_term", "bias", "total", "baseline")
LISTS = ("scores", "errors", "activations", "peaks", "measured", "values")

_IMAGES: TypeAdapter[Any] = TypeAdapter(named.Listed)
Names = Callable[[set[str]], Mapping[str, str]]


def export(
    client: JobClient, job: str, place: str, names: Names = lambda wanted: {}
) -> dict[str, Any]:
    """Write a job's result, as far as it is there, to an fsspec URL.

    Args:
        client: The job door.
        job: Its id.
        place: Where the file goes.
        names: The keys of pictures within their set, by digest, as far as they are known; the
            door itself knows digests alone.

    Returns:
        What the file says of itself: spec, provenance, state, pictures, and a set's aggregate.

    Raises:
        InvalidRequest: The job is none of attribution.
        SteerboardError: What the job failed with.
    """
    status = next(client.watch(job))
    if status.kind not in KINDS:
        raise InvalidRequest(
            f"a job of kind {status.kind or 'unknown'} has no table: its result says where its"
            " files are",
            field="id",
        )
    about: dict[str, Any] = {"schema": SCHEMA, "job": job, "state": status.state}
    about |= client.about(job)
    results, keys = client.result(job, page_size=1000), names(digests(about["spec"]))
    found = ({**row, "key": keys.get(row["image"])} for row in rows(results, about))
    about["pictures"] = write(place, found, about)
    return about


def digests(spec: Mapping[str, Any]) -> set[str]:
    """The pictures of a job."""
    if "image" in spec:
        return {spec["image"]["sha256"]}
    return set(named.names(_IMAGES.validate_python(spec["images"])))  # of an older door, too


def served_keys(library: LibraryClient, wanted: set[str]) -> dict[str, str]:
    """Where pictures stand in the image sets that the door serves; no more is read than needed."""
    found: dict[str, str] = {}
    for image_set in library.image_sets():
        token, more = "", image_set.size > 0
        while more and len(found) < len(wanted):
            page = library.images(image_set.id, page_token=token, page_size=PAGE)
            found |= {c.sha256: c.path for c in page.items if c.sha256 in wanted}
            token = page.next
            more = bool(token)
    return found


def rows(results: Iterable[Any], about: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """A row for each picture; what is said of all of them goes into ``about``."""
    for result in results:
        if isinstance(result, AttributeResult):
            yield of_one(result, about)
        elif "image" in result:
            yield result
        else:
            about["aggregate"] = result


def of_one(found: AttributeResult, about: dict[str, Any]) -> dict[str, Any]:
    """The answer about one picture as a row of a set."""
    same = {n: getattr(found, n) for n in ("index", "against", "kind", "value", "rest", "bias")}
    units = found.features
    return {
        **same,
        "image": about["spec"]["image"]["sha256"],
        "error_term": found.error,
        "total": found.total,
        "baseline": found.baseline,
        "features": [u.feature for u in units],
        "scores": [u.score for u in units],
        "errors": [u.standard_error for u in units],
        "activations": [u.activation for u in units],
        "peaks": [u.peak for u in units],
        "measured": [u.measured for u in units],
    }


def write(place: str, found: Iterable[dict[str, Any]], about: dict[str, Any]) -> int:
    """Rows in groups, then ``about``; how many rows. The file appears when it is complete."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = columns()
    fs, path = fsspec.core.url_to_fs(place)
    fs.makedirs(path.rpartition("/")[0] or ".", exist_ok=True)
    half, count = f"{path}.{token_hex(6)}", 0
    with fs.open(half, "wb") as file, pq.ParquetWriter(file, schema) as writer:
        for group in grouped(found, ROWS):
            writer.write_table(pa.Table.from_pylist(group, schema))
            count += len(group)
        text = json.dumps({**about, "pictures": count}, sort_keys=True, allow_nan=False)
        writer.add_key_value_metadata({KEY.decode(): text})
    fs.mv(half, path)
    return count


def grouped(found: Iterable[dict[str, Any]], size: int) -> Iterator[list[dict[str, Any]]]:
    """Lists of at most ``size`` rows."""
    group: list[dict[str, Any]] = []
    for row in found:
        group.append(row)
        if len(group) == size:
            yield group
            group = []
    if group:
        yield group


def columns() -> Any:
    """The columns of a file."""
    import pyarrow as pa

    fields = [(name, pa.string()) for name in TEXTS]
    fields += [(name, pa.int64()) for name in WHOLE]
    fields += [(name, pa.float64()) for name in NUMBERS]
    fields += [("features", pa.list_(pa.int64()))]
    fields += [(name, pa.list_(pa.float64())) for name in LISTS]
    return pa.schema(fields)


def read_about(place: str) -> dict[str, Any]:
    """What a file says of itself; raises InvalidRequest for one that is none of ours."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with fsspec.open(place, "rb") as file:
            found = pq.read_metadata(file).metadata or {}
    except (OSError, pa.ArrowInvalid) as error:
        raise InvalidRequest(f"{place} is no Parquet file: {error}") from error
    if KEY not in found:
        raise InvalidRequest(f"{place} was not written by steerboard jobs fetch")
    about: dict[str, Any] = json.loads(found[KEY])
    return about
