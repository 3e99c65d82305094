"""What merging a large catalogue costs: memory over many synthetic records, opening, one page.

    python -m bench.catalogue --records 100000 --features 49152

Records are made by lot, shard by shard, as they would come from disk; features are active as
often as a power law says. Prints JSON: seconds and peak resident memory of the merge, then of the
whole, and milliseconds to open the file, for one page of cards and for one column.
"""

import argparse
import gc
import hashlib
import json
import resource
import tempfile
import time
from pathlib import Path

import numpy as np

from steerboard.catalogue.file import Catalogue, write
from steerboard.catalogue.partial import Partial
from steerboard.catalogue.records import Record
from steerboard.catalogue.shelf import Shelf
from steerboard.catalogue.table import Known

SHARD = 256
CLASSES = 100


def synthetic(
    first: int, features: int, active: int, cells: int, weights: np.ndarray, width: int
) -> list[Record]:
    """A shard of pictures, each with about ``active`` features, each on a few patches."""
    rng = np.random.default_rng(first)
    out = []
    for number in range(first, first + SHARD):
        own = np.unique(np.searchsorted(weights, rng.random(active)))
        own = own[own < features]
        peaks = rng.lognormal(0, 1, len(own)).astype(np.float32)
        spots = rng.integers(1, 6, len(own))
        starts = np.concatenate([[0], np.cumsum(spots)]).astype(np.int64)
        patches = rng.integers(0, cells, starts[-1]).astype(np.int32)
        shades = rng.integers(1, 128, starts[-1]).astype(np.int8)
        embedding = rng.standard_normal(width).astype(np.float32)
        embedding /= max(np.linalg.norm(embedding), 1e-9)
        sha = hashlib.sha256(str(number).encode()).hexdigest()
        facts = (f"label={number % CLASSES}",)
        out.append(Record(sha, facts, own, peaks, starts, patches, shades, embedding))
    return out


def resident() -> float:
    """Peak resident memory of this process in GB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--records", type=int, default=100_000)
    parser.add_argument("--features", type=int, default=49_152)
    parser.add_argument("--active", type=int, default=200)
    parser.add_argument("--cells", type=int, default=196)
    parser.add_argument("--width", type=int, default=512)
    parser.add_argument("--whole", action="store_true", help="write the file too")
    told = parser.parse_args()
    rate = 1 / (50 + np.arange(told.features))
    weights = np.cumsum(rate / rate.sum())
    partial = Partial(told.features, told.cells)
    shape = told.features, told.active, told.cells, weights, told.width
    began, inside = time.perf_counter(), 0.0
    for first in range(0, told.records, SHARD):
        records = synthetic(first, *shape)
        at = time.perf_counter()
        partial.add(str(first), records)
        inside += time.perf_counter() - at
    at = time.perf_counter()
    fired = partial.sums.fired  # takes in what still waited
    inside += time.perf_counter() - at
    found: dict[str, object] = {
        "records": partial.pictures,
        "features": int((fired > 0).sum()),
        "entries": int(fired.sum()),
        "merge_s": round(inside, 1),
        "made_s": round(time.perf_counter() - began - inside, 1),
        "merge_peak_gb": round(resident(), 2),
    }
    print(json.dumps(found), flush=True)
    if told.whole:
        print(json.dumps(written(partial, shape, told.records)))


def written(partial: Partial, shape: tuple[int, int, int, np.ndarray, int], records: int) -> object:
    """Look up, lay rows, write, and read it again."""
    shelf = Shelf(partial)
    for first in range(0, records, SHARD):
        shelf.add(synthetic(first, *shape))
    with tempfile.TemporaryDirectory() as folder:
        place = str(Path(folder) / "synthetic.parquet")
        at = time.perf_counter()
        about = {"dictionary": "d", "model": "m", "grid": [1, shape[2]], "template": "{}"}
        write(place, Known(partial, shelf), about)
        seconds = time.perf_counter() - at
        size = Path(place).stat().st_size
        gc.collect()
        return {
            "write_s": round(seconds, 1),
            "file_mb": round(size / 1e6, 1),
            "peak_gb": round(resident(), 2),
            **read(place, shape[0]),
        }


def read(place: str, features: int) -> dict[str, float]:
    """Milliseconds: to open, for a page of 24 cards, for the columns of a list, for meanings."""
    marks = [time.perf_counter()]
    catalogue = Catalogue(place)
    marks.append(time.perf_counter())
    catalogue.cards(range(features // 2, features // 2 + 24), 8)
    marks.append(time.perf_counter())
    catalogue.columns("feature", "firing_rate", "maximum", "label", "clarity")
    marks.append(time.perf_counter())
    catalogue.meanings()
    marks.append(time.perf_counter())
    names = ("open_ms", "page_ms", "columns_ms", "meanings_ms")
    return {n: round(1000 * s, 1) for n, s in zip(names, np.diff(marks), strict=True)}


if __name__ == "__main__":
    main()
