"""A small tower's pass as one call that leaves Python's lock free.

A block is some fifteen operators, and behind each of them Python's lock is taken again: whoever has
it then (the event loop, another core at its own rows) is waited for. On a small model that takes
longer than the operators do. What was traced once runs all of them alone in between and gives the
same numbers to the last bit; where it does not, the tower runs as it is. Large towers gain nothing:
their operators take milliseconds each, and between their blocks others may go first.

A traced pass knows nothing of hooks on the model's modules: this is for a service, where nobody
else holds the model, and for the CPU, where weights stay where they are.
"""

import logging
import threading
import warnings
from collections.abc import Hashable

import torch
from torch import Tensor
from torch.nn import functional
from torch.utils._python_dispatch import _disable_current_modes

from steerboard.model.placement import full
from steerboard.model.tower import Stage, Tower

_LOG = logging.getLogger(__name__)
# ``tokens * width**2 * blocks`` of one row up to which a pass is small: some milliseconds.
SMALL = 2**24
# Rows of the example that is traced, and of those that must then give the same.
_EXAMPLE, _TRIED = 2, (3, 1, 3)


class Traced:
    """The clean passes of a tower; each is traced when it is first used, by whoever uses it.

    Thread-safe, within ``torch.inference_mode()``.

    Args:
        tower: On the CPU.
    """

    def __init__(self, tower: Tower) -> None:
        self._tower = tower
        self._known: dict[Hashable, Stage] = {}
        self._lock = threading.Lock()

    def takes(self, first: int = 0) -> bool:
        """Whether the pass from block ``first`` on is small."""
        tower = self._tower
        return tower.tokens * tower.width**2 * (len(tower.blocks) - first) <= SMALL

    def start(self, pixels: Tensor) -> Tensor:
        """See ``Tower``."""
        return self._run("start", self._tower.start, pixels)

    def rest(self, x: Tensor, first: int) -> Tensor:
        """See ``rest``."""

        def stage(x: Tensor) -> Tensor:
            return rest(self._tower, x, first)

        return self._run((first, x.shape[1]), stage, x)

    def _run(self, key: Hashable, stage: Stage, x: Tensor) -> Tensor:
        with self._lock:
            if key not in self._known:
                self._known[key] = traced(stage, x)
        return self._known[key](x)


def rest(tower: Tower, x: Tensor, first: int) -> Tensor:
    """Unit-length embeddings ``[n, e]``, float32, from the clean input ``[n, t, d]`` of a block."""
    return functional.normalize(full(tower.run(x, first, watched=())), dim=-1)


def traced(stage: Stage, like: Tensor) -> Stage:
    """``stage`` as one call for any number of rows that are like ``like``'s, or as it is."""
    tried = [like.new_empty(rows, *like.shape[1:]).normal_() for rows in (_EXAMPLE, *_TRIED)]
    # Who watches this thread's operators would make constants of their results.
    with _disable_current_modes(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # It is told that it is old, and to be careful.
        try:
            found: Stage = torch.jit.trace(stage, tried[0], check_trace=False)
            if all(torch.equal(found(x), stage(x)) for x in tried):
                return found
        except Exception as error:  # Whatever a tower of another family does that cannot be traced.
            _LOG.info("a pass is not traced: %s", error)
    return stage
