"""A model ready to answer: weights, measured sites, and the dictionaries that passed their gate."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from steerboard.dictionary.native import DictionaryFile, read
from steerboard.dictionary.sae import Sae
from steerboard.inprocess.calibration import calibrate
from steerboard.inprocess.config import ModelConfig, calibration_files, read_prompts
from steerboard.model.edits import Editor, Layout
from steerboard.model.images import MAX_BYTES, MAX_PIXELS
from steerboard.model.load import PRECISION, LoadedModel, load
from steerboard.model.tower import Tower, block_of, site_names
from steerboard.spec.capabilities import DictionaryInfo, Limits, ModelInfo, Quality, SiteInfo
from steerboard.spec.requests import MAX_IMAGES, MAX_PROMPTS, MAX_STEER_SETS


@dataclass(frozen=True, eq=False)
class ServedModel:
    """What the kernel computes with and what ``GetModel`` tells."""

    loaded: LoadedModel
    editor: Editor
    books: Mapping[str, Sae]
    info: ModelInfo


def serve(name: str, config: ModelConfig, base: Path, version: str) -> ServedModel:
    """Load a model, measure its sites on the calibration pictures, try its dictionaries."""
    loaded = load(base / config.path)
    files = {d: read(base / c.path) for d, c in config.dictionaries.items()}
    found = calibrate(loaded, files, calibration_files(config.calibration, base))
    prompts, template = read_prompts(base / config.prompts) if config.prompts else ((), "{}")
    books = {d: f.sae for d, f in files.items()}
    editor = Editor(
        Layout(loaded.tower.prefix, loaded.tower.grid), books, found.n_bar, loaded.tower.heads
    )
    info = ModelInfo(
        id=name,
        fingerprint=loaded.fingerprint,
        architecture=loaded.architecture,
        image_size=loaded.tower.image_size,
        grid=loaded.tower.grid,
        prefix_tokens=loaded.tower.prefix,
        pooled_from="prefix" if loaded.tower.pooled_from == "prefix" else "patches",
        embedding_width=loaded.tower.embedding_width,
        logit_scale=loaded.logit_scale,
        precision=PRECISION,
        sites=tuple(
            describe_site(loaded.tower, s, found.n_bar[s])
            for s in site_names(len(loaded.tower.blocks))
        ),
        dictionaries=tuple(describe_dictionary(d, f, found.quality[d]) for d, f in files.items()),
        prompts=prompts,
        template=template,
        limits=Limits(
            max_images=MAX_IMAGES,
            max_prompts=MAX_PROMPTS,
            max_steer_sets=MAX_STEER_SETS,
            max_image_bytes=MAX_BYTES,
            max_image_pixels=MAX_PIXELS,
        ),
        bytes=loaded.size,
        server_version=version,
    )
    return ServedModel(loaded, editor, books, info)


def describe_site(tower: Tower, name: str, n_bar: float) -> SiteInfo:
    """Width, tokens and units of a site."""
    kind = name.partition(".")[0]
    last = block_of(name, len(tower.blocks)) >= len(tower.blocks) - 1
    # In the last block keys and values are formed before head_out: only resid_pre reaches them.
    read_by_prefix = kind == "resid_pre" or not last
    widths = {"mlp_post": tower.mlp_width, "embedding": tower.embedding_width}
    return SiteInfo(
        name=name,
        width=widths.get(kind, tower.width),
        tokens=1 if kind == "embedding" else tower.tokens,
        units=("feature", "neuron", "direction", *(("head",) if kind == "head_out" else ())),
        heads=tower.heads if kind == "head_out" else 0,
        n_bar=n_bar,
        patches_read=kind != "embedding" and (tower.pooled_from == "patches" or read_by_prefix),
    )


def describe_dictionary(
    name: str, file: DictionaryFile, found: tuple[Quality, ...]
) -> DictionaryInfo:
    """What ``GetModel`` tells of a dictionary."""
    return DictionaryInfo(
        id=name,
        fingerprint=file.fingerprint,
        site=file.header.site,
        tokens=file.header.tokens,
        architecture=file.header.architecture,
        size=file.sae.size,
        quality=found,
    )
