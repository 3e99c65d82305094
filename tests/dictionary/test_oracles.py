"""Dictionaries made, saved and run by the projects themselves, read and run here.

Marked ``installs``: the packages come by pip into ``build/oracles``, once for each list of
versions; each project then runs in a process of its own. See ``oracles/project.py`` for what of
the packages is passed over.
"""

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from steerboard.dictionary.formats import Hints, read
from steerboard.spec.errors import DictionaryMisfit

pytestmark = [pytest.mark.installs, pytest.mark.timeout(600)]
HERE = Path(__file__).parent / "oracles"
ROOT = Path(__file__).parents[2]
# Each project, and how many dictionaries it is known to save.
PROJECTS = {"saelens": 28, "saelens_3": 9, "saelens_5": 9, "overcomplete": 17, "others": 14}
# Of one project, releases that wrote other settings; installed apart, before the newest.
OLDER = {"saelens_3": "sae-lens==3.23.4", "saelens_5": "sae-lens==5.11.0"}


@pytest.fixture(scope="session")
def packages() -> Path:
    """The projects' packages, without their dependencies."""
    wanted = HERE / "requirements.txt"
    digest = hashlib.sha256(wanted.read_bytes() + str(OLDER).encode()).hexdigest()[:12]
    target = ROOT / "build" / "oracles" / digest
    if not (target / ".complete").exists():
        install(target, "-r", wanted)
        for name, version in OLDER.items():
            install(target / name, version)
        (target / ".complete").touch()
    return target


def install(target: Path, *what: str | Path) -> None:
    pip = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-compile", "--upgrade"]
    done = subprocess.run([*pip, "--target", target, *what], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="session", params=PROJECTS)
def saved(request, packages, tmp_path_factory) -> tuple[str, Path]:
    """A folder with a subfolder for each dictionary that one project saved."""
    out = tmp_path_factory.mktemp(request.param)
    older = request.param in OLDER
    path = os.pathsep.join(map(str, [HERE, *[packages / request.param] * older, packages]))
    script = "make_saelens_older.py" if older else f"make_{request.param}.py"
    done = subprocess.run(
        [sys.executable, HERE / script, out],
        env=os.environ | {"PYTHONPATH": path, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    return request.param, out


def differences(case: Path) -> list[str]:
    """What is not as the project has it, in sentences."""
    told = json.loads((case / "hints.json").read_text())
    refused = told.pop("refused", None)
    if refused:
        with pytest.raises(DictionaryMisfit, match=refused):
            read(case, Hints(**told))
        return []
    truth = load_file(case / "truth.st")
    sae = read(case, Hints(**told)).sae
    z = sae.encode(truth["x"])
    pairs = {"codes": (z, truth["z"]), "x_hat": (sae.decode(z, truth["x"]), truth["x_hat"])}
    found = [
        f"{case.name}: {what} differ by {float((ours - theirs).abs().max())}"
        for what, (ours, theirs) in pairs.items()
        if not torch.allclose(ours, theirs, atol=1e-5, rtol=1e-5)
    ]
    if not 0 < int((truth["z"] != 0).sum()) < truth["z"].numel():
        found.append(f"{case.name}: its codes are all alike, which shows nothing")
    return found


def test_codes_and_reconstruction_are_the_projects_own(saved: tuple[str, Path]) -> None:
    project, folder = saved
    cases = sorted(folder.iterdir())
    assert len(cases) == PROJECTS[project], [case.name for case in cases]
    assert not [line for case in cases for line in differences(case)]
