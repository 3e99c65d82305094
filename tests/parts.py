"""How the tests are shared out where several processes run them.

A part is what one process runs without a break: a folder whose tests share servers, else one file.
Parts that take long, mostly waiting for processes that they start, come first: the small ones that
compute fill the gaps, and at the end no process sits over a long part while the others have none.
"""

import pytest
from xdist.scheduler import LoadScopeScheduling

# Folders whose fixtures start servers for all of their files.
TOGETHER = ("browser", "chaos", "recipes_page", "replicas", "store", "ui")
FIRST = (
    "browser",
    "chaos",
    "deploy/test_images.py",
    "attribution_service/test_service.py",
    "ui",
    "recipes_page",
    "replicas",
    "demo/test_build.py",
    "catalogue/test_by_workers.py",
    "catalogue/test_on_emojiland.py",
    "attribution_service/test_table.py",
    "dictionary/test_gate_real.py",
    "dictionary/test_oracles.py",
    "cli/test_train.py",
    "dictionary_training/test_loop.py",
    "store",
)


class Parts(LoadScopeScheduling):
    """Hands out parts in the order in which the tests were collected."""

    def _split_scope(self, nodeid: str) -> str:
        return part(nodeid)


def part(nodeid: str) -> str:
    """The part of the test of that address, below the folder of tests."""
    file = nodeid.split("::")[0].removeprefix("tests/")
    folder = file.split("/")[0]
    return folder if folder in TOGETHER else file


def place(item: pytest.Item) -> int:
    """Where its part stands; those that are not named come last, in the order they are in."""
    named = part(item.nodeid)
    return FIRST.index(named) if named in FIRST else len(FIRST)
