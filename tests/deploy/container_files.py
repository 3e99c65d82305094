"""Reads the Dockerfiles and docker-compose.yml as far as the tests need them."""

import json
import re
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
VARIABLE = re.compile(r"\$(?:(?P<dollar>\$)|\{(?P<name>\w+)(?::(?P<kind>[-?])(?P<rest>[^}]*))?\})")


@dataclass(frozen=True)
class Dockerfile:
    """The instructions of one file, in order: ``("RUN", "pip install ...")``."""

    steps: tuple[tuple[str, str], ...]

    @classmethod
    def read(cls, path: Path) -> "Dockerfile":
        lines = [x for x in path.read_text().splitlines() if not x.lstrip().startswith("#")]
        joined = re.sub(r"\\\n\s*", "", "\n".join(lines))
        words = (line.split(None, 1) for line in joined.splitlines() if line.strip())
        return cls(tuple((word, rest) for word, rest in words))

    def all(self, word: str) -> list[str]:
        return [rest for step, rest in self.steps if step == word]

    @property
    def installs(self) -> list[str]:
        return [rest for rest in self.all("RUN") if rest.startswith("pip install")]

    @property
    def copies(self) -> list[tuple[list[str], str]]:
        return [(words[:-1], words[-1]) for words in map(shlex.split, self.all("COPY"))]

    @property
    def environment(self) -> dict[str, str]:
        pairs = (word.split("=", 1) for rest in self.all("ENV") for word in shlex.split(rest))
        return dict(pairs)

    @property
    def command(self) -> list[str]:
        return json.loads(self.all("CMD")[0])

    @property
    def health(self) -> list[str]:
        """The words of the health check's command."""
        (found,) = self.all("HEALTHCHECK")
        return json.loads(found.partition("CMD ")[2])


def dockerfile(name: str) -> Dockerfile:
    """That of the image ``name``: inference, attribution or ui."""
    return Dockerfile.read(ROOT / "deploy" / f"{name}.Dockerfile")


def read_compose() -> dict[str, dict[str, dict]]:
    return yaml.safe_load((ROOT / "docker-compose.yml").read_text())


def image_of(service: dict[str, Any]) -> str:
    """Which of our images a service of the compose file runs; empty for others'."""
    return Path(service.get("build", {}).get("dockerfile", "")).stem


def filled(text: str, variables: dict[str, str]) -> str:
    """What compose makes of a value; raises KeyError where it would refuse to start."""

    def one(found: re.Match[str]) -> str:
        if found["dollar"]:
            return "$"
        value = variables.get(found["name"])
        if not value and found["kind"] == "?":
            raise KeyError(found["name"])
        return value or (found["rest"] if found["kind"] == "-" else "") or ""

    return VARIABLE.sub(one, text)
