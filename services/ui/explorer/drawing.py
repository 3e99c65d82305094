"""Reference pictures in which what the feature does not see is pale."""

from typing import Any

import numpy as np
import streamlit as st
from PIL import Image, ImageDraw, ImageOps

from services.ui.pictures import inline, upright
from steerboard.spec.catalogue import FeatureCard
from steerboard.spec.errors import SteerboardError
from steerboard.spec.jobs import Reference

PALE, SOFT = 0.62, 0.6  # white where it is silent; the power that lifts weak activations
LITTLE, AROUND = 0.05, 5  # share of the patches that is little; patches that are seen close, a side
HALF = 0.5  # of a response that the patches must reach for a map to say where it fires


def on_patches(one: Reference) -> bool:
    """Whether a feature's response to a picture lies on its patches, and not on a class token."""
    largest = max((abs(value) for row in one.heat for value in row), default=0.0)
    return largest >= HALF * abs(one.activation) > 0


def figure(data: bytes, one: Reference, side: int, only: bool) -> str:
    """A reference picture as an address; with ``only`` what it does not fire on is pale."""
    shown = one.heat if only and on_patches(one) else ()
    return seen(data, shown, one.activation, side)


def small(one: Reference) -> bool:
    """Whether a feature fires on so little of a picture that one must look close."""
    heat = np.abs(np.asarray(one.heat, np.float32))
    return on_patches(one) and float((heat > HALF * heat.max()).mean()) <= LITTLE


def on_little(card: FeatureCard) -> bool:
    """Whether that is so on most of a feature's strongest pictures."""
    return 2 * sum(map(small, card.references)) > len(card.references)


def close(data: bytes, one: Reference, side: int) -> str:
    """The surroundings of the patch that a feature answers to most, large, as an address."""
    heat = np.abs(np.asarray(one.heat, np.float32))
    row, column = np.unravel_index(int(heat.argmax()), heat.shape)
    return around(data, (int(row), int(column)), heat.shape, side)


@st.cache_data(max_entries=2000, show_spinner=False)
def around(data: bytes, cell: tuple[int, int], grid: tuple[int, ...], side: int) -> str:
    """``AROUND`` patches each way of a cell, the cell framed; empty where it cannot be drawn."""
    whole = side * max(grid) // AROUND
    try:
        image = ImageOps.fit(upright(data, whole), (whole, whole), Image.Resampling.LANCZOS)
    except SteerboardError:
        return ""
    steps = whole / grid[0], whole / grid[1]
    top, left = (min(max(0, (c - AROUND // 2) * s), whole - side)
                 for c, s in zip(cell, steps, strict=True))  # fmt: skip
    own = [cell[1] * steps[1] - left, cell[0] * steps[0] - top]
    part = image.crop((int(left), int(top), int(left) + side, int(top) + side)).convert("RGB")
    box = [own[0], own[1], own[0] + steps[1], own[1] + steps[0]]
    ImageDraw.Draw(part).rectangle(box, outline="white", width=2)
    return inline(part)


@st.cache_data(max_entries=2000, show_spinner=False)
def seen(data: bytes, heat: tuple[tuple[float, ...], ...], top: float, side: int) -> str:
    """The middle square of a picture as an address, pale where a feature is silent.

    The model reads the middle square, and its patches lie over that. Empty where the picture
    cannot be drawn.

    Args:
        data: The picture.
        heat: ``[rows, columns]`` activations; without any nothing is pale.
        top: The activation that keeps its full colours.
        side: Pixels.
    """
    try:
        image = ImageOps.fit(upright(data, side), (side, side), Image.Resampling.LANCZOS)
    except SteerboardError:
        return ""
    return inline(lit(image, np.abs(np.asarray(heat, np.float32)) / top) if heat else image)


def lit(image: Image.Image, strength: Any) -> Image.Image:
    """The picture, grey and pale where ``strength [rows, columns]`` in [0, 1] is 0."""
    map_ = Image.fromarray(strength.astype(np.float32)).resize(image.size, Image.Resampling.BICUBIC)
    share = (np.clip(np.asarray(map_, np.float32), 0, 1) ** SOFT)[..., None]
    colours = np.asarray(image, np.float32)
    grey = np.asarray(image.convert("L"), np.float32)[..., None] * (1 - PALE) + 255 * PALE
    return Image.fromarray((colours * share + grey * (1 - share)).clip(0, 255).astype(np.uint8))
