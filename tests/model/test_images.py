"""What people upload: every kind of file either becomes upright RGB or gets a clear sentence."""

import io
import struct
import zlib
from typing import Any

import numpy as np
import pytest
from PIL import Image

from steerboard.model.images import MAX_BYTES, decode
from steerboard.spec.errors import BadImage

RED = (200, 30, 40)


def encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def plain(size: tuple[int, int] = (40, 30)) -> Image.Image:
    return Image.new("RGB", size, RED)


@pytest.mark.parametrize(
    "data",
    [
        encoded(plain(), "PNG"),
        encoded(plain(), "WEBP", lossless=True),
        encoded(plain().convert("CMYK"), "TIFF"),
        encoded(plain().convert("P", palette=Image.Palette.ADAPTIVE), "PNG"),
        encoded(plain(), "GIF", save_all=True, append_images=[Image.new("RGB", (40, 30), "blue")]),
        encoded(plain().convert("RGBA"), "PNG"),
    ],
    ids=["png", "webp", "cmyk", "palette", "animated", "alpha"],
)
def test_becomes_rgb_of_the_same_colour(data: bytes) -> None:
    image = decode(data)
    assert image.mode == "RGB" and image.size == (40, 30)
    assert np.abs(np.asarray(image, int) - RED).max() <= 8


def test_transparency_is_laid_on_white() -> None:
    clear = encoded(Image.new("RGBA", (8, 8), (*RED, 0)), "PNG")
    assert decode(clear).getpixel((4, 4)) == (255, 255, 255)


def test_sixteen_bits_are_scaled_and_not_clipped() -> None:
    ramp = np.linspace(0, 65535, 64, dtype=np.uint16).reshape(8, 8)
    grey = np.asarray(decode(encoded(Image.fromarray(ramp), "PNG")))[..., 0].ravel()
    assert grey[0] == 0 and grey[-1] == 255 and (np.diff(grey.astype(int)) > 0).all()


def test_exif_turns_the_picture_upright() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    assert decode(encoded(plain(), "JPEG", exif=exif)).size == (30, 40)


def huge_png(side: int = 20_000) -> bytes:
    """Only a header: refusing it must not need the pixels."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return (
            struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        )

    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 64)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"", "is empty"),
        (b"hello, I am no picture", "is not a picture"),
        (encoded(plain((300, 300)), "JPEG")[:400], "damaged or cut short"),
        (encoded(plain((300, 300)), "PNG")[:200], "damaged or cut short"),
        (huge_png(), "more pixels than the limit of 50 million: scale it down"),
        (huge_png(9000), "9000 x 9000 pixels"),
        (b"\xff" * (MAX_BYTES + 1), "more than the limit of 20 MiB"),
    ],
    ids=["empty", "text", "cut jpeg", "cut png", "bomb", "large", "heavy"],
)
def test_is_refused_with_a_sentence(data: bytes, sentence: str) -> None:
    with pytest.raises(BadImage, match=sentence):
        decode(data)
