"""Build the catalogue of a model's dictionaries over an image set, in this process."""

import json
from pathlib import Path

from rich.progress import track

from steerboard.analysis.catalogue import Partial, write_cards
from steerboard.inprocess.config import read_config
from steerboard.inprocess.runner import open_local
from steerboard.spec.digest import image_digest
from steerboard.spec.errors import NotFound
from steerboard.spec.requests import Encode, Encoded

BATCH = 64


def build(config: Path, model: str, image_set: str, split: str, references: int) -> None:
    """Write ``<catalogue>/<dictionary>.parquet`` for every dictionary of ``model``."""
    settings, base = read_config(config)
    if image_set not in settings.image_sets:
        raise NotFound(f"there is no image set {image_set!r} in {config}")
    images = settings.image_sets[image_set]
    rows = [json.loads(line) for line in (base / images.manifest).read_text().splitlines()]
    pictures = [
        (base / images.images / r["path"]).read_bytes()
        for r in rows
        if split in ("", r.get("split"))
    ]
    runner = open_local(config, "")
    info = runner.model(model)
    for dictionary in info.dictionaries:
        partial = Partial(references)
        starts = range(0, len(pictures), BATCH)
        for start in track(starts, f"{dictionary.id} over {len(pictures)} pictures"):
            part = pictures[start : start + BATCH]
            request = Encode(
                model=model, images=tuple(Encoded(data=d) for d in part), dictionary=dictionary.id
            )
            for data, code in zip(part, runner.encode(request).results(), strict=True):
                partial.add(image_digest(data), code, info.prefix_tokens, info.grid)
        path = base / (settings.catalogue or "catalogue") / f"{dictionary.id}.parquet"
        write_cards(path, partial.cards(dictionary.id))
