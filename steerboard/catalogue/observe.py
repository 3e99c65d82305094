"""From pictures to records, over any Runner: their codes, embeddings and thumbnails."""

import io
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from PIL import Image, ImageOps

from steerboard.catalogue.records import Record, record
from steerboard.images.conditions import number
from steerboard.images.picture import Broken, Picture
from steerboard.spec.answers import Code
from steerboard.spec.capabilities import ModelInfo
from steerboard.spec.errors import Internal, SteerboardError
from steerboard.spec.requests import Encode, Encoded
from steerboard.spec.runner import Runner

BATCH = 32
SIDE = 96  # pixels of a thumbnail's longer side
NUMBERED = re.compile(r"^picture \d+\b")
LIGHT = 8192  # bytes of a picture that is its own thumbnail, at most
LONGEST_FACT = 80  # characters


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

    def questions() -> Iterator[Encode]:
        for i, batch in enumerate(batches):
            held[i] = tuple(batch)
            images = tuple(Encoded(data=p.data) for p in batch)
            yield Encode(model=info.id, images=images, dictionary=dictionary, embed=True)

    for i, answer in runner.stream(questions()):
        if isinstance(answer, SteerboardError):
            raise answer
        yield observed(held.pop(i), answer.items, info.prefix_tokens)


def observed(
    pictures: Sequence[Picture], codes: Sequence[Code | SteerboardError], prefix: int
) -> Observed:
    """A batch from its answers; a picture that was refused is broken."""
    records, broken = [], []
    for picture, code in zip(pictures, codes, strict=True):
        if isinstance(code, SteerboardError):
            # The place within the question says nothing to whoever asked about a set.
            broken.append(Broken(picture.key, NUMBERED.sub("the picture", code.message)))
        else:
            records.append(recorded(picture, code, prefix))
    return Observed(tuple(pictures), tuple(records), tuple(broken))


def recorded(picture: Picture, code: Code, prefix: int) -> Record:
    """The record of a picture; raises Internal where the server did not embed it."""
    if code.embedding is None:
        raise Internal(
            "the inference service is too old to give embeddings with codes: update it",
            field="embed",
        )
    small = thumbnail(picture.data)
    return record(picture.sha256, code, prefix, facts(picture), code.embedding, small)


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
    if is_small(image) and len(data) <= LIGHT:
        return data
    image.draft("RGB", (2 * SIDE, 2 * SIDE))
    small = ImageOps.exif_transpose(image).convert("RGB")
    small.thumbnail((SIDE, SIDE))
    out = io.BytesIO()
    small.save(out, "JPEG", quality=80)
    return out.getvalue()


def is_small(image: Image.Image) -> bool:
    """Whether a picture is a thumbnail already, and tells nothing but what it shows."""
    plain = image.format == "JPEG" and image.mode == "RGB" and not image.info.get("exif")
    return plain and max(image.size) <= SIDE


def batched(pictures: Iterable[Picture], size: int = BATCH) -> Iterator[tuple[Picture, ...]]:
    """Some at a time, lazily."""
    pictures = iter(pictures)
    while part := tuple(islice(pictures, size)):
        yield part
