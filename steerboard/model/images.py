"""From the bytes of a picture file to what the model reads, refusing what it cannot."""

import io
import warnings

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from steerboard.spec.errors import BadImage

MAX_BYTES = 20 * 2**20
MAX_PIXELS = 50_000_000


def decode(data: bytes, name: str = "the picture") -> Image.Image:
    """The first frame as upright RGB.

    CMYK, 16-bit, palette and grey pictures are converted; transparency is laid on white.

    Raises:
        BadImage: Not a picture, damaged, or larger than ``MAX_BYTES`` or ``MAX_PIXELS``.
    """
    if not data:
        raise BadImage(f"{name} is empty: choose a file that holds a picture", field="images")
    if len(data) > MAX_BYTES:
        raise BadImage(
            f"{name} has {len(data) / 2**20:.1f} MiB, more than the limit of {MAX_BYTES >> 20} MiB:"
            " save it smaller",
            field="images",
        )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return _upright_rgb(Image.open(io.BytesIO(data)), name)
    except UnidentifiedImageError as error:
        raise BadImage(
            f"{name} is not a picture that can be read: use JPEG, PNG or WebP", field="images"
        ) from error
    except Image.DecompressionBombError as error:
        # Pillow refuses the largest before it tells their sides.
        raise BadImage(
            f"{name} has more pixels than the limit of {MAX_PIXELS // 1_000_000} million:"
            " scale it down",
            field="images",
        ) from error
    except (OSError, SyntaxError, ValueError, EOFError) as error:
        raise BadImage(
            f"{name} is damaged or cut short ({error}): save it anew", field="images"
        ) from error


def _upright_rgb(image: Image.Image, name: str) -> Image.Image:
    # The size stands in the header: refuse before a single pixel is unpacked.
    if image.width * image.height > MAX_PIXELS:
        raise BadImage(
            f"{name} has {image.width} x {image.height} pixels, more than the limit of"
            f" {MAX_PIXELS // 1_000_000} million: scale it down",
            field="images",
        )
    image.seek(0)
    image.load()
    image = ImageOps.exif_transpose(image)
    if image.mode.startswith(("I", "F")):
        return _from_deep(image)
    if "A" in image.getbands() or "transparency" in image.info:
        layer = image.convert("RGBA")
        ground = Image.new("RGBA", layer.size, "white")
        return Image.alpha_composite(ground, layer).convert("RGB")
    return image.convert("RGB")


def _from_deep(image: Image.Image) -> Image.Image:
    """16-bit grey to 8 bits by its full scale; 32-bit by its own range."""
    values = np.asarray(image, np.float64)
    top = (
        65535.0
        if values.max(initial=0) > 255 and image.mode != "F"
        else max(float(values.max(initial=1)), 1.0)
    )
    if image.mode.startswith("I;16"):
        top = 65535.0
    return Image.fromarray((values.clip(0, top) / top * 255).astype(np.uint8)).convert("RGB")
