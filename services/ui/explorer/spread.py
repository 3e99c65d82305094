"""Where in its pictures a feature fires, from the maps of its references: what kind of thing it is.

A feature that fires in most pictures is seldom a thing in them. On a few patches of each it is
probably a *register*: a vision transformer keeps notes of its own in patches that show little
(Darcet et al., Vision Transformers Need Registers, 2309.16588). At the same places of each it
marks a place; all over them, what all pictures share.
"""

from dataclasses import dataclass
from itertools import combinations

import numpy as np
import numpy.typing as npt

from services.ui.explorer.drawing import HALF, LITTLE, heat_of, on_patches
from services.ui.explorer.pieces import share
from steerboard.spec.catalogue import FeatureCard

EVERYWHERE = 0.5  # firing rate above which a feature says little of what is in a picture
SAME = 0.5  # overlap of the patches of two pictures from which they are the same places
MUCH = 0.5  # share of a picture's patches
FEWEST, MOST = 4, 0.75  # pictures that a place takes; share of them that agree


@dataclass(frozen=True)
class Spread:
    """Over a feature's reference pictures with a response on their patches.

    Attributes:
        pictures: How many there are.
        patches: That it fires on in a picture (at half of its peak or more), in the median.
        of: Patches of a picture.
        same: Overlap (Jaccard) of those of two pictures, the mean over pairs.
        rim: Share of them that lie at the rim of the picture.
        by_chance: The same of patches drawn by lot.
        place: Where in most pictures it lies, such as "in the lower part"; empty: anywhere.
    """

    pictures: int
    patches: int
    of: int
    same: float
    rim: float
    by_chance: float
    place: str = ""

    @property
    def little(self) -> bool:
        """Whether it fires on little of a picture."""
        return self.patches <= LITTLE * self.of


def spread(card: FeatureCard) -> Spread | None:
    """That of a feature; None where it fires on no patches."""
    heats = [heat_of(one) for one in (*card.references, *card.sample) if on_patches(one)]
    if not heats:
        return None
    fires = np.stack([heat >= HALF * heat.max() for heat in heats])
    rim = np.ones(fires.shape[1:], bool)
    rim[1:-1, 1:-1] = False
    overlaps = [(a & b).sum() / (a | b).sum() for a, b in combinations(fires, 2)]
    return Spread(
        pictures=len(fires),
        patches=int(np.median(fires.sum((1, 2)))),
        of=rim.size,
        same=float(np.mean(overlaps)) if overlaps else 0.0,
        rim=float(fires[:, rim].sum() / fires.sum()),
        by_chance=float(rim.mean()),
        place=lies(fires),
    )


def lies(fires: npt.NDArray[np.bool_]) -> str:
    """Where in most pictures ``[n, rows, columns]`` lies what a feature fires on, or nothing."""
    if len(fires) < FEWEST:
        return ""
    middles = np.array([np.argwhere(one).mean(0) + 0.5 for one in fires]) / fires.shape[1:]
    down, across = middles.T
    if (np.abs(middles - 0.5) <= 0.2).all(1).mean() >= MOST:
        return "near the middle"
    ends = (
        ("in the upper part", down < 0.4),
        ("in the lower part", down > 0.6),
        ("on the left", across < 0.4),
        ("on the right", across > 0.6),
    )
    return " ".join(words for words, there in ends if there.mean() >= MOST)


def everywhere(card: FeatureCard) -> str:
    """A sentence for a feature that fires in most pictures; empty for all others."""
    if card.firing_rate <= EVERYWHERE:
        return ""
    many = (
        "every picture" if card.firing_rate == 1 else f"most pictures ({share(card.firing_rate)})"
    )
    return f"Fires in <b>{many}</b>, {where(spread(card))}."


def where(found: Spread | None) -> str:
    """On which part of them, and what that probably means."""
    if found is None:
        return (
            "on the class token: probably something that all these pictures share, not a thing in"
            " some of them"
        )
    place = f"on {found.patches} of {found.of} patches"
    if found.pictures > 1 and found.same >= SAME:
        return f"{place}, much the same ones each time: it marks a place, not a thing"
    if found.little:
        rim = " that lie at the rim" if found.rim >= 2 * found.by_chance else ""
        return (
            f"{place}{rim}: probably a register, where the model keeps notes of its own, not a"
            " thing in the picture"
        )
    if found.patches > MUCH * found.of:
        return f"{place}: probably what all these pictures share, not a thing in some of them"
    return f"{place}: it says little of what is in one picture and not in another"
