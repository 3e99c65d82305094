"""Reference pictures: what the model sees of them, where a feature fires, and that seen close."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import streamlit as st
from PIL import Image, ImageDraw
from scipy import ndimage

from services.ui.pictures import Eye, inline, upright
from steerboard.spec.catalogue import FeatureCard
from steerboard.spec.errors import SteerboardError
from steerboard.spec.jobs import Reference

Heat = npt.NDArray[np.float32]
Cells = tuple[tuple[float, ...], ...]
Box = tuple[float, float, float, float]  # top, left, height, width; in patches
PALE, SOFT = 0.5, 0.6  # white where it is silent; the power that lifts weak activations
LITTLE = 0.05  # share of the patches that is little
HALF = 0.5  # of a response that the patches must reach for a map to say where it fires
CONTEXT, QUARTER, AROUND = 3, 0.25, 2  # patches and share of a side that are seen close; beside it
INSET = 0.36  # of a side: the whole picture in a corner of what is seen close


def heat_of(one: Reference) -> Heat:
    """``[rows, columns]`` magnitudes."""
    return np.abs(np.asarray(one.heat, np.float32))


def on_patches(one: Reference) -> bool:
    """Whether a feature's response to a picture lies on its patches, and not on a class token."""
    largest = float(heat_of(one).max(initial=0.0))
    return largest >= HALF * abs(one.activation) > 0


def small(one: Reference) -> bool:
    """Whether a feature fires on so little of a picture that one must look close."""
    heat = heat_of(one)
    return on_patches(one) and float((heat > HALF * heat.max()).mean()) <= LITTLE


def on_little(card: FeatureCard) -> bool:
    """Whether that is so on most of a feature's strongest pictures."""
    return 2 * sum(map(small, card.references)) > len(card.references)


def on_whole(card: FeatureCard) -> bool:
    """Whether a feature looks at most of its strongest pictures as a whole: its class token."""
    return 2 * sum(map(on_patches, card.references)) <= len(card.references)


def usual(card: FeatureCard) -> str:
    """How a feature's pictures are best looked at: one of ``address.VIEWS``."""
    if on_whole(card):
        return "whole"
    return "close" if on_little(card) else "fires"


def figure(data: bytes, one: Reference, side: int, view: str, eye: Eye) -> str:
    """A reference picture as an address; empty where it cannot be drawn.

    Args:
        data: The picture.
        one: How strongly, and where, a feature answers to it.
        side: Pixels.
        view: ``fires``: pale where it is silent; ``close``: around its peak; ``whole``.
        eye: What the model sees of a picture.
    """
    heat: Sequence[Sequence[float]] = one.heat if on_patches(one) else ()
    cells = tuple(map(tuple, heat))
    if view == "close" and cells:
        return close(data, cells, side, eye)
    return seen(data, cells if view == "fires" else (), one.activation, side, eye)


@st.cache_data(max_entries=2000, show_spinner=False)
def seen(data: bytes, heat: Cells, top: float, side: int, eye: Eye) -> str:
    """What the model sees of a picture as an address, pale where a feature is silent.

    A line goes around the patches on which it fires, at half of its peak or more.

    Args:
        data: The picture.
        heat: ``[rows, columns]`` activations; without any nothing is pale.
        top: The activation that keeps its full colours.
        side: Pixels.
        eye: What the model sees.
    """
    try:
        image = eye.seen(upright(data, side), side)
    except SteerboardError:
        return ""
    if not heat:
        return inline(image)
    values = np.abs(np.asarray(heat, np.float32))
    shown = lit(image, values / abs(top))
    outline(shown, values >= HALF * values.max(), (0, 0, *values.shape), (3, 1))
    return inline(shown)


@st.cache_data(max_entries=2000, show_spinner=False)
def close(data: bytes, heat: Cells, side: int, eye: Eye) -> str:
    """The surroundings of a feature's peak, what it fires on outlined, the whole in a corner."""
    values = np.abs(np.asarray(heat, np.float32))
    box = window(values)
    whole = round(side * max(values.shape) / max(box[2:]))
    try:
        image = eye.seen(upright(data, whole), whole)
    except SteerboardError:
        return ""
    step = image.height / values.shape[0], image.width / values.shape[1]
    corners = (
        box[1] * step[1],
        box[0] * step[0],
        (box[1] + box[3]) * step[1],
        ((box[0] + box[2]) * step[0]),
    )
    part = image.resize((side, side), Image.Resampling.LANCZOS, box=corners)
    outline(part, values >= HALF * values.max(), box)
    if max(box[2:]) < max(values.shape) / 2:
        corner(part, image, corners)
    return inline(part)


def window(heat: Heat) -> Box:
    """The part of a map ``[rows, columns]`` around its peak that is worth seeing close.

    What hangs together with the peak above half of it, some patches beside it, and no less than
    ``CONTEXT`` patches or a ``QUARTER`` of the side.
    """
    peak = np.unravel_index(int(heat.argmax()), heat.shape)
    parts, _ = ndimage.label(heat >= HALF * heat.max(), np.ones((3, 3)))
    own = ndimage.find_objects((parts == parts[peak]).astype(np.int8))[0]
    extent = max(s.stop - s.start for s in own) + AROUND
    size = min(max(CONTEXT, QUARTER * max(heat.shape), extent), min(heat.shape))
    middle = ((s.start + s.stop) / 2 for s in own)
    top, left = (
        min(max(0.0, m - size / 2), side - size) for m, side in zip(middle, heat.shape, strict=True)
    )
    return top, left, size, size


def outline(
    part: Image.Image,
    fires: npt.NDArray[np.bool_],
    box: Box,
    widths: tuple[int, int] = (4, 2),
) -> None:
    """Draw a line around the patches that a feature fires on, into the part that is shown.

    White within black, ``widths`` pixels wide.
    """
    top, left, high, wide = box
    down, across = part.height / high, part.width / wide
    pencil, framed = ImageDraw.Draw(part), np.pad(fires, 1)
    for r, c in np.argwhere(fires).tolist():
        y, x = (r - top) * down, (c - left) * across
        edges = (
            (framed[r, c + 1], (x, y, x + across, y)),
            (framed[r + 2, c + 1], (x, y + down, x + across, y + down)),
            (framed[r + 1, c], (x, y, x, y + down)),
            (framed[r + 1, c + 2], (x + across, y, x + across, y + down)),
        )
        for inside, line in edges:
            if not inside:
                pencil.line(line, fill="black", width=widths[0])
                pencil.line(line, fill="white", width=widths[1])


def corner(part: Image.Image, image: Image.Image, corners: Box) -> None:
    """The whole picture, small, in a corner of a part of it, with a frame around that part."""
    side = round(INSET * part.width)
    inset = image.copy()
    inset.thumbnail((side, side), Image.Resampling.LANCZOS)
    scale = inset.width / image.width
    frame = [scale * value for value in corners]
    ImageDraw.Draw(inset).rectangle(frame, outline="red", width=2)
    at = part.width - inset.width - 2, part.height - inset.height - 2
    ImageDraw.Draw(part).rectangle((at[0] - 2, at[1] - 2, part.width, part.height), fill="white")
    part.paste(inset, at)


def lit(image: Image.Image, strength: Any) -> Image.Image:
    """The picture, grey and pale where ``strength [rows, columns]`` in [0, 1] is 0."""
    map_ = Image.fromarray(strength.astype(np.float32)).resize(image.size, Image.Resampling.BICUBIC)
    share = (np.clip(np.asarray(map_, np.float32), 0, 1) ** SOFT)[..., None]
    colours = np.asarray(image, np.float32)
    grey = np.asarray(image.convert("L"), np.float32)[..., None] * (1 - PALE) + 255 * PALE
    return Image.fromarray((colours * share + grey * (1 - share)).clip(0, 255).astype(np.uint8))
