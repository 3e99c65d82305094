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
    from steerboard.spec.runner import Runner

__version__ = "0.1.0"


def local(path: str | Path) -> "Runner":
    """A Runner in this process for everything that a ``steerboard.yaml`` (or its folder) names."""
    from steerboard.inprocess.runner import open_local

    return open_local(path, __version__)


def connect(address: str | Sequence[str], token: str | None = None) -> "Runner":
    """A Runner over gRPC, such as ``connect("localhost:50051")``, or of several replicas."""
    from steerboard.api.client import connect as connect_to

    return connect_to(address, token)


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
    "connect",
    "local",
    "scale",
]
