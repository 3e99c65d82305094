"""A large synthetic catalogue on disk, as the explorer would find it: 49,152 features by default.

    python -m bench.catalogue_files FOLDER --features 49152 --pictures 20000

Written group by group through the catalogue's own schema, from columns made by lot; nothing of it
was measured. Beside it stand a house of its own (``steerboard.yaml``, the demo's model and
pictures)
so that the services can be started over it, and thumbnails of the pictures.
"""

import argparse
import hashlib
import io
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
from PIL import Image

from steerboard.catalogue.file import KEY, NUMBER, VERSION
from steerboard.catalogue.sums import BINS
from steerboard.catalogue.table import COLUMNS, GROUP, SCHEMA
from steerboard.catalogue.thumbnails import put, write_thumbnails

DEMO = Path(__file__).parents[1] / "demo"
LOOKS = ["red", "blue", "small", "old", "wet", "dark", "striped", "round"]
THINGS = ["car", "dog", "leaf", "wall", "sky", "water", "face", "sign", "wheel", "hand"]
WORDS = [f"{look} {thing}" for look in LOOKS for thing in THINGS]
TOP, CELLS, NEAR, CLASSES = 12, 196, 8, 200


def digests(count: int) -> list[bytes]:
    return [hashlib.sha256(str(i).encode()).digest() for i in range(count)]


def thumbnails(names: list[bytes]) -> dict[str, bytes]:
    """Small noisy pictures; a few dozen of them, given again and again."""
    rng, made = np.random.default_rng(0), []
    for _ in range(64):
        coarse = Image.fromarray(rng.integers(0, 255, (6, 6, 3), dtype=np.uint8))
        out = io.BytesIO()
        coarse.resize((96, 96)).save(out, "JPEG", quality=80)
        made.append(out.getvalue())
    return {name.hex(): made[i % len(made)] for i, name in enumerate(names)}


def tables(features: int, names: list[bytes], width: int) -> Iterator[pa.Table]:
    for first in range(0, features, GROUP):
        yield group(np.arange(first, min(features, first + GROUP)), features, names, width)


def group(own: np.ndarray, features: int, names: list[bytes], width: int) -> pa.Table:
    rng, n = np.random.default_rng(int(own[0])), len(own)
    fired = rng.integers(1, len(names), n)
    maximum = rng.lognormal(1, 0.6, n)
    near = rng.integers(0, features, (2, n, NEAR)).astype(np.int32)
    values = -np.sort(-rng.random((3, n, NEAR)), axis=2).astype(np.float32)
    classes = rng.integers(0, CLASSES, (n, 4))
    labelled = rng.random(n) < 0.6
    words = [WORDS[i] if t else None for i, t in zip(own % len(WORDS), labelled, strict=True)]
    columns = {
        "feature": own,
        "fired": fired,
        "firing_rate": fired / len(names),
        "mean": maximum * 0.4,
        "maximum": maximum,
        "clarity": rng.random(n),
        "polysemanticity": rng.random(n),
        "redundancy": values[0, :, 0],
        "label": words,
        "label_score": rng.random(n) / 2,
        "histogram": list(rng.integers(0, 90, (n, BINS))),
        "decoder_features": list(near[0]),
        "decoder_cosines": list(values[0]),
        "coactive_features": list(near[1]),
        "coactive_overlaps": list(values[1]),
        "classes": [[f"label=class {c}" for c in one] for one in classes],
        "class_ap": list(values[2][:, :4]),
        "class_auroc": list(values[2][:, :4]),
        "class_lift": list(values[2][:, :4]),
        "class_positives": list(np.full((n, 4), 50)),
        "meaning": [row.tobytes() for row in rng.standard_normal((n, width)).astype("<f2")],
        **pictures(rng, n, names, maximum, TOP, ""),
        **pictures(rng, n, names, maximum, 5, "sample_"),
    }
    return pa.table({k: pa.array(columns[k], t) for k, t in COLUMNS.items()}, schema=SCHEMA)


def pictures(
    rng: np.random.Generator, n: int, names: list[bytes], top: np.ndarray, count: int, prefix: str
) -> dict[str, list[object]]:
    which = rng.integers(0, len(names), (n, count))
    maps = rng.integers(0, 128, (n, count, CELLS)).astype(np.int8)
    maps[maps < 96] = 0
    return {
        f"{prefix}images": [[names[i] for i in one] for one in which],
        f"{prefix}activations": [t * np.linspace(1, 0.5, count) for t in top],
        f"{prefix}heats": [one.tobytes() for one in maps],
    }


def house(folder: Path) -> None:
    """A steerboard.yaml over the demo's model and pictures, with this folder's catalogue."""
    lines = (DEMO / "steerboard.yaml").read_text().replace("catalogue: catalogue", "catalogue: .")
    for name in ("model", "dictionaries", "images", "classes.json"):
        link = folder / name
        if not link.exists():
            link.symlink_to(DEMO / name)
    (folder / "steerboard.yaml").write_text(lines)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--features", type=int, default=49_152)
    parser.add_argument("--pictures", type=int, default=20_000)
    parser.add_argument("--width", type=int, default=128, help="of an embedding: the demo's is 128")
    told = parser.parse_args()
    told.folder.mkdir(parents=True, exist_ok=True)
    names = digests(told.pictures)
    about = {
        "model": "emojiland", "model_fingerprint": "synthetic", "dictionary": "large",
        "dictionary_fingerprint": "synthetic", "precision": "float32", "grid": [14, 14],
        "template": "a picture of a {}", "pictures": len(names), "set": "0" * 64,
        "size": told.features, "panel": len(names), "label_floor": 0.2,
    }  # fmt: skip
    head = {KEY: json.dumps(about, sort_keys=True).encode(), NUMBER: str(VERSION).encode()}
    place = str(told.folder / "large.parquet")
    put(place, SCHEMA.with_metadata(head), tables(told.features, names, told.width))
    write_thumbnails(place, thumbnails(names))
    house(told.folder)
    print(json.dumps({p.name: p.stat().st_size for p in sorted(told.folder.glob("*.parquet"))}))


if __name__ == "__main__":
    main()
