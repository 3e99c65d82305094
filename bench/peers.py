"""The servers and libraries beside which we are measured, in an environment of their own.

They see the packages of this one behind their own, so that torch is neither downloaded again nor
another one than ours.
"""

import subprocess
import sys
import sysconfig
import tomllib
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "build" / "peers"
PYTHON = FOLDER / "bin" / "python"


def wanted() -> list[str]:
    """What the extra ``bench`` names."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    found: list[str] = project["optional-dependencies"]["bench"]
    return found


def install() -> None:
    """Make ``build/peers`` with all servers; what is there already stays."""
    _environment()
    pip = [str(PYTHON), "-m", "pip", "install", "-q", "-c", str(ROOT / "constraints.txt")]
    subprocess.run([*pip, *wanted()], check=True)


def install_bare(packages: Iterable[str]) -> None:
    """The same with these packages alone, none of what they ask for."""
    _environment()
    subprocess.run([str(PYTHON), "-m", "pip", "install", "-q", "--no-deps", *packages], check=True)


def _environment() -> None:
    if not PYTHON.exists():
        subprocess.run([sys.executable, "-m", "venv", str(FOLDER)], check=True)
    (site,) = FOLDER.glob("lib/python*/site-packages")
    (site / "project.pth").write_text(sysconfig.get_paths()["purelib"] + "\n")
