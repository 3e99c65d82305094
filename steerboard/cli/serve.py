"""``steerboard serve``: this process becomes one of the services."""

import os
import sys

from steerboard.cli.demo import ui_command
from steerboard.spec.errors import InvalidRequest

DEFAULT_UI_PORT = 8501


def command_of(part: str) -> tuple[str, ...]:
    """What to run for ``inference``, ``jobs``, ``worker`` or ``ui``; raises InvalidRequest."""
    commands = {
        "inference": (sys.executable, "-m", "services.inference"),
        "jobs": (sys.executable, "-m", "services.attribution", "door"),
        "worker": (sys.executable, "-m", "services.attribution", "worker"),
        "ui": ui_command(DEFAULT_UI_PORT),
    }
    if part not in commands:
        raise InvalidRequest(f"there is no service {part!r}: it is one of {', '.join(commands)}")
    return commands[part]


def replace_by(part: str) -> None:
    """Become the service, so that signals reach it."""
    command = command_of(part)
    os.execv(command[0], command)
