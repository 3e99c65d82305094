"""What the calibration pictures say of a model: the norm of its sites, the fit of its dictionaries.

Measuring takes a pass over a few hundred pictures, so what was found is kept on disk under the
content address of everything it depends on. A refusal is never kept.
"""

import json
import os
from collections.abc import Mapping
from pathlib import Path

import torch
from pydantic import ValidationError
from torch import Tensor

from steerboard.dictionary.gate import CLEARLY, FLOOR, gate
from steerboard.dictionary.native import DictionaryFile
from steerboard.model.load import LoadedModel
from steerboard.model.placement import before, full
from steerboard.model.tower import Tower
from steerboard.spec.base import Spec
from steerboard.spec.capabilities import Quality
from steerboard.spec.digest import digest, image_digest
from steerboard.spec.errors import DictionaryMisfit

# Raised whenever measuring or the gate changes: older files are then not found.
SCHEMA = 1


class Calibration(Spec):
    """Median token norm by site, and the quality of each dictionary by its name."""

    n_bar: dict[str, float]
    quality: dict[str, tuple[Quality, ...]]


def calibrate(
    loaded: LoadedModel, files: Mapping[str, DictionaryFile], pictures: list[Path]
) -> Calibration:
    """Measured now, or as it was measured before from the same weights, dictionaries and pictures.

    Raises:
        DictionaryMisfit: A dictionary does not belong to this model.
    """
    encoded = [p.read_bytes() for p in pictures]
    key = digest(
        SCHEMA,
        [FLOOR, CLEARLY],
        loaded.fingerprint,
        {name: file.fingerprint for name, file in files.items()},
        [image_digest(data) for data in encoded],
    )
    kept = cache_folder() / f"{key}.json"
    known = _read(kept)
    if known is None:
        pixels = [
            loaded.pixels(data, path.name) for data, path in zip(encoded, pictures, strict=True)
        ]
        known = measure(loaded.tower, pixels, files)
        _write(kept, known)
    return known


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


def measure(tower: Tower, pixels: list[Tensor], files: Mapping[str, DictionaryFile]) -> Calibration:
    """One pass over the pictures ``[3, h, w]``, then every dictionary at its gate."""
    wanted = {
        site
        for file in files.values()
        for site in (file.header.site, *neighbours(file.header.site))
    }
    n_bar, activations = read_sites(tower, pixels, wanted)
    quality = {name: passed(name, file, activations, tower.prefix) for name, file in files.items()}
    return Calibration(n_bar=n_bar, quality=quality)


@torch.inference_mode()
def read_sites(
    tower: Tower, pixels: list[Tensor], wanted: set[str]
) -> tuple[dict[str, float], dict[str, Tensor]]:
    """Median token norm of every site, and the activations ``[n, t, d]`` of the wanted ones."""
    norms: dict[str, list[Tensor]] = {}
    kept: dict[str, list[Tensor]] = {}

    def visit(site: str, x: Tensor) -> Tensor:
        norms.setdefault(site, []).append(full(x).norm(dim=-1).flatten())
        if site in wanted:
            kept.setdefault(site, []).append(full(x))
        return x

    for start in range(0, len(pixels), 64):
        tower.run(tower.start(before(tower, pixels[start : start + 64])), 0, visit)
    n_bar = {site: float(torch.cat(parts).median()) for site, parts in norms.items()}
    return n_bar, {site: torch.cat(parts) for site, parts in kept.items()}


def neighbours(site: str) -> list[str]:
    """The block outputs beside a block output; other sites have none."""
    kind, _, number = site.partition(".")
    return [f"{kind}.{int(number) + step}" for step in (-1, 1)] if kind == "resid_post" else []


def passed(
    name: str, file: DictionaryFile, activations: Mapping[str, Tensor], prefix: int
) -> tuple[Quality, ...]:
    """The gate of one dictionary over its own site and the neighbouring block outputs."""
    site = file.header.site
    if site not in activations:
        raise DictionaryMisfit(
            f"dictionary {name} belongs to {site}, a site that this model does not have"
        )
    return gate(
        name,
        file.sae,
        site,
        {s: activations[s] for s in [site, *neighbours(site)] if s in activations},
        prefix,
    )
