"""Capabilities <-> messages."""

from typing import Any

from steerboard.api.convert_classifiers import classifier_plain, classifier_to_message
from steerboard.api.convert_enums import enum_value, enum_word
from steerboard.spec.capabilities import DictionaryInfo, Limits, ModelInfo, Quality, SiteInfo
from steerboard.v1 import types_pb2 as pb

_SAME = (
    "id",
    "fingerprint",
    "architecture",
    "prefix_tokens",
    "embedding_width",
    "logit_scale",
    "precision",
    "template",
    "loaded",
    "bytes",
    "server_version",
    "resize_mode",
)


def _quality_to_message(quality: Quality) -> pb.Quality:
    tokens = enum_value(pb.TokenSet, "TOKEN_SET", quality.tokens)
    return pb.Quality(**{**quality.model_dump(), "tokens": tokens})


def _dictionary_to_message(info: DictionaryInfo) -> pb.DictionaryInfo:
    tokens = enum_value(pb.TokenSet, "TOKEN_SET", info.tokens)
    quality = [_quality_to_message(quality) for quality in info.quality]
    return pb.DictionaryInfo(**{**info.model_dump(), "tokens": tokens, "quality": quality})


def _tokens(message: pb.Quality | pb.DictionaryInfo) -> str:
    return enum_word(pb.TokenSet, "TOKEN_SET", message.tokens)


def _plain(message: Any, **other: object) -> dict[str, Any]:
    fields = {f.name: getattr(message, f.name) for f in message.DESCRIPTOR.fields}
    return {**fields, **other}


def _dictionary_from_message(message: pb.DictionaryInfo) -> DictionaryInfo:
    quality = [Quality.model_validate(_plain(q, tokens=_tokens(q))) for q in message.quality]
    return DictionaryInfo.model_validate(_plain(message, tokens=_tokens(message), quality=quality))


def _site_from_message(message: pb.SiteInfo) -> SiteInfo:
    return SiteInfo.model_validate(_plain(message, units=tuple(message.units)))


def model_to_message(info: ModelInfo) -> pb.ModelInfo:
    """A model's capabilities as a message."""
    return pb.ModelInfo(
        **{name: getattr(info, name) for name in _SAME},
        image_size=pb.Size(height=info.image_size[0], width=info.image_size[1]),
        grid=pb.Grid(rows=info.grid[0], columns=info.grid[1]),
        pooled_from=enum_value(pb.Pooling, "POOLING", info.pooled_from),
        sites=[pb.SiteInfo(**site.model_dump()) for site in info.sites],
        dictionaries=[_dictionary_to_message(dictionary) for dictionary in info.dictionaries],
        prompts=info.prompts,
        probe=classifier_to_message(info.probe).probe if info.probe else None,
        limits=pb.Limits(**info.limits.model_dump()),
    )


def model_from_message(message: pb.ModelInfo) -> ModelInfo:
    """A message as a model's capabilities."""
    probe = classifier_plain(pb.Classifier(probe=message.probe))
    plain = {name: getattr(message, name) for name in _SAME} | {
        "image_size": (message.image_size.height, message.image_size.width),
        "grid": (message.grid.rows, message.grid.columns),
        "pooled_from": enum_word(pb.Pooling, "POOLING", message.pooled_from),
        "sites": tuple(_site_from_message(site) for site in message.sites),
        "dictionaries": tuple(_dictionary_from_message(d) for d in message.dictionaries),
        "prompts": tuple(message.prompts),
        "probe": probe if message.HasField("probe") else None,
        "limits": Limits.model_validate(_plain(message.limits)),
        "resize_mode": message.resize_mode or "shortest",  # an older server does not say
    }
    return ModelInfo.model_validate(plain)
