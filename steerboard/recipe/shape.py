"""What checking a steer set needs to know of a tower in memory: sites, tokens, dictionaries."""

from collections.abc import Mapping

from steerboard.dictionary.native import DictionaryFile
from steerboard.inprocess.served import describe_dictionary, describe_site
from steerboard.model.tower import Tower
from steerboard.spec.capabilities import Limits, ModelInfo
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
        sites=tuple(describe_site(tower, s.name, made.n_bar.get(s.name, 0.0)) for s in tower.sites),
        dictionaries=tuple(describe_dictionary(name, file, ()) for name, file in files.items()),
        limits=NO_LIMITS,
    )
