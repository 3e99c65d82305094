"""A set read once: a row a picture with its digest, what is known of it, and where its bytes lie.

Kept as Parquet, so that who needs only places reads only those, and 100,000 pictures are hashed
once and not at every start.
"""

import json
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from functools import cached_property
from itertools import islice
from secrets import token_hex
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from steerboard.images.image_set import read_entry
from steerboard.images.manifests import text
from steerboard.images.picture import LISTED, Broken, Entry, Lasting, Picture
from steerboard.images.spans import Span
from steerboard.spec.catalogue import ImageCard

SCHEMA = 1  # raised when an index of before can no longer be read
ABOUT = b"steerboard"
OWN = ("path", "split", "group", "label")
TOGETHER, THREADS = 64, 8  # pictures in memory, and how many are read at a time
COLUMNS = pa.schema(
    [
        ("sha256", pa.string()),
        ("url", pa.string()),
        ("start", pa.int64()),
        ("size", pa.int64()),
        ("card", pa.string()),
    ]
)


@dataclass(frozen=True)
class Index:
    """The pictures of a set that can be read, and those that cannot.

    Attributes:
        table: A row a picture; where ``url`` is empty, its bytes were handed to ``keep``.
        stamp: Of the source when it was read.
        broken: How many cannot be read.
        named: The first of those, each with the reason.
    """

    table: pa.Table
    stamp: str = ""
    broken: int = 0
    named: tuple[Broken, ...] = ()

    @cached_property
    def cards(self) -> tuple[ImageCard, ...]:
        """What is known of each picture, in the order of the set."""
        held = self.table.column("card").to_pylist()
        return tuple(map(ImageCard.model_validate_json, held))

    def span(self, sha256: str) -> Span | None:
        """Where the bytes of a picture lie; with an empty URL: kept. None: not of this set."""
        row = self._rows.get(sha256)
        if row is None:
            return None
        return Span(*(self.table.column(n)[row].as_py() for n in ("url", "start", "size")))

    @cached_property
    def kept(self) -> frozenset[str]:
        """Digests of the pictures whose bytes were handed to ``keep``."""
        rows = zip(*(self.table.column(n).to_pylist() for n in ("sha256", "url")), strict=True)
        return frozenset(sha256 for sha256, url in rows if not url)

    @cached_property
    def _rows(self) -> dict[str, int]:
        return {d: i for i, d in enumerate(self.table.column("sha256").to_pylist())}

    def told(self, count: int) -> str:
        """How many are broken, and the first of them by name; empty where none is."""
        if not self.broken:
            return ""
        first = "; ".join(f"{b.key}: {b.why}" for b in self.named[:count])
        more = "; ..." if self.broken > count else ""
        whole = self.broken + self.table.num_rows
        return f"{self.broken} of {whole} pictures cannot be read: {first}{more}"

    def write(self, fs: Any, path: str) -> None:
        """Keep it as a file, whole or not at all for who reads meanwhile."""
        about = {
            "schema": SCHEMA,
            "stamp": self.stamp,
            "broken": self.broken,
            "named": [asdict(b) for b in self.named],
        }
        sink = pa.BufferOutputStream()
        pq.write_table(self.table.replace_schema_metadata({ABOUT: json.dumps(about)}), sink)
        whole(fs, path, sink.getvalue().to_pybytes())


def read_index(fs: Any, path: str) -> Index | None:
    """What was kept; None where there is nothing that can be used."""
    try:
        table = pq.read_table(pa.BufferReader(fs.cat_file(path)))
        about = json.loads((table.schema.metadata or {})[ABOUT])
        if about["schema"] != SCHEMA:
            return None
        named = tuple(Broken(**b) for b in about["named"])
        return Index(table, about["stamp"], about["broken"], named)
    except (OSError, ValueError, KeyError, TypeError, pa.ArrowException):
        return None


def index(
    source: Lasting,
    keep: Callable[[str, bytes], None],
    progress: Callable[[int], None] = lambda count: None,
) -> Index:
    """Read every picture of a source once; raises what its ``entries`` does.

    Args:
        source: The set.
        keep: Takes digest and bytes of a picture that lies nowhere by itself.
        progress: Told how many were read.
    """
    stamp = source.stamp()
    columns: dict[str, list[Any]] = {name: [] for name in COLUMNS.names}
    broken, named = 0, list[Broken]()
    for at, found in read_all(source.entries()):
        if isinstance(found, Broken):
            broken += 1
            named += [found] if len(named) < LISTED else []
            continue
        if not at.url:
            keep(found.sha256, found.data)
        row = found.sha256, at.url, at.start, at.size, card(found).model_dump_json()
        for column, value in zip(columns.values(), row, strict=True):
            column.append(value)
        progress(len(columns["url"]))
    return Index(pa.table(columns, COLUMNS), stamp, broken, tuple(named))


def read_all(entries: Iterable[Entry | Broken]) -> Iterator[tuple[Span, Picture | Broken]]:
    """What reading each entry gave, and where it lies; some at a time and in their order."""
    rest = iter(entries)
    with ThreadPoolExecutor(THREADS, "pictures") as pool:
        while some := list(islice(rest, TOGETHER)):
            yield from pool.map(tried, some)


def tried(entry: Entry | Broken) -> tuple[Span, Picture | Broken]:
    """A picture, decoded and found good, or why it is not."""
    if isinstance(entry, Broken):
        return Span(""), entry
    return entry.at or Span(""), read_entry(entry)


def card(picture: Picture) -> ImageCard:
    """What is known of a picture, as the library shows it."""
    return ImageCard(
        sha256=picture.sha256,
        path=picture.key,
        split=picture.split,
        group=text(picture.attributes.get("group")),
        label=picture.label,
        attributes={k: v for k, v in picture.attributes.items() if k not in OWN},
    )


def whole(fs: Any, path: str, data: bytes) -> None:
    """Write a file so that another process never reads half of it."""
    half = f"{path}.{token_hex(8)}"
    fs.makedirs(path.rpartition("/")[0], exist_ok=True)
    fs.pipe_file(half, data)
    fs.mv(half, path)
