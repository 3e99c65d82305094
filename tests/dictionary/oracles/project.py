"""What the oracles share: importing a project without its trainers, and saving what it computes.

The projects' packages import language models, data sets, plotting and logging that saving and
running a dictionary never touch. Those modules are empty stand-ins here (``HEAVY``), and a
package's own ``__init__`` is passed over where it only gathers such parts (``bare``). The classes
that make, save, load and run dictionaries are the projects' own.
"""

import importlib.machinery
import importlib.util
import json
import logging
import sys
import types
from pathlib import Path

import torch
from safetensors.torch import save_file

D, F = 8, 32
HEAVY = ("accelerate", "datasets", "nnsight", "sklearn", "transformer_lens", "transformers")
HEAVY += ("plotly", "requests", "wandb", "zstandard")


class Nothing(types.ModuleType):
    """A module in which every name is an empty class."""

    __path__ = ()

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return type(name, (), {})


class Finder:
    """Finds ``Nothing`` for heavy packages that are not installed."""

    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in HEAVY:
            return importlib.machinery.ModuleSpec(name, self, is_package=True)
        return None

    def create_module(self, spec):
        return Nothing(spec.name)

    def exec_module(self, module):
        pass


def bare(*names):
    """Let these packages be imported from without running their ``__init__``."""
    if not any(isinstance(finder, Finder) for finder in sys.meta_path):
        sys.meta_path.append(Finder())
    for name in names:
        module = types.ModuleType(name)
        module.__path__ = list(importlib.util.find_spec(name).submodule_search_locations)
        module.__version__, module.logger = "0", logging.getLogger(name)
        sys.modules[name] = module


def randomised(module, seed=0):
    """Every parameter and float vector drawn anew, so that no bias is zero by luck."""
    torch.manual_seed(seed)
    with torch.no_grad():
        for tensor in module.state_dict().values():
            if tensor.is_floating_point() and tensor.dim():
                tensor.copy_(torch.randn(tensor.shape) * 0.7)
    return module


def activations(rows=64):
    torch.manual_seed(99)
    return torch.randn(rows, D) * 1.5 + 0.5


@torch.no_grad()
def record(folder, name, encode=None, decode=None, **hints):
    """Write what the project computes of the dictionary that it saved under ``folder / name``.

    Without ``encode`` the dictionary is one that must be refused, ``refused`` naming the reason.
    """
    path = Path(folder) / name
    path.mkdir(parents=True, exist_ok=True)
    (path / "hints.json").write_text(json.dumps(hints))
    if encode is not None:
        x = activations()
        z = encode(x)
        truth = {"x": x, "z": z, "x_hat": decode(z)}
        save_file({k: v.contiguous() for k, v in truth.items()}, path / "truth.st")
    return path
