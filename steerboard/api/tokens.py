"""Signed tokens: who calls, checked without a database; and who may come without one.

A token is a JWT (HS256). With a secret every caller needs one. Without a secret only callers on
this machine are let in, as the anonymous identity.
"""

import ipaddress
import time
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Literal
from urllib.parse import unquote

import jwt
from jwt.types import Options
from pydantic import Field, ValidationError

from steerboard.api.speaking import heard
from steerboard.spec.base import Spec
from steerboard.spec.errors import Unauthenticated
from steerboard.spec.jobs import Lane

AUDIENCE = "steerboard"
MIN_SECRET_BYTES = 32
Role = Literal["participant", "researcher", "service", "admin"]


class Identity(Spec):
    """Whoever calls, as the token says."""

    subject: str = Field(min_length=1)
    tenant: str = "default"
    role: Role = "researcher"
    lanes: tuple[Lane, ...] = ("interactive", "bulk")
    weight: float = Field(default=1.0, gt=0, description="share of the machine beside others")
    speaks: bool = Field(default=False, description="may ask for people that it serves, by name")
    person: str = Field(default="", description="whom it asks for")

    @property
    def caller(self) -> str:
        """Who takes turns with others: a page speaks for many, each with a turn of their own."""
        return "/".join(filter(None, (self.tenant, self.subject, self.person)))


ANONYMOUS = Identity(subject="anonymous", speaks=True)


def sign(identity: Identity, secret: str, seconds: float = 12 * 3600) -> str:
    """A token for ``identity`` that is good for ``seconds`` from now."""
    _check(secret)
    now = time.time()
    own = identity.model_dump(mode="json", exclude={"subject"})
    claims = {**own, "sub": identity.subject, "aud": AUDIENCE, "iat": now, "exp": now + seconds}
    return jwt.encode(claims, secret, algorithm="HS256")


def verify(token: str, secret: str, clock: Callable[[], float] = time.time) -> Identity:
    """The identity that ``token`` names; raises Unauthenticated."""
    _check(secret)
    try:
        who, expires = _verified(token, secret)
    except jwt.ExpiredSignatureError:
        raise _expired() from None
    except (jwt.InvalidTokenError, ValidationError):
        raise Unauthenticated("the token does not verify: ask for a new one") from None
    if expires <= clock():
        raise _expired()
    return who


@lru_cache(maxsize=4096)  # a program sends the same one with each call
def _verified(token: str, secret: str) -> tuple[Identity, int]:
    """Whom a good token names and when it expires; one that is not good is not remembered."""
    options: Options = {"require": ["exp", "sub", "aud"]}
    claims = jwt.decode(token, secret, ["HS256"], options, audience=AUDIENCE)
    own = {name: claims[name] for name in Identity.model_fields if name in claims}
    return Identity.model_validate({**own, "subject": claims["sub"]}), int(claims["exp"])


def _expired() -> Unauthenticated:
    return Unauthenticated("the token has expired: ask for a new one")


def _check(secret: str) -> None:
    if len(secret.encode()) < MIN_SECRET_BYTES:
        raise ValueError(f"a token secret needs at least {MIN_SECRET_BYTES} bytes")


def identify(metadata: Mapping[str, str], peer: str, secret: str | None) -> Identity:
    """Who calls: by the ``authorization`` metadata, or by coming from this machine.

    Args:
        metadata: Metadata of the call, keys in lower case; a name to speak for may be among it.
        peer: gRPC's name of the caller, such as ``ipv4:127.0.0.1:40000``.
        secret: What tokens are signed with, or None where there are none.
    """
    who = _bearer(metadata, peer, secret)
    name = heard(metadata) if who.speaks else ""
    return who.model_copy(update={"person": name, "speaks": False}) if name else who


def _bearer(metadata: Mapping[str, str], peer: str, secret: str | None) -> Identity:
    if secret is None:
        if is_loopback(peer):
            return ANONYMOUS
        raise Unauthenticated("this server knows no tokens: it answers its own machine only")
    scheme, _, token = metadata.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token:
        raise Unauthenticated("a token is needed: send 'authorization: Bearer ...'")
    return verify(token.strip(), secret)


def is_loopback(address: str) -> bool:
    """Whether a peer or an address to listen on lies within this machine."""
    address = unquote(address)
    if address.startswith(("unix:", "unix-abstract:")):
        return True
    host = address.removeprefix("ipv4:").removeprefix("ipv6:").rpartition(":")[0].strip("[]")
    if host == "localhost":
        return True
    try:
        parsed = ipaddress.ip_address(host)
    except ValueError:
        return False
    mapped = getattr(parsed, "ipv4_mapped", None)
    return (mapped or parsed).is_loopback
