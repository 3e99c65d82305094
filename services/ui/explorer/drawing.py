"""Reference pictures with what the feature sees left bright."""

from typing import Any

import numpy as np
import streamlit as st
from PIL import Image, ImageOps

from services.ui.pictures import inline, upright
from steerboard.spec.errors import SteerboardError

DIM, SOFT = 0.28, 0.6  # brightness where it is silent; the power that lifts weak activations


@st.cache_data(max_entries=2000, show_spinner=False)
def seen(data: bytes, heat: tuple[tuple[float, ...], ...], side: int) -> str:
    """The middle square of a picture as an address, dimmed where a feature is silent.

    The model reads the middle square, and its patches lie over that; a map without any activation
    (a feature of the class token) dims nothing. Empty where the picture cannot be drawn.
    """
    try:
        image = ImageOps.fit(upright(data, side), (side, side), Image.Resampling.LANCZOS)
    except SteerboardError:
        return ""
    values = np.abs(np.asarray(heat, np.float32))
    top = float(values.max(initial=0))
    return inline(lit(image, values / top) if top else image)


def lit(image: Image.Image, strength: Any) -> Image.Image:
    """The picture, grey and dark where ``strength [rows, columns]`` in [0, 1] is 0."""
    map_ = Image.fromarray(strength.astype(np.float32)).resize(image.size, Image.Resampling.BICUBIC)
    share = (np.clip(np.asarray(map_, np.float32), 0, 1) ** SOFT)[..., None]
    colours = np.asarray(image, np.float32)
    grey = np.asarray(image.convert("L"), np.float32)[..., None] * DIM
    return Image.fromarray((colours * share + grey * (1 - share)).clip(0, 255).astype(np.uint8))
