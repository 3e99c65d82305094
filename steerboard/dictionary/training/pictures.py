"""Pictures to harvest from: a folder, a folder per class, or a JSONL manifest."""

import json
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from torch import Tensor

from steerboard.model.load import LoadedModel
from steerboard.spec.errors import BadImage, InvalidRequest, NotFound

SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff"}


def find_pictures(source: Path, split: str = "") -> list[Path]:
    """All picture files, in a fixed order.

    Args:
        source: A folder (searched through) or a ``.jsonl`` manifest, whose rows name a ``path``
            beside it and may name a ``split``.
        split: Rows of this split only; a manifest is then required.

    Raises:
        NotFound: No such place, or no picture there.
        InvalidRequest: A manifest with a line that cannot be read, or a split without a manifest.
    """
    if source.is_dir() and split and (source / "manifest.jsonl").is_file():
        source = source / "manifest.jsonl"
    if source.is_dir():
        if split:
            raise InvalidRequest(f"{source} has no manifest.jsonl: a split needs one")
        found = sorted(p for p in source.rglob("*") if p.suffix.lower() in SUFFIXES)
    elif source.is_file():
        found = [source.parent / path for path in _listed(source, split)]
    else:
        raise NotFound(f"{source} is missing: name a folder of pictures or a .jsonl manifest")
    if not found:
        where = f"of split {split!r} in {source}" if split else f"in {source}"
        raise NotFound(f"there is no picture {where}")
    return found


def _listed(manifest: Path, split: str) -> Iterator[str]:
    for number, line in enumerate(manifest.read_text().splitlines(), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            path = str(row["path"])
        except (ValueError, KeyError, TypeError) as error:
            raise InvalidRequest(
                f"{manifest}, line {number}: every line is a JSON object with a path ({error!r})"
            ) from error
        if split in ("", row.get("split")):
            yield path


@dataclass
class Decoder:
    """Decodes files to pixels in threads; what cannot be read is named in ``broken``, skipped."""

    loaded: LoadedModel
    broken: list[str] = field(default_factory=list)

    def stacks(self, paths: Sequence[Path], size: int) -> Iterator[list[Tensor]]:
        """Preprocessed pictures ``[3, h, w]``, up to ``size`` at a time, in order."""
        with ThreadPoolExecutor(4) as threads:
            for start in range(0, len(paths), size):
                part = threads.map(self._pixels, paths[start : start + size])
                yield [pixels for pixels in part if pixels is not None]

    def _pixels(self, path: Path) -> Tensor | None:
        try:
            return self.loaded.pixels(path.read_bytes(), path.name)
        except (OSError, BadImage) as error:
            self.broken.append(f"{path}: {error}")
            return None
