"""Pictures and heat maps as the views draw them."""

import io
from collections.abc import Sequence

import numpy as np
from PIL import Image

RED = np.array([224, 62, 36], np.float64)
BLUE = np.array([33, 102, 196], np.float64)


def enlarged(data: bytes, side: int) -> Image.Image:
    """The picture with its longer side ``side`` pixels long; small ones keep their edges."""
    image = Image.open(io.BytesIO(data)).convert("RGB")
    scale = side / max(image.size)
    size = max(1, round(image.width * scale)), max(1, round(image.height * scale))
    return image.resize(size, Image.Resampling.LANCZOS)


def overlaid(data: bytes, heat: Sequence[Sequence[float]], side: int) -> Image.Image:
    """Red where the map is positive, blue where it is negative, on a paler picture."""
    image = enlarged(data, side)
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
    mixed = grey * (1 - 0.75 * np.abs(strength)) + colour * 0.75 * np.abs(strength)
    return Image.fromarray(mixed.clip(0, 255).astype(np.uint8))
