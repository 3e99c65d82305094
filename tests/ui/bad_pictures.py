"""Files that people bring: some no picture, some unusual ones that are read all the same."""

import io
import struct
import zlib

import numpy as np
from PIL import Image


def pattern(side: int = 96) -> Image.Image:
    """Something to look at."""
    rows, columns = np.mgrid[0:side, 0:side]
    pixels = np.stack([rows * 255 // side, columns * 255 // side, (rows + columns) % 256], axis=-1)
    return Image.fromarray(pixels.astype(np.uint8))


def saved(image: Image.Image, kind: str, **options: object) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def truncated() -> bytes:
    whole = saved(pattern(), "JPEG")
    return whole[: len(whole) // 2]


def huge(side: int = 20_000) -> bytes:
    """A small file that claims, truly, side x side black pixels."""

    def chunk(name: bytes, body: bytes) -> bytes:
        return (
            struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
        )

    packer = zlib.compressobj(9)
    row = b"\0" * (1 + side // 8)
    body = b"".join(packer.compress(row) for _ in range(side)) + packer.flush()
    header = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    parts = chunk(b"IHDR", header) + chunk(b"IDAT", body) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + parts


def animated() -> bytes:
    frames = [pattern(), pattern().rotate(90)]
    return saved(frames[0], "GIF", save_all=True, append_images=frames[1:], duration=100, loop=0)


def cmyk() -> bytes:
    return saved(pattern().convert("CMYK"), "JPEG")


def deep() -> bytes:
    """16 bits a pixel."""
    rows = np.mgrid[0:96, 0:96][0].astype(np.uint16)
    return saved(Image.fromarray(rows * 600), "PNG")


def see_through() -> bytes:
    image = pattern().convert("RGBA")
    image.putalpha(Image.linear_gradient("L").resize(image.size))
    return saved(image, "PNG")


REFUSED = {
    "letter.jpg": b"Dear Sir, this is no picture.",
    "empty.png": b"",
    "half.jpg": truncated(),
    "huge.png": huge(),
}
READ = {
    "moving.gif": animated(),
    "print.jpg": cmyk(),
    "deep.png": deep(),
    "glass.png": see_through(),
}
