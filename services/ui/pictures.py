"""Pictures and heat maps as the views draw them."""

import base64
import io
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import assert_never

import numpy as np
from PIL import Image, ImageOps

from steerboard.spec.capabilities import ModelInfo, ResizeMode
from steerboard.spec.errors import BadImage

RED = np.array([214, 52, 32], np.float64)
BLUE = np.array([29, 95, 190], np.float64)
PALE = 0.65  # of white over what the model does not see
WORTH_A_WORD = 0.02  # of a side


@dataclass(frozen=True)
class Eye:
    """Which part of a picture a model sees: how it is brought to (height, width)."""

    size: tuple[int, int]
    mode: ResizeMode

    def seen(self, image: Image.Image, side: int) -> Image.Image:
        """That part, its longer side ``side`` pixels long; what is bent to fit stays unbent.

        Source: open_clip's ``image_transform_v2``, whose crop is the middle one.
        """
        tall, wide = (max(1, round(side * n / max(self.size))) for n in self.size)
        match self.mode:
            case "squash":
                return scaled(image, side)
            case "shortest":
                return ImageOps.fit(image, (wide, tall), Image.Resampling.LANCZOS)
            case "longest":
                return ImageOps.pad(image, (wide, tall), Image.Resampling.LANCZOS)
        assert_never(self.mode)

    def margins(self, picture: tuple[int, int]) -> tuple[int, int]:
        """Pixels of a picture of (width, height) that are not seen, at each side and end."""
        if self.mode != "shortest":
            return 0, 0
        scale = max(self.size[1] / picture[0], self.size[0] / picture[1])
        across, down = self.size[1] / scale, self.size[0] / scale
        return round((picture[0] - across) / 2), round((picture[1] - down) / 2)


def eye(model: ModelInfo) -> Eye:
    """A model's."""
    return Eye(model.image_size, model.resize_mode)


def upright(data: bytes, side: int) -> Image.Image:
    """The first frame as upright RGB, as the model reads it: 16 bits scaled, alpha on white.

    Raises:
        BadImage: The bytes cannot be drawn.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            file = Image.open(io.BytesIO(data))
            file.draft("RGB", (4 * side, 4 * side))  # JPEG only: unpack no more than is shown
            image = ImageOps.exif_transpose(file)
            if image.mode.startswith(("I", "F")):
                image = shallow(image)
            if "A" in image.getbands() or "transparency" in image.info:
                layer = image.convert("RGBA")
                image = Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer)
            return image.convert("RGB")
    except (OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError) as error:
        raise BadImage("the picture cannot be drawn: choose another one") from error


def shallow(image: Image.Image) -> Image.Image:
    """16-bit grey in 8 bits by its full scale; what is deeper by its own range."""
    values = np.asarray(image, np.float64)
    deep = image.mode.startswith("I;16") or (values.max(initial=0) > 255 and image.mode != "F")
    top = 65535.0 if deep else max(float(values.max(initial=1)), 1.0)
    return Image.fromarray((values.clip(0, top) / top * 255).astype(np.uint8))


def enlarged(data: bytes, side: int) -> Image.Image:
    """The picture with its longer side ``side`` pixels long."""
    return scaled(upright(data, side), side)


def scaled(image: Image.Image, side: int) -> Image.Image:
    """The same of a picture that is open."""
    scale = side / max(image.size)
    size = max(1, round(image.width * scale)), max(1, round(image.height * scale))
    return image.resize(size, Image.Resampling.LANCZOS)


@lru_cache(maxsize=100)
def veiled(data: bytes, eye: Eye, side: int) -> tuple[bytes, bool]:
    """The picture, pale where the model does not see it, and whether that is worth a word; PNG."""
    image = enlarged(data, side)
    pale = Image.blend(image, Image.new("RGB", image.size, "white"), PALE)
    left, top = eye.margins(image.size)
    pale.paste(image.crop((left, top, image.width - left, image.height - top)), (left, top))
    out = io.BytesIO()
    pale.save(out, "PNG")
    return out.getvalue(), max(left / image.width, top / image.height) > WORTH_A_WORD


def viewed(data: bytes, eye: Eye, side: int) -> Image.Image:
    """What the model sees of a picture, its longer side ``side`` pixels long."""
    return eye.seen(upright(data, side), side)


def overlaid(data: bytes, heat: Sequence[Sequence[float]], eye: Eye, side: int) -> Image.Image:
    """Red where the map is positive, blue where it is negative, on what the model sees, paler."""
    image = viewed(data, eye, side)
    values = np.asarray(heat, np.float64)
    top = np.abs(values).max() if values.size else 0.0
    if not top:
        return image
    map_ = Image.fromarray((values / top).astype(np.float32)).resize(
        image.size, Image.Resampling.BILINEAR
    )
    strength = np.clip(np.asarray(map_, np.float64), -1, 1)[..., None]
    grey = 0.55 * np.asarray(image, np.float64) + 0.45 * 255
    colour = np.where(strength > 0, RED, BLUE)
    mixed = grey * (1 - 0.8 * np.abs(strength)) + colour * 0.8 * np.abs(strength)
    return Image.fromarray(mixed.clip(0, 255).astype(np.uint8))


def inline(image: Image.Image) -> str:
    """A picture as a ``data:`` address for the ``src`` of an ``img``."""
    out = io.BytesIO()
    image.save(out, "WEBP", quality=82)
    return "data:image/webp;base64," + base64.b64encode(out.getvalue()).decode()


# By Python's own hash of the bytes, which these keep, and not by Streamlit's cache: a page draws a
# hundred of them.
@lru_cache(maxsize=4000)
def thumbnail(data: bytes, side: int) -> str:
    """A small picture as a ``data:`` address."""
    return inline(enlarged(data, side))


@lru_cache(maxsize=500)
def heat_map(data: bytes, heat: tuple[tuple[float, ...], ...], eye: Eye, side: int) -> str:
    """What a model sees of a picture, under its heat map, as a ``data:`` address."""
    return inline(overlaid(data, heat, eye, side) if heat else viewed(data, eye, side))
