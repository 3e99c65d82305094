"""What checking a steer set needs to know of a tower in memory: sites, tokens, dictionaries."""

from collections.abc import Mapping

from steerboard.dictionary.native import DictionaryFile
from steerboard.model.tower import SiteShape, Tower
from steerboard.spec.capabilities import DictionaryInfo, Limits, ModelInfo, SiteInfo
from steerboard.spec.recipe import RecipeProvenance

NO_LIMITS = Limits(
    max_images=0, max_prompts=0, max_steer_sets=0, max_image_bytes=0, max_image_pixels=0
)


def shape_of(
    tower: Tower, made: RecipeProvenance, files: Mapping[str, DictionaryFile]
) -> ModelInfo:
    """The tower under the name that the recipe knows it by."""
    return ModelInfo(
        id=made.model,
        fingerprint=made.model_fingerprint,
        architecture=tower.summary,
        image_size=tower.image_size,
        grid=tower.grid,
        prefix_tokens=tower.prefix,
        pooled_from="prefix" if tower.pooled_from == "prefix" else "patches",
        embedding_width=tower.embedding_width,
        logit_scale=1.0,
        precision="float32",
        sites=tuple(site(s, made.n_bar.get(s.name, 0.0)) for s in tower.sites),
        dictionaries=tuple(dictionary(name, file) for name, file in files.items()),
        limits=NO_LIMITS,
    )


def site(shape: SiteShape, n_bar: float) -> SiteInfo:
    """One site."""
    return SiteInfo(
        name=shape.name,
        width=shape.width,
        tokens=shape.tokens,
        units=("feature", "neuron", "direction", *(("head",) if shape.heads else ())),
        heads=shape.heads,
        n_bar=n_bar,
        patches_read=shape.patches_read,
        prefix_unread=shape.prefix > 0 and not shape.prefix_read,
    )


def dictionary(name: str, file: DictionaryFile) -> DictionaryInfo:
    """One dictionary."""
    return DictionaryInfo(
        id=name,
        fingerprint=file.fingerprint,
        site=file.header.site,
        tokens=file.header.tokens,
        architecture=file.header.architecture,
        size=file.sae.size,
    )
