"""Fixed splits: where a picture belongs follows from a digest, whatever else is in the set."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field

from steerboard.images.picture import Picture
from steerboard.spec.errors import InvalidRequest


@dataclass(frozen=True)
class HashSplit:
    """Shares of a set by name, such as ``{"train": 0.8, "test": 0.2}``.

    A picture goes by its content, so that a copy under another name never stands on the other
    side; or ``by`` an attribute, such as a scene, whose pictures then stay together.

    Args:
        shares: Name to share; they add up to 1.
        by: Name of an attribute; empty: the digest of the bytes.
        salt: Another text gives another split.
    """

    shares: Mapping[str, float] = field(default_factory=dict)
    by: str = ""
    salt: str = ""

    def __post_init__(self) -> None:
        total = sum(self.shares.values())
        if not self.shares or min(self.shares.values()) < 0 or abs(total - 1) > 1e-9:
            raise InvalidRequest(
                f"the shares of a split add up to 1, not to {total:g}: such as train=0.8,test=0.2"
            )

    def split(self, picture: Picture) -> str:
        """The split that a picture belongs to."""
        held = picture.attributes.get(self.by) if self.by else None
        name = picture.sha256 if held is None else str(held)
        place = int.from_bytes(hashlib.sha256(f"{self.salt}\n{name}".encode()).digest()[:8])
        at = 0.0
        for split, share in self.shares.items():
            at += share
            if place < at * 2**64:
                return split
        return split


def read_shares(text: str) -> dict[str, float]:
    """``train=0.8,test=0.2`` as shares; raises InvalidRequest."""
    try:
        pairs = (part.split("=") for part in text.split(","))
        return {name.strip(): float(share) for name, share in pairs}
    except ValueError as error:
        raise InvalidRequest(
            f"{text!r} are no shares of a split: write train=0.8,test=0.2"
        ) from error
