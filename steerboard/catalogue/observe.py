"""From pictures to records, over any Runner: their codes, embeddings and thumbnails."""

import io
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from PIL import Image, ImageOps

from steerboard.catalogue.records import Record, Seen
from steerboard.catalogue.records import recorded as records_of
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
JPEG, MARKER, SCAN = b"\xff\xd8", b"\xff", 0xDA
FRAMES = (0xC0, 0xC1, 0xC2)  # baseline, extended, progressive
TELLING = (b"Exif", b"MPF\0")


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
            yield question(info, dictionary, batch)

    for i, answer in runner.stream(questions()):
        if isinstance(answer, SteerboardError):
            raise answer
        yield observed(held.pop(i), answer.items, info.prefix_tokens)


def question(info: ModelInfo, dictionary: str, pictures: Sequence[Picture]) -> Encode:
    """What is asked about pictures: their codes and embeddings."""
    images = tuple(Encoded(data=p.data) for p in pictures)
    return Encode(model=info.id, images=images, dictionary=dictionary, embed=True)


def observed(
    pictures: Sequence[Picture], codes: Sequence[Code | SteerboardError], prefix: int
) -> Observed:
    """A batch from its answers; a picture that was refused is broken."""
    good, found, broken = [], [], []
    for picture, code in zip(pictures, codes, strict=True):
        if isinstance(code, SteerboardError):
            # The place within the question says nothing to whoever asked about a set.
            broken.append(Broken(picture.key, NUMBERED.sub("the picture", code.message)))
        else:
            good.append(seen(picture, code))
            found.append(code)
    return Observed(tuple(pictures), tuple(records_of(good, found, prefix)), tuple(broken))


def seen(picture: Picture, code: Code) -> Seen:
    """What is kept of a picture besides its code; raises Internal where it was not embedded."""
    if code.embedding is None:
        raise Internal(
            "the inference service is too old to give embeddings with codes: update it",
            field="embed",
        )
    return Seen(picture.sha256, facts(picture), code.embedding, thumbnail(picture.data))


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
    if len(data) <= LIGHT and is_small(data):
        return data
    image = Image.open(io.BytesIO(data))
    image.draft("RGB", (2 * SIDE, 2 * SIDE))
    small = ImageOps.exif_transpose(image).convert("RGB")
    small.thumbnail((SIDE, SIDE))
    out = io.BytesIO()
    small.save(out, "JPEG", quality=80)
    return out.getvalue()


def is_small(data: bytes) -> bool:
    """Whether a picture is a thumbnail already, and tells nothing but what it shows.

    A JPEG of three colours, without EXIF or further pictures behind it: that stands in its head,
    which takes Pillow longer to open than a record takes to make.
    """
    at, fits = 2, False
    while data[:2] == JPEG and data[at : at + 1] == MARKER and at + 9 < len(data):
        kind, size = data[at + 1], int.from_bytes(data[at + 2 : at + 4])
        if kind == SCAN:
            return fits
        if kind in FRAMES:
            sides = (int.from_bytes(data[at + i : at + i + 2]) for i in (5, 7))
            fits = max(sides) <= SIDE and data[at + 9] == 3
        elif data[at + 4 : at + 8] in TELLING:
            return False
        at += 2 + size
    return False


def batched(pictures: Iterable[Picture], size: int = BATCH) -> Iterator[tuple[Picture, ...]]:
    """Some at a time, lazily."""
    pictures = iter(pictures)
    while part := tuple(islice(pictures, size)):
        yield part
