"""What a catalogue takes from pictures: how strongly each feature answers, and where.

The response of a feature to a picture is its largest magnitude over tokens, as for expertise. Its
map holds the patches only, in 127ths of the response, signed. Its total, which reference pictures
go by, adds up the magnitudes of its patches, and of a prefix token larger than all of them.

A shard of records is a file; it is all that merging ever reads, so that a catalogue can be merged
again without the model.
"""

import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from steerboard.spec.answers import Code

Array = npt.NDArray[Any]
SHADES = 127
SCHEMA = 2
READ = (1, 2)  # in 1 all numbers of patches had four bytes


@dataclass(frozen=True)
class Record:
    """One picture.

    Attributes:
        sha256: Hex digest of its bytes.
        facts: Classes that it belongs to, such as ``label=owl``.
        features: ``[n]`` those that fire, rising.
        peaks: ``[n]`` the response of each.
        starts: ``[n + 1]`` where the map of each begins among ``patches`` and ``shades``.
        patches: ``[s]`` patches, counted row by row.
        shades: ``[s]`` activation in 127ths of the response.
        embedding: ``[d]``, of unit length; ``[0]`` where none was asked for.
        thumbnail: A small JPEG, or empty.
    """

    sha256: str
    facts: tuple[str, ...]
    features: Array
    peaks: Array
    starts: Array
    patches: Array
    shades: Array
    embedding: Array
    thumbnail: bytes = b""


def record(
    sha256: str,
    code: Code,
    prefix: int,
    facts: Sequence[str] = (),
    embedding: Array | None = None,
    thumbnail: bytes = b"",
) -> Record:
    """The record of a picture's code ``[t, f]``; its first ``prefix`` tokens are no patches."""
    order = np.argsort(code.features * code.shape[0] + code.tokens)
    which, tokens, values = code.features[order], code.tokens[order], code.values[order]
    first = np.flatnonzero(np.diff(which, prepend=-1))  # entries of each feature begin here
    sizes = np.abs(values).astype(np.float32)
    peaks = np.maximum.reduceat(sizes, first) if len(first) else sizes
    lies = tokens >= prefix
    own = np.repeat(peaks, np.diff(first, append=len(which)))
    shades = np.rint(SHADES * (values[lies] / own[lies])).astype(np.int8)
    patches = np.concatenate([[0], np.cumsum(lies)])
    return Record(
        sha256,
        tuple(sorted(set(facts))),
        which[first].astype(np.int32),
        peaks,
        patches[np.append(first, len(which))],
        (tokens[lies] - prefix).astype(np.int32),
        shades,
        np.zeros(0, np.float32) if embedding is None else embedding.astype(np.float32),
        thumbnail,
    )


def totals(records: Sequence[Record]) -> Array:
    """``[n]`` of each entry of some records, end to end, in units of activation.

    Where no patch reaches the response, a prefix token does.
    """
    peaks = joined([r.peaks for r in records], np.float32)
    shades = np.abs(joined([r.shades for r in records], np.int64))
    entry = np.repeat(np.arange(len(peaks)), joined([np.diff(r.starts) for r in records], np.int64))
    patches = np.bincount(entry, shades, len(peaks)) / SHADES
    reached = np.zeros(len(peaks), bool)
    reached[entry[shades == SHADES]] = True
    found: Array = (peaks * (patches + ~reached)).astype(np.float32)
    return found


def pack(records: Sequence[Record], small: bool = False) -> bytes:
    """A shard as a file: arrays end to end, without pickles.

    What is soon deleted is not worth a compressor's time, which is more than all the rest takes:
    only a ``small`` file is compressed.
    """
    thumbnails = [np.frombuffer(r.thumbnail, np.uint8) for r in records]
    arrays = {
        "head": text({"schema": SCHEMA, "facts": [r.facts for r in records]}),
        "digests": np.frombuffer(bytes.fromhex("".join(r.sha256 for r in records)), np.uint8),
        "entries": np.array([len(r.features) for r in records], np.int64),
        "features": joined([r.features for r in records], np.int32),
        "peaks": joined([r.peaks for r in records], np.float32),
        "spots": narrow(joined([np.diff(r.starts) for r in records], np.int32)),
        "patches": narrow(joined([r.patches for r in records], np.int32)),
        "shades": joined([r.shades for r in records], np.int8),
        "embeddings": np.stack([r.embedding for r in records]) if records else np.zeros((0, 0)),
        "thumbnails": joined(thumbnails, np.uint8),
        "thumbnail_sizes": np.array([len(t) for t in thumbnails], np.int64),
    }
    out = io.BytesIO()
    save = np.savez_compressed if small else np.savez
    save(out, **arrays)  # type: ignore[arg-type]
    return out.getvalue()


def unpack(data: bytes) -> list[Record]:
    """The records of a shard; raises ValueError for bytes that are none."""
    with np.load(io.BytesIO(data), allow_pickle=False) as file:
        held = {name: file[name] for name in file.files}
    head = json.loads(held["head"].tobytes())
    if head["schema"] not in READ:
        raise ValueError(f"a shard of schema {head['schema']}, and this version reads {READ}")
    digests, patches = held["digests"].tobytes(), held["patches"].astype(np.int32)
    ends = np.cumsum(held["entries"])
    spots = np.concatenate([[0], np.cumsum(held["spots"], dtype=np.int64)])
    thumbs = np.concatenate([[0], np.cumsum(held["thumbnail_sizes"])])
    out = []
    for i, (facts, stop) in enumerate(zip(head["facts"], ends.tolist(), strict=True)):
        start = stop - int(held["entries"][i])
        a, b = spots[start], spots[stop]
        out.append(
            Record(
                digests[32 * i : 32 * i + 32].hex(),
                tuple(facts),
                held["features"][start:stop],
                held["peaks"][start:stop],
                spots[start : stop + 1] - a,
                patches[a:b],
                held["shades"][a:b],
                held["embeddings"][i],
                held["thumbnails"][thumbs[i] : thumbs[i + 1]].tobytes(),
            )
        )
    return out


def joined(arrays: Sequence[Array], kind: Any) -> Array:
    """Arrays end to end, also where there are none."""
    return np.concatenate([np.zeros(0, kind), *arrays]).astype(kind)


def narrow(values: Array) -> Array:
    """Numbers from 0 on in as few bytes each as the largest takes."""
    return values.astype(np.min_scalar_type(int(values.max(initial=0))))


def text(value: object) -> Array:
    """JSON as bytes in an array."""
    return np.frombuffer(json.dumps(value, sort_keys=True).encode(), np.uint8)
