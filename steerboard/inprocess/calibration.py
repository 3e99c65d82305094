"""What the calibration pictures say of a model: the norm of its sites, the fit of its dictionaries.

Measuring takes a pass over a few hundred pictures, so what was found is kept on disk under the
content address of everything it depends on. A refusal is never kept.
"""

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from pydantic import ValidationError
from torch import Tensor

from steerboard.dictionary import gate
from steerboard.dictionary.gate import GateReport, examine
from steerboard.dictionary.native import DictionaryFile
from steerboard.images.picture import Broken, Picture
from steerboard.inprocess.probing import Activations, Head, agreement, read_sites
from steerboard.model.load import LoadedModel
from steerboard.model.tower import Tower
from steerboard.spec.base import Spec
from steerboard.spec.capabilities import Quality
from steerboard.spec.digest import digest
from steerboard.spec.errors import DictionaryMisfit, InvalidRequest
from steerboard.spec.requests import Probe

# Raised whenever measuring or the gate changes: older files are then not found.
SCHEMA = 2
BOUNDS = [
    gate.FLOOR,
    gate.COSINE_FLOOR,
    gate.SCORE_FLOOR,
    gate.CLEARLY,
    gate.OTHER_TOKENS,
    gate.READING,
    gate.FIXED,
    gate.DENSER,
    gate.FOR_DENSER,
    gate.ROWS,
    gate.TRIED,
]


class Calibration(Spec):
    """Median token norm by site, and what the gate found of each dictionary by its name."""

    n_bar: dict[str, float]
    reports: dict[str, GateReport]

    @property
    def quality(self) -> dict[str, tuple[Quality, ...]]:
        """How well each dictionary rebuilds its token types."""
        return {name: report.quality for name, report in self.reports.items()}


def calibrate(
    loaded: LoadedModel,
    files: Mapping[str, DictionaryFile],
    pictures: Sequence[Picture | Broken],
    texts: Sequence[str] = (),
    probe: Probe | None = None,
) -> Calibration:
    """Measured now, or as it was measured before from the same weights, dictionaries and pictures.

    Args:
        loaded: The model.
        files: Dictionaries by name.
        pictures: Calibration pictures.
        texts: Prompts, for the agreement of answers.
        probe: In their place; with neither it is not measured.

    Raises:
        DictionaryMisfit: A dictionary does not belong to this model.
        InvalidRequest: A picture cannot be read.
    """
    read = [p for p in pictures if isinstance(p, Picture)]
    for broken in (p for p in pictures if isinstance(p, Broken)):
        raise InvalidRequest(f"calibration: {broken.key}: {broken.why}")
    key = digest(
        SCHEMA,
        BOUNDS,
        loaded.fingerprint,
        {name: file.fingerprint for name, file in files.items()},
        [picture.sha256 for picture in read],
        list(texts),
        *([probe] if probe else []),
    )
    kept = cache_folder() / f"{key}.json"
    known = _read(kept)
    if known is None:
        pixels = [loaded.pixels(picture.data, picture.key) for picture in read]
        known = measure(loaded.tower, pixels, files, head_of(loaded, texts, probe))
        _write(kept, known)
    return known


def head_of(loaded: LoadedModel, texts: Sequence[str], probe: Probe | None) -> Head | None:
    """What reads answers off unit-length embeddings: a probe, or the embeddings of texts."""
    if probe is not None:
        arrays = (tensor.numpy().astype(np.float32) for tensor in (probe.weight, probe.bias))
        weight, bias = map(torch.from_numpy, arrays)
        return Head(weight, bias)
    return Head(loaded.text(list(texts)).cpu()) if texts else None


def cache_folder() -> Path:
    """``STEERBOARD_MEASURED``, else ``steerboard`` in the user's cache folder."""
    default = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "steerboard"
    return Path(os.environ.get("STEERBOARD_MEASURED") or default) / "calibration"


def _read(path: Path) -> Calibration | None:
    try:
        return Calibration.model_validate_json(path.read_text())
    except (OSError, ValidationError):
        return None


def _write(path: Path, found: Calibration) -> None:
    # Two processes may start at once: a rename is whole or not at all. No place to write is no
    # reason not to serve.
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_suffix(f".{os.getpid()}")
        draft.write_text(json.dumps(found.model_dump(mode="json")))
        draft.replace(path)
    except OSError:
        return


def measure(
    tower: Tower,
    pixels: list[Tensor],
    files: Mapping[str, DictionaryFile],
    head: Head | None = None,
) -> Calibration:
    """One pass over the pictures ``[3, h, w]``, then every dictionary at its gate.

    Args:
        tower: The image tower.
        pixels: Preprocessed pictures.
        files: Dictionaries by name.
        head: What reads answers off embeddings; None, and no answers are compared.

    Raises:
        DictionaryMisfit: The first that does not pass.
    """
    found = read_sites(tower, pixels, {file.header.site for file in files.values()})
    reports = {}
    for name, file in files.items():
        reports[name] = examined(name, file, tower, pixels, found, head)
        reports[name].check()
    return Calibration(n_bar=found.n_bar, reports=reports)


def examined(
    name: str,
    file: DictionaryFile,
    tower: Tower,
    pixels: list[Tensor],
    found: Activations,
    head: Head | None = None,
    backbones: Mapping[str, Activations] | None = None,
) -> GateReport:
    """The gate's report on one dictionary, with the answers under its reconstruction.

    Raises:
        DictionaryMisfit: The site is none of this model, or of another width.
    """
    site = file.header.site
    if site not in found.n_bar:
        raise DictionaryMisfit(
            f"dictionary {name} belongs to {site}, a site that this model does not have"
        )
    report = examine(
        name,
        file.sae,
        site,
        found.whole[site],
        {other: rows for other, rows in found.sample.items() if alike(site, other)},
        {n: a.sample[site] for n, a in (backbones or {}).items() if site in a.sample},
        file.header.gate,
    )
    same, near = agreement(tower, pixels, file, head)
    return report.model_copy(update={"agreement": same, "embedding_cosine": near})


def alike(site: str, other: str) -> bool:
    """Whether two sites are of one kind, wherever they stand."""
    return other.partition(".")[0] == site.partition(".")[0]
