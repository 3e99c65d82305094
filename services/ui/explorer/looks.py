"""What the places on which a feature fires look like, in words: light, colour, texture.

Measured on the pixels of its reference pictures, patch by patch: the patches on which it fires (at
half of its peak or more) beside the others of the same picture. A word is said where most pictures
agree on it, so it tells what is common, and nothing where nothing is.
"""

import colorsys
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import streamlit as st

from services.ui.explorer.drawing import HALF, Cells, on_patches
from services.ui.pictures import Eye, upright
from steerboard.spec.errors import SteerboardError
from steerboard.spec.jobs import Reference

FEWEST, MOST = 4, 0.75  # pictures that words take; share of them that agree
FINE = 8  # pixels of a patch that are looked at, a side
LIGHTER, ROUGHER = 0.08, 1.5  # difference of lightness in [0, 1], ratio of contrast, that count
FLAT = 0.02  # contrast that is as good as none
GREY, DARK = 0.25, 0.15  # saturation and value below which a colour has no name
HUES = ("red", "orange", "yellow", "green", "green", "turquoise", "blue", "blue", "blue", "purple",
        "pink", "red")  # fmt: skip
Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Look:
    """Of one picture.

    Attributes:
        lighter: Lightness in [0, 1] where it fires, less that of the rest.
        rougher: Contrast within its patches, over that of the rest.
        colour: Where it fires; empty: grey, dark or pale.
        beside: The same of the rest.
    """

    lighter: float
    rougher: float
    colour: str
    beside: str


def words(shown: Iterable[Reference], data: Mapping[str, bytes], eye: Eye) -> str:
    """A sentence; empty where the pictures have nothing in common that has a word here."""
    looks = [
        look
        for one in shown
        if one.image in data and on_patches(one)
        and (look := look_of(data[one.image], one.heat, eye)) is not None
    ]  # fmt: skip
    if len(looks) < FEWEST:
        return ""
    how = likeness(looks)
    return f"What it fires on is mostly {' and '.join(how)}." if how else ""


def likeness(looks: list[Look]) -> list[str]:
    """What most pictures agree on, beside the rest of each."""
    out = []
    colour, count = Counter(one.colour for one in looks).most_common(1)[0]
    others = sum(one.beside == colour for one in looks)
    if colour and count >= MOST * len(looks) and others < count / 2:
        out.append(colour)
    for found, up, down in (
        ([one.rougher / ROUGHER for one in looks], "more patterned", ""),
        ([1 / (ROUGHER * one.rougher) for one in looks], "plainer", ""),
        ([one.lighter / LIGHTER for one in looks], "lighter", "darker"),
    ):
        if agreed([value >= 1 for value in found]):
            out.append(f"{up} than the rest")
        elif down and agreed([value <= -1 for value in found]):
            out.append(f"{down} than the rest")
    return out


def agreed(votes: list[bool]) -> bool:
    """Whether most do."""
    return sum(votes) >= MOST * len(votes)


@st.cache_data(max_entries=4000, show_spinner=False)
def look_of(data: bytes, heat: Cells, eye: Eye) -> Look | None:
    """How one picture looks where a feature fires; None where it cannot be drawn, or all does."""
    values = np.abs(np.asarray(heat, np.float32))
    fires = values >= HALF * values.max()
    rows, columns = fires.shape
    if fires.all():
        return None
    try:
        image = eye.seen(upright(data, FINE * max(fires.shape)), FINE * max(fires.shape))
    except SteerboardError:
        return None
    pixels = np.asarray(image.resize((FINE * columns, FINE * rows)), np.float64) / 255
    patches = pixels.reshape(rows, FINE, columns, FINE, 3).swapaxes(1, 2)
    light = patches.mean(-1)
    means, contrast = light.mean((2, 3)), light.std((2, 3))
    return Look(
        lighter=float(means[fires].mean() - means[~fires].mean()),
        rougher=float((contrast[fires].mean() + FLAT) / (contrast[~fires].mean() + FLAT)),
        colour=colour_of(patches[fires]),
        beside=colour_of(patches[~fires]),
    )


def colour_of(patches: Array) -> str:
    """The name of the colour of patches ``[n, y, x, 3]``; empty for grey, dark and pale ones."""
    hue, saturation, value = colorsys.rgb_to_hsv(*patches.mean((0, 1, 2)).tolist())
    if saturation < GREY or value < DARK:
        return ""
    return HUES[int(hue * len(HUES) + 0.5) % len(HUES)]
