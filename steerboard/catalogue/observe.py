"""From pictures to records, over any Runner: their codes, embeddings and thumbnails."""

import io
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from PIL import Image, ImageOps

from steerboard.catalogue.records import Record, record
from steerboard.images.conditions import number
from steerboard.images.picture import Broken, Picture
from steerboard.spec.answers import Answer
from steerboard.spec.capabilities import ModelInfo
from steerboard.spec.errors import SteerboardError
from steerboard.spec.requests import Embed, Encode, Encoded
from steerboard.spec.runner import Runner

BATCH = 32
SIDE = 96  # pixels of a thumbnail's longer side
LONGEST_FACT = 80  # characters
Question = Encode | Embed


@dataclass(frozen=True)
class Observed:
    """Some pictures of a set: the records of the good ones, and the others with the reason."""

    pictures: tuple[Picture, ...]
    records: tuple[Record, ...]
    broken: tuple[Broken, ...]


def observe(
    runner: Runner, info: ModelInfo, dictionary: str, batches: Iterable[Sequence[Picture]]
) -> Iterator[Observed]:
    """The records of each batch, in the order in which answers come.

    Raises:
        SteerboardError: A question could not be answered as a whole.
    """
    held: dict[int, tuple[Picture, ...]] = {}
    halves: dict[int, dict[int, Answer[Any]]] = {}

    def questions() -> Iterator[Question]:
        for i, batch in enumerate(batches):
            held[i] = tuple(batch)
            images = tuple(Encoded(data=p.data) for p in batch)
            yield Encode(model=info.id, images=images, dictionary=dictionary)
            yield Embed(model=info.id, images=images)

    for place, answer in runner.stream(questions()):
        if isinstance(answer, SteerboardError):
            raise answer
        i, half = divmod(place, 2)
        both = halves.setdefault(i, {})
        both[half] = answer
        if len(both) == 2:
            codes, embeddings = halves.pop(i)[0], both[1]
            yield observed(held.pop(i), codes, embeddings, info.prefix_tokens)


def observed(
    pictures: Sequence[Picture], codes: Answer[Any], embeddings: Answer[Any], prefix: int
) -> Observed:
    """A batch from its two answers; a picture that either refused is broken."""
    records, broken = [], []
    for picture, code, embedding in zip(pictures, codes.items, embeddings.items, strict=True):
        if isinstance(code, SteerboardError) or isinstance(embedding, SteerboardError):
            wrong = code if isinstance(code, SteerboardError) else embedding
            broken.append(Broken(picture.key, wrong.message))
            continue
        records.append(
            record(
                picture.sha256,
                code,
                prefix,
                facts(picture),
                embedding.values,
                thumbnail(picture.data),
            )
        )
    return Observed(tuple(pictures), tuple(records), tuple(broken))


def facts(picture: Picture) -> list[str]:
    """The classes that a picture belongs to: its label, and what its attributes say in words."""
    own = {"label": picture.label, **picture.attributes}
    return [
        f"{name}={value}"
        for name, value in own.items()
        if isinstance(value, str | bool)
        and value != ""
        and (name == "label" or isinstance(value, bool) or number(value) is None)
        and len(f"{name}={value}") <= LONGEST_FACT
    ]


def thumbnail(data: bytes) -> bytes:
    """A small JPEG of a picture that decodes."""
    image = Image.open(io.BytesIO(data))
    image.draft("RGB", (2 * SIDE, 2 * SIDE))
    small = ImageOps.exif_transpose(image).convert("RGB")
    small.thumbnail((SIDE, SIDE))
    out = io.BytesIO()
    small.save(out, "JPEG", quality=80)
    return out.getvalue()


def batched(pictures: Iterable[Picture], size: int = BATCH) -> Iterator[tuple[Picture, ...]]:
    """Some at a time, lazily."""
    pictures = iter(pictures)
    while part := tuple(islice(pictures, size)):
        yield part
