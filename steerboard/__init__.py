"""Steerboard: from attribution to action.

``steerboard.local(path)`` and ``steerboard.connect("host:port")`` give a Runner each, and the two
are indistinguishable. What is heavy is imported when it is first asked for.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from steerboard.spec.edits import Edit, Feature, Mask, Scale, SteerSet, scale
from steerboard.spec.errors import SteerboardError
from steerboard.spec.requests import (
    Attribute,
    Digest,
    Embed,
    Encode,
    Encoded,
    Logit,
    Margin,
    Pixels,
    Predict,
    Probe,
    Prompts,
    Steer,
)

if TYPE_CHECKING:
    from steerboard.recipe.apply import Applied, Dictionaries
    from steerboard.spec.recipe import Recipe
    from steerboard.spec.runner import Runner

__version__ = "0.1.0"


def local(path: str | Path, device: str = "auto", precision: str = "float32") -> "Runner":
    """A Runner in this process for everything that a ``steerboard.yaml`` (or its folder) names.

    Args:
        path: The file, or the folder that holds it.
        device: ``auto`` (CUDA where it is at hand), ``cpu``, ``cuda`` or ``cuda:N``.
        precision: Of the image tower: ``float32``, ``bf16`` or ``fp16``.
    """
    from steerboard.inprocess.runner import open_local

    return open_local(path, __version__, device, precision)


def connect(address: str | Sequence[str], token: str | None = None) -> "Runner":
    """A Runner over gRPC, such as ``connect("localhost:50051")``, or of several replicas."""
    from steerboard.api.client import connect as connect_to

    return connect_to(address, token)


def apply(
    model: object, recipe: "Recipe | str | Path", dictionaries: "Dictionaries | None" = None
) -> "Applied":
    """Steer a plain open_clip model by a recipe (or its file) inside a ``with``; no server.

    ``dictionaries`` names the file of each dictionary that the recipe edits.
    """
    from steerboard.recipe.apply import apply as apply_to

    return apply_to(model, recipe, dictionaries or {})


__all__ = [
    "Attribute",
    "Digest",
    "Edit",
    "Embed",
    "Encode",
    "Encoded",
    "Feature",
    "Logit",
    "Margin",
    "Mask",
    "Pixels",
    "Predict",
    "Probe",
    "Prompts",
    "Scale",
    "Steer",
    "SteerSet",
    "SteerboardError",
    "apply",
    "connect",
    "local",
    "scale",
]
