"""What lies between a file and a dictionary: tensors with their names, and settings.

A format module takes an ``Opened`` and gives a ``Found``. It asks for tensors by name and letters
(``d`` width, ``f`` features); the letters are measured at their first use, and every later tensor
must agree.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
import yaml
from torch import Tensor

from steerboard.dictionary.native import Fact, Gate
from steerboard.dictionary.sae import Sae
from steerboard.spec.capabilities import TokenSet
from steerboard.spec.errors import DictionaryMisfit


@dataclass(frozen=True)
class Hints:
    """What a person says of a file that does not say it itself.

    Args:
        site: Where the dictionary belongs, such as ``resid_post.9``.
        tokens: Which tokens it was trained on: prefix, patches or all.
        sidecar: A JSON or YAML file of settings that the format keeps outside the weights.
    """

    site: str = ""
    tokens: TokenSet | None = None
    sidecar: Path | None = None


@dataclass(frozen=True)
class Found:
    """A dictionary, and what its file says of its place.

    ``site`` is empty and ``tokens`` None where the file does not say; ``unplaced`` is then why,
    and ``usual_tokens`` what the format's users train on unless a hint says otherwise.
    """

    sae: Sae
    source: str
    site: str = ""
    tokens: TokenSet | None = None
    usual_tokens: TokenSet | None = None
    unplaced: str = "the format does not record it"
    gate: Gate = "explained_variance"
    facts: Mapping[str, Fact] = field(default_factory=dict)


@dataclass
class Opened:
    """The content of a file or folder, nothing of which has been run.

    ``config`` is the format's own (a JSON file, or a pickled class as an inert record), ``sidecar``
    what a person laid beside it.
    """

    name: str
    tensors: dict[str, Tensor]
    config: Mapping[str, Any] = field(default_factory=dict)
    sidecar: Mapping[str, Any] = field(default_factory=dict)
    folder: str = ""
    measured: dict[str, int] = field(default_factory=dict)

    def misfit(self, what: str) -> DictionaryMisfit:
        """The error that says ``what`` of this file."""
        return DictionaryMisfit(f"{self.name}: {what}")

    def has(self, key: str) -> bool:
        """Whether a tensor is there."""
        return key in self.tensors

    def take(self, key: str, letters: str, *, leading: bool = False) -> Tensor:
        """The tensor ``key`` in float32, of the shape that ``letters`` spell, ``df`` for [d, f].

        Args:
            key: Its name in the file.
            letters: ``d`` and ``f``; digits stand for themselves; empty for a single number.
            leading: Whether a first axis of 1 is dropped (one component of a model).

        Raises:
            DictionaryMisfit: Missing, or of another shape than the tensors before it.
        """
        if key not in self.tensors:
            raise self.misfit(f"tensor {key} is missing; it holds {sorted(self.tensors)}")
        found = self.tensors.pop(key).detach().float()
        if leading and found.dim() == len(letters) + 1 and found.shape[0] == 1:
            found = found[0]
        self._measure(key, tuple(found.shape), letters)
        return found

    def _measure(self, key: str, shape: tuple[int, ...], letters: str) -> None:
        wrong = len(shape) != len(letters)
        for letter, size in zip(letters, shape, strict=False):
            wrong |= size == 0
            want = int(letter) if letter.isdigit() else self.measured.setdefault(letter, size)
            wrong |= size != want
        if wrong:
            known = ", ".join(f"{letter} = {size}" for letter, size in self.measured.items())
            raise self.misfit(f"{key} is {list(shape)}, expected [{', '.join(letters)}] ({known})")

    def number(self, key: str) -> float:
        """The single value of a tensor that may be ``[]`` or ``[1]``."""
        found = self.tensors.pop(key)
        if found.numel() != 1:
            raise self.misfit(f"{key} is {list(found.shape)}, expected a single number")
        return float(found)

    def drop(self, *keys: str) -> None:
        """Leave out tensors that encoding and decoding do not use."""
        for key in keys:
            self.tensors.pop(key, None)

    def expect(self, field_: str, size: int, letter: str) -> None:
        """Check a width that the settings state against the tensors."""
        if size and self.measured.get(letter, size) != size:
            raise self.misfit(
                f"its settings say {field_} = {size}, its tensors {self.measured[letter]}"
            )

    def finish(self) -> None:
        """Refuse tensors that nobody asked for: they would have changed the answer silently."""
        if self.tensors:
            raise self.misfit(
                f"tensors {sorted(self.tensors)} belong to no dictionary that this format"
                " is known to hold"
            )

    def positive(self, key: str, where: Mapping[str, Any]) -> int:
        """A whole number above 0 from settings.

        Raises:
            DictionaryMisfit: Missing, or not such a number.
        """
        value = where.get(key)
        if isinstance(value, bool) or not isinstance(value, int | float) or value != int(value):
            raise self.misfit(f"{key} is {value!r}; it must be given, as a whole number above 0")
        if value <= 0:
            raise self.misfit(f"{key} is {value}, it must be above 0")
        return int(value)


def read_settings(path: Path) -> dict[str, Any]:
    """A JSON or YAML file that holds an object; a key that stands twice is refused.

    Raises:
        DictionaryMisfit: Unreadable, or no object.
    """
    try:
        text = path.read_text()
        record = parse_json(text) if path.suffix == ".json" else yaml.safe_load(text)
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
        raise DictionaryMisfit(f"{path.name} cannot be read as settings: {error}") from error
    if not isinstance(record, dict):
        raise DictionaryMisfit(f"{path.name} holds no settings: an object was expected")
    return record


def parse_json(text: str) -> Any:
    """JSON in which no key stands twice.

    Raises:
        ValueError: Not JSON, or a key twice.
    """
    return json.loads(text, object_pairs_hook=_once)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    record = dict(pairs)
    if len(record) != len(pairs):
        keys = [key for key, _ in pairs]
        raise ValueError(f"key {next(k for k in keys if keys.count(k) > 1)!r} stands twice")
    return record


def vector(opened: Opened, value: object, length: int, what: str) -> Tensor:
    """Numbers of a side-car as ``[length]``; one number stands for all of them."""
    try:
        found = torch.as_tensor(value, dtype=torch.float32)
    except (TypeError, ValueError, RuntimeError) as error:
        raise opened.misfit(f"{what} must be numbers: {error}") from error
    if found.numel() not in (1, length):
        raise opened.misfit(f"{what} has {found.numel()} numbers, expected {length}")
    return found.flatten().expand(length).clone()
