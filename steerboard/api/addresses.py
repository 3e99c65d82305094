"""Where servers are: ``host:port``, several of them, or a name that stands for several.

- ``host:50051``: one server.
- ``a:50051,b:50051`` (or a list): replicas, each named.
- ``dns:///name:50051``: replicas, one at each address that the name has at the time.
"""

import ipaddress
import re
import socket
from collections.abc import Sequence

from steerboard.spec.errors import InvalidRequest, Unavailable

DNS = "dns:///"
_ADDRESS = re.compile(r"^(unix:.+|unix-abstract:.+|.*[^:\s].*:\d{1,5})$")


def parse_addresses(address: str | Sequence[str]) -> tuple[str, ...]:
    """Every address that is named, in order, none twice; a ``dns:///`` name stands alone.

    Raises:
        InvalidRequest: Something in it is no address.
    """
    parts = address.split(",") if isinstance(address, str) else list(address)
    found = tuple(dict.fromkeys(part.strip() for part in parts if part.strip()))
    if not found:
        raise InvalidRequest("no address is given: write host:port, such as localhost:50051")
    for one in found:
        if not _ADDRESS.match(one.removeprefix(DNS)):
            raise InvalidRequest(
                f"{one!r} is no address: write host:port, such as localhost:50051, or several of"
                " them with commas between"
            )
    if len(found) > 1 and any(one.startswith(DNS) for one in found):
        raise InvalidRequest(f"a {DNS} name stands for several addresses: give it alone")
    return found


def is_name(addresses: Sequence[str]) -> bool:
    """Whether it is one name for several servers."""
    return addresses[0].startswith(DNS)


def resolve(address: str) -> tuple[str, ...]:
    """All ``ip:port`` that ``host:port`` (or its ``dns:///`` form) has now, in a fixed order.

    Raises:
        Unavailable: The name has none.
    """
    host, _, port = address.removeprefix(DNS).rpartition(":")
    try:
        told = socket.getaddrinfo(host.strip("[]"), int(port), type=socket.SOCK_STREAM)
    except OSError as error:
        raise Unavailable(
            f"the name {host!r} has no address now ({error.strerror or error}): is it right, and"
            " are servers running?",
            retry_after_s=2.0,
        ) from None
    return tuple(sorted({_joined(str(entry[4][0]), int(port)) for entry in told}))


def _joined(ip: str, port: int) -> str:
    return f"[{ip}]:{port}" if ":" in ip else f"{ip}:{port}"


def target_of(addresses: Sequence[str]) -> str:
    """What gRPC calls several servers: one target over which it takes turns."""
    if len(addresses) == 1:
        return addresses[0]
    found = [_mapped(one) for address in addresses for one in resolve(address)]
    return "ipv6:" + ",".join(dict.fromkeys(found))


def _mapped(address: str) -> str:
    """An address as IPv6: a gRPC target holds those of one family only."""
    host, _, port = address.rpartition(":")
    ip = ipaddress.ip_address(host.strip("[]"))
    text = f"::ffff:{ip}" if ip.version == 4 else str(ip)
    return f"[{text}]:{port}"
