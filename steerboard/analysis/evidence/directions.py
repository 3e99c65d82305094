"""Sizes of edits along free directions, from the directions' own activations.

Where a dictionary's code tells the size of a change by estimate (``rivals``), here it is exact: the
directions stand in the steer set, and a Runner tells their activation at each token.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from steerboard.analysis.evidence.pictures import Picture, encoded
from steerboard.analysis.evidence.rivals import covered, met, moved, parts
from steerboard.spec.answers import Attribution
from steerboard.spec.capabilities import ModelInfo
from steerboard.spec.edits import Direction, Edit, Feature, Remove, SteerSet, Unit
from steerboard.spec.requests import Attribute, Classifier, Logit
from steerboard.spec.runner import Runner
from steerboard.spec.tensor import Tensor

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class FreePart:
    """Edits along free directions of one site, whose size the directions' activations explain."""

    site: str
    edits: tuple[Edit, ...]

    @property
    def directions(self) -> Floats:
        """Unit rows ``[n, d]`` that edits move along and conditions read, each once."""
        units = [e.unit for e in self.edits]
        units += [e.condition.unit for e in self.edits if e.condition]
        rows = {u.values.data: u for u in units if isinstance(u, Direction)}
        found = np.array([u.values.numpy() for u in rows.values()], np.float64)
        unit_rows: Floats = found / np.linalg.norm(found, axis=1, keepdims=True)
        return unit_rows

    def number(self, unit: Unit) -> int:
        """Where a direction stands among ``directions``."""
        units = [e.unit for e in self.edits]
        units += [e.condition.unit for e in self.edits if e.condition]
        rows = list(dict.fromkeys(u.values.data for u in units if isinstance(u, Direction)))
        assert isinstance(unit, Direction)
        return rows.index(unit.values.data)


def free_parts(steer: SteerSet) -> tuple[FreePart, ...]:
    """One part a site where all is of free directions; removals are left out."""
    sites = dict.fromkeys(e.site for e in steer.edits)
    found = (FreePart(s, tuple(e for e in steer.edits if e.site == s)) for s in sites)
    return tuple(part for part in found if all(map(free, part.edits)))


def free(edit: Edit) -> bool:
    """Whether directions alone say what the edit does."""
    condition = edit.condition is None or isinstance(edit.condition.unit, Direction)
    return isinstance(edit.unit, Direction) and not isinstance(edit.op, Remove) and condition


def free_size(part: FreePart, a: Floats, info: ModelInfo) -> Floats:
    """Norm of the part's change at each token ``[t]``, exactly.

    Args:
        part: Its edits.
        a: Activations ``[t, n]`` of its directions.
        info: For the token grid and median norms.
    """
    rows = part.directions
    total = np.zeros((len(a), rows.shape[1]))
    for edit in part.edits:
        gate = covered(edit.mask, len(a), info)
        if edit.condition is not None:
            gate = gate & met(edit.condition, a[:, part.number(edit.condition.unit)])
        own = part.number(edit.unit)
        total += (moved(edit, a[:, own], info) * gate)[:, None] * rows[own]
    found: Floats = np.linalg.norm(total, axis=1)
    return found


def activations(
    runner: Runner,
    info: ModelInfo,
    classifier: Classifier,
    part: FreePart,
    pictures: Sequence[Picture],
) -> list[Floats]:
    """What the part's directions read at each token of each picture, ``[t, n]``."""
    request = Attribute(
        model=info.id,
        images=tuple(encoded(p) for p in pictures),
        classifier=classifier,
        targets=(Logit(),),
        method="activation",
        units="direction",
        site=part.site,
        directions=Tensor.of(part.directions),
        top_k=len(part.directions),
        maps=True,
    )
    prefix, count = info.prefix_tokens, len(part.directions)
    return [by_token(found, prefix, count) for (found,) in runner.attribute(request).results()]


def by_token(found: Attribution, prefix: int, count: int) -> Floats:
    """Activations ``[t, n]``; those of several prefix tokens are their mean."""
    out = np.zeros((prefix + found.maps[0].size, count))
    for row, which in enumerate(found.features.tolist()):
        if prefix:
            out[:prefix, which] = found.prefix_scores[row] / prefix
        out[prefix:, which] = found.maps[row].ravel()
    return out


def explained(steer: SteerSet) -> bool:
    """Whether the size of the whole change is known: see ``parts`` and ``free_parts``.

    Every edit is in a part, and every condition reads a feature of that part's dictionary.
    """
    known, without = parts(steer), free_parts(steer)
    conditions = [(p.dictionary, e.condition) for p in known for e in p.edits if e.condition]
    own = all(isinstance(c.unit, Feature) and c.unit.dictionary == name for name, c in conditions)
    count = sum(len(p.edits) for p in known) + sum(len(p.edits) for p in without)
    return own and count == len(steer.edits) > 0
