"""The families of image towers, and which of them a module belongs to."""

from typing import Any

from steerboard.model import torchvision_ops  # noqa: F401  (before open_clip)

from steerboard.model.tower import Tower  # isort: skip
from steerboard.model.towers.convnext import ConvNextTower
from steerboard.model.towers.openclip_vit import OpenClipTower
from steerboard.model.towers.resnet import ResNetTower
from steerboard.model.towers.timm_vit import EvaTower, TimmTower
from steerboard.spec.errors import InvalidRequest

FAMILIES = (OpenClipTower, TimmTower, EvaTower, ResNetTower, ConvNextTower)


def read_tower(visual: Any) -> Tower:
    """The explicit pass of an image tower of open_clip.

    Raises:
        InvalidRequest: The tower is of a family that is not known here, or of a known one in a
            form whose pass is not the one written here.
    """
    for family in FAMILIES:
        if family.fits(visual):
            return family(visual)
    trunk = getattr(visual, "trunk", None)
    name = type(visual).__name__ + (f" around {type(trunk).__name__}" if trunk is not None else "")
    known = ", ".join(family.family for family in FAMILIES)
    raise InvalidRequest(
        f"the image tower {name} is of no family whose inside can be read here ({known}):"
        " choose a model of one of them"
    )
