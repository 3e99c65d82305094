"""What a catalogue takes from pictures: how strongly each feature answers, and where.

The response of a feature to a picture is its largest magnitude over tokens, as for expertise. Its
map holds the patches only, in 127ths of the response, signed. Its total, which reference pictures
go by, adds up the magnitudes of its patches, and of a prefix token larger than all of them.

A shard of records is a file; it is all that merging ever reads, so that a catalogue can be merged
again without the model.
"""

import io
import json
import math
import zipfile
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
MARK = b"steerboard shard\n"  # of a file that is no zip file
LEVEL = 1  # of compression: more takes three times as long for a twentieth
NONE = np.zeros(0, np.float32)


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


@dataclass(frozen=True)
class Seen:
    """What a record says of a picture besides its code: see ``Record``."""

    sha256: str
    facts: Sequence[str] = ()
    embedding: Array | None = None
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
    (found,) = recorded([Seen(sha256, facts, embedding, thumbnail)], [code], prefix)
    return found


def recorded(seen: Sequence[Seen], codes: Sequence[Code], prefix: int) -> list[Record]:
    """The records of some pictures, whose entries are sorted all together."""
    tokens, size = codes[0].shape if codes else (0, 0)
    sizes = [len(code.values) for code in codes]
    place = joined([code.features for code in codes], np.int64)
    place += np.repeat(np.arange(len(codes)) * size, sizes)  # a picture, and a feature in it
    token = joined([code.tokens for code in codes], np.int64)
    order = np.argsort(place * tokens + token)
    place, token = place[order], token[order]
    values = joined([code.values for code in codes], np.float32)[order]
    first = np.flatnonzero(np.diff(place, prepend=-1))  # entries of each feature begin here
    sizes_of = np.abs(values)
    peaks = np.maximum.reduceat(sizes_of, first) if len(first) else sizes_of
    lies = token >= prefix
    own = np.repeat(peaks, np.diff(first, append=len(place)))
    shades = np.rint(SHADES * (values[lies] / own[lies])).astype(np.int8)
    patches = (token[lies] - prefix).astype(np.int32)
    starts = np.concatenate([[0], np.cumsum(lies)])[np.append(first, len(place))]
    features = (place[first] % max(size, 1)).astype(np.int32)
    ends = np.searchsorted(place[first], np.arange(len(codes) + 1) * size).tolist()
    cuts = starts[ends].tolist()
    return [
        Record(
            one.sha256,
            tuple(sorted(set(one.facts))),
            features[i:j],
            peaks[i:j],
            starts[i : j + 1] - a,
            patches[a:b],
            shades[a:b],
            NONE if one.embedding is None else one.embedding.astype(np.float32),
            one.thumbnail,
        )
        for one, i, j, a, b in zip(seen, ends, ends[1:], cuts, cuts[1:], strict=False)
    ]


def totals(records: Sequence[Record]) -> Array:
    """``[n]`` of each entry of some records, end to end, in units of activation.

    Where no patch reaches the response, a prefix token does.
    """
    peaks = joined([r.peaks for r in records], np.float32)
    sizes = joined([np.diff(r.starts) for r in records], np.int64)
    there = sizes > 0
    begins = (np.cumsum(sizes) - sizes)[there]
    shades = np.abs(joined([r.shades for r in records], np.int16))
    patches, reached = np.zeros(len(peaks)), np.zeros(len(peaks), bool)
    if len(begins):
        patches[there] = np.add.reduceat(shades, begins, dtype=np.int64) / SHADES
        reached[there] = np.maximum.reduceat(shades, begins) == SHADES
    found: Array = (peaks * (patches + ~reached)).astype(np.float32)
    return found


def pack(records: Sequence[Record], small: bool = False) -> bytes:
    """A shard as a file: arrays end to end, without pickles.

    What is soon deleted is worth neither a compressor's time nor a zip file's, which is more than
    all the rest takes: only a ``small`` file is compressed.
    """
    thumbnails = [np.frombuffer(r.thumbnail, np.uint8) for r in records]
    head = {"schema": SCHEMA, "facts": [r.facts for r in records]}
    arrays: dict[str, Array] = {
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
    if not small:
        return plain(head, arrays)
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED, compresslevel=LEVEL) as file:
        for name, array in {"head": text(head), **arrays}.items():
            with file.open(f"{name}.npy", "w") as member:
                np.lib.format.write_array(member, array, allow_pickle=False)
    return out.getvalue()


def plain(head: dict[str, Any], arrays: dict[str, Array]) -> bytes:
    """Arrays one behind the other, and before them what each is."""
    kinds = {name: (a.dtype.str, a.shape) for name, a in arrays.items()}
    told = json.dumps({**head, "arrays": kinds}).encode()
    parts = [MARK, len(told).to_bytes(8, "little"), told, *(a.tobytes() for a in arrays.values())]
    return b"".join(parts)


def opened(data: bytes) -> tuple[dict[str, Any], dict[str, Array]]:
    """Head and arrays of a shard; raises ValueError."""
    if not data.startswith(MARK):
        with np.load(io.BytesIO(data), allow_pickle=False) as file:
            held = {name: file[name] for name in file.files}
        return json.loads(held.pop("head").tobytes()), held
    at = len(MARK) + 8
    end = at + int.from_bytes(data[len(MARK) : at], "little")
    head = json.loads(data[at:end])
    arrays = {}
    for name, (kind, shape) in head["arrays"].items():
        count = math.prod(shape)
        found = np.frombuffer(data, kind, count, end) if count else np.zeros(0, kind)
        arrays[name] = found.reshape(shape)
        end += found.nbytes
    return head, arrays


def unpack(data: bytes) -> list[Record]:
    """The records of a shard; raises ValueError for bytes that are none."""
    head, held = opened(data)
    if head["schema"] not in READ:
        raise ValueError(f"a shard of schema {head['schema']}, and this version reads {READ}")
    digests, patches = held["digests"].tobytes().hex(), held["patches"].astype(np.int32)
    ends = [0, *np.cumsum(held["entries"]).tolist()]
    spots = np.concatenate([[0], np.cumsum(held["spots"], dtype=np.int64)])
    cuts = spots[ends].tolist()
    thumbs = [0, *np.cumsum(held["thumbnail_sizes"]).tolist()]
    small = held["thumbnails"].tobytes()
    features, peaks, shades = held["features"], held["peaks"], held["shades"]
    return [
        Record(
            digests[64 * i : 64 * i + 64],
            tuple(facts),
            features[ends[i] : ends[i + 1]],
            peaks[ends[i] : ends[i + 1]],
            spots[ends[i] : ends[i + 1] + 1] - cuts[i],
            patches[cuts[i] : cuts[i + 1]],
            shades[cuts[i] : cuts[i + 1]],
            held["embeddings"][i],
            small[thumbs[i] : thumbs[i + 1]],
        )
        for i, facts in enumerate(head["facts"])
    ]


def joined(arrays: Sequence[Array], kind: Any) -> Array:
    """Arrays end to end, also where there are none."""
    return np.concatenate([np.zeros(0, kind), *arrays]).astype(kind)


def narrow(values: Array) -> Array:
    """Numbers from 0 on in as few bytes each as the largest takes."""
    return values.astype(np.min_scalar_type(int(values.max(initial=0))))


def text(value: object) -> Array:
    """JSON as bytes in an array."""
    return np.frombuffer(json.dumps(value, sort_keys=True).encode(), np.uint8)
