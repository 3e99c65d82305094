"""dictionary_learning's trainer without the language models that its package begins with.

Its ``__init__`` files gather buffers and traces of such models; the trainer needs none of them.
"""

import importlib
import importlib.util
import sys
import types


def bare(name: str) -> None:
    """Let a package be imported from without running its ``__init__``."""
    spec = importlib.util.find_spec(name)
    if spec is None or spec.submodule_search_locations is None:
        raise SystemExit(f"{name} is not installed: run with --install-peers")
    module = types.ModuleType(name)
    module.__path__ = list(spec.submodule_search_locations)
    sys.modules[name] = module


for package in ("dictionary_learning", "dictionary_learning.trainers"):
    bare(package)
TopKTrainer = importlib.import_module("dictionary_learning.trainers.top_k").TopKTrainer
