"""A model ready to answer: weights, measured sites, and the dictionaries that passed their gate."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from steerboard.dictionary.native import DictionaryFile
from steerboard.dictionary.sae import Sae
from steerboard.inprocess.calibration import calibrate
from steerboard.inprocess.config import (
    ModelConfig,
    calibration_pictures,
    dictionary_file,
    read_prompts,
)
from steerboard.inprocess.residence import Residence, Weights
from steerboard.inprocess.traced import Traced
from steerboard.model.edits import Editor, Layout
from steerboard.model.find import located
from steerboard.model.images import MAX_BYTES, MAX_PIXELS
from steerboard.model.load import LoadedModel, load
from steerboard.model.placement import HOST, Placement
from steerboard.model.probes import check_fits, read_probe
from steerboard.model.tower import Tower
from steerboard.spec.capabilities import DictionaryInfo, Limits, ModelInfo, Quality, SiteInfo
from steerboard.spec.digest import digest
from steerboard.spec.requests import MAX_IMAGES, MAX_PROMPTS, MAX_STEER_SETS, Probe


@dataclass(frozen=True, eq=False)
class ServedModel:
    """What the kernel computes with and what ``GetModel`` tells."""

    loaded: LoadedModel
    editor: Editor
    books: Mapping[str, Sae]
    info: ModelInfo
    placement: Placement = HOST
    weights: Weights | None = None
    traced: Traced | None = None


def serve(
    name: str,
    config: ModelConfig,
    base: Path,
    version: str,
    placement: Placement = HOST,
    residence: Residence | None = None,
) -> ServedModel:
    """Load a model, measure its sites on the calibration pictures, try its dictionaries.

    All is measured where, and in the precision in which, it will be served.
    """
    loaded = precise(load(located(base, config.path), config.architecture), placement)
    files = {d: dictionary_file(c, base) for d, c in config.dictionaries.items()}
    prompts, template = read_prompts(base / config.prompts) if config.prompts else ((), "{}")
    probe = probe_of(config, base, loaded)
    books = {d: twin(f.sae) for d, f in files.items()}
    weights = weights_of(loaded, books.values(), placement)
    with (residence or Residence()).using(weights):
        texts = [template.replace("{}", prompt) for prompt in prompts]
        pictures, _ = calibration_pictures(config.calibration, base)
        found = calibrate(loaded, files, pictures, texts, probe)
    editor = Editor(
        Layout(loaded.tower.prefix, loaded.tower.grid), books, found.n_bar, loaded.tower.heads
    )
    info = ModelInfo(
        id=name,
        fingerprint=loaded.fingerprint,
        architecture=loaded.architecture,
        image_size=loaded.tower.image_size,
        resize_mode=loaded.preprocessing.get("resize_mode") or "shortest",
        grid=loaded.tower.grid,
        prefix_tokens=loaded.tower.prefix,
        pooled_from="prefix" if loaded.tower.pooled_from == "prefix" else "patches",
        embedding_width=loaded.tower.embedding_width,
        logit_scale=loaded.logit_scale,
        precision=placement.precision,
        sites=tuple(
            describe_site(loaded.tower, s.name, found.n_bar[s.name]) for s in loaded.tower.sites
        ),
        dictionaries=tuple(describe_dictionary(d, f, found.quality[d]) for d, f in files.items()),
        prompts=prompts,
        template=template,
        probe=probe,
        limits=Limits(
            max_images=MAX_IMAGES,
            max_prompts=MAX_PROMPTS,
            max_steer_sets=MAX_STEER_SETS,
            max_image_bytes=MAX_BYTES,
            max_image_pixels=MAX_PIXELS,
        ),
        bytes=weights.size,
        server_version=version,
    )
    return ServedModel(loaded, editor, books, info, placement, weights)


def probe_of(config: ModelConfig, base: Path, loaded: LoadedModel) -> Probe | None:
    """The model's probe, if it has one; raises InvalidRequest for one of another width."""
    if not config.probe:
        return None
    probe = read_probe(base / config.probe)
    check_fits(probe, loaded.tower.embedding_width)
    return probe


def precise(loaded: LoadedModel, placement: Placement) -> LoadedModel:
    """The model with its image tower in its precision, which is part of the fingerprint."""
    loaded.tower.visual.to(placement.dtype)
    if placement.precision == HOST.precision:
        return loaded
    return replace(
        loaded,
        fingerprint=digest(loaded.fingerprint, placement.precision),
        size=sum(p.numel() * p.element_size() for p in loaded.clip.parameters()),
    )


def twin(sae: Sae) -> Sae:
    """The same numbers in tensors of its own: it can move, and the one that was read stays."""
    moved: dict[str, Any] = {name: held.detach() for name, held in sae.tensors().items()}
    return replace(sae, **moved)


def weights_of(loaded: LoadedModel, books: Iterable[Sae], placement: Placement) -> Weights:
    """All that must be on the device for a question about this model."""
    own = [*loaded.clip.parameters(), *loaded.clip.buffers()]
    tensors = [t for sae in books for t in sae.tensors().values()]
    return Weights([*own, *tensors], placement.device)


def describe_site(tower: Tower, name: str, n_bar: float) -> SiteInfo:
    """Width, tokens and units of a site."""
    site = tower.site(name)
    return SiteInfo(
        name=name,
        width=site.width,
        tokens=site.tokens,
        units=("feature", "neuron", "direction", *(("head",) if site.heads else ())),
        heads=site.heads,
        n_bar=n_bar,
        patches_read=site.patches_read,
        prefix_unread=site.prefix > 0 and not site.prefix_read,
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
