"""Questions to a catalogue and what is answered <-> messages."""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any, get_args

from steerboard.api.convert_classifiers import image_to_message, images_plain
from steerboard.api.convert_enums import enum_value, enum_word, optional, said
from steerboard.api.convert_jobs import reference_from_message, reference_to_message
from steerboard.api.convert_tensors import (
    array_to_message,
    floats_from_message,
    indices_to_message,
    ints_from_message,
)
from steerboard.spec.catalogue import (
    Bound,
    CatalogueClass,
    CatalogueInfo,
    FeatureMap,
    FeatureQuery,
    FeatureRow,
    Firing,
    Labels,
    Said,
    Statistic,
    StatisticRange,
)
from steerboard.v1 import library_pb2 as pb

ROW_OPTIONAL = (
    "mean",
    "clarity",
    "polysemanticity",
    "redundancy",
    "label_score",
    "precision",
    "auroc",
    "lift",
    "relevance",
    "activation",
)
ROW_SAME = ("feature", "label", "name", "votes", "firing_rate", "maximum", "class_name")
INFO_SAME = (
    "dictionary",
    "fingerprint",
    "model",
    "pictures",
    "features",
    "size",
    "label_floor",
    "name",
    "trouble",
    "labelled",
)


def _statistic(word: str) -> Any:
    return enum_value(pb.Statistic, "STATISTIC", word)


def _word(value: int) -> Any:
    return enum_word(pb.Statistic, "STATISTIC", value)


def query_to_message(
    query: FeatureQuery, page_token: str, page_size: int, pictures: int
) -> pb.SearchFeaturesRequest:
    """A question as a message."""
    message = pb.SearchFeaturesRequest(
        dictionary=query.dictionary,
        words=query.words,
        class_name=query.class_name,
        tag=query.tag,
        ascending=query.ascending,
        page_token=page_token,
        page_size=page_size,
        pictures=pictures,
        filters=[_bound_to_message(bound) for bound in query.bounds],
    )
    if query.image is not None:
        message.image.CopyFrom(image_to_message(query.image))
    if query.naming != "all":
        message.naming = enum_value(pb.Naming, "NAMING", query.naming)
    if query.sort is not None:
        message.sort = _statistic(query.sort)
    return message


def _bound_to_message(bound: Bound) -> pb.StatisticFilter:
    return pb.StatisticFilter(statistic=_statistic(bound.statistic), low=bound.low, high=bound.high)


def query_from_message(message: pb.SearchFeaturesRequest) -> FeatureQuery:
    """A message as a question; raises pydantic's ValidationError."""
    bounds = [
        {"statistic": _word(f.statistic), "low": optional(f, "low"), "high": optional(f, "high")}
        for f in message.filters
    ]
    image = images_plain([message.image])[0] if message.HasField("image") else None
    plain = said(
        dictionary=message.dictionary,
        words=message.words,
        image=image,
        class_name=message.class_name,
        bounds=bounds,
        naming=enum_word(pb.Naming, "NAMING", message.naming),
        tag=message.tag,
        sort=_word(message.sort),
        ascending=message.ascending,
    )
    return FeatureQuery.model_validate(plain)


def row_to_message(row: FeatureRow) -> pb.FeatureRow:
    """A listed feature as a message."""
    same = {name: getattr(row, name) for name in ROW_SAME + ROW_OPTIONAL}
    return pb.FeatureRow(tags=row.tags, pictures=row.pictures, **same)


def row_from_message(message: pb.FeatureRow) -> FeatureRow:
    """A message as a listed feature."""
    return FeatureRow(
        tags=tuple(message.tags),
        pictures=tuple(message.pictures),
        **{name: getattr(message, name) for name in ROW_SAME},
        **{name: optional(message, name) for name in ROW_OPTIONAL},
    )


def info_to_message(info: CatalogueInfo) -> pb.CatalogueInfo:
    """What a catalogue is of, as a message."""
    rows, columns = info.grid
    return pb.CatalogueInfo(
        rows=rows,
        columns=columns,
        classes=[pb.CatalogueClass(name=c.name, positives=c.positives) for c in info.classes],
        statistics=[
            pb.StatisticRange(
                statistic=_statistic(s.statistic), low=s.low, high=s.high, known=s.known
            )
            for s in info.statistics
        ],
        **{name: getattr(info, name) for name in INFO_SAME},
    )


def info_from_message(message: pb.CatalogueInfo) -> CatalogueInfo:
    """A message as what a catalogue is of; statistics of a newer peer are left out."""
    return CatalogueInfo(
        grid=(message.rows, message.columns),
        classes=tuple(CatalogueClass(name=c.name, positives=c.positives) for c in message.classes),
        statistics=tuple(_ranges(message.statistics)),
        **{name: getattr(message, name) for name in INFO_SAME},
    )


def _ranges(messages: Iterable[pb.StatisticRange]) -> Iterable[StatisticRange]:
    known = get_args(Statistic)
    for s in messages:
        if _word(s.statistic) in known:
            word = _word(s.statistic)
            yield StatisticRange(statistic=word, low=s.low, high=s.high, known=s.known)


def firing_to_message(firing: Firing) -> pb.ListFiringResponse:
    """A page of pictures as a message."""
    return pb.ListFiringResponse(
        firing=[reference_to_message(reference) for reference in firing.firing],
        seen=firing.seen,
        total=firing.total,
        next_page_token=firing.next,
        failed=firing.failed,
    )


def firing_from_message(message: pb.ListFiringResponse) -> Firing:
    """A message as a page of pictures."""
    return Firing(
        firing=tuple(reference_from_message(reference) for reference in message.firing),
        seen=message.seen,
        total=message.total,
        next=message.next_page_token,
        failed=message.failed,
    )


def map_to_message(found: FeatureMap) -> pb.GetFeatureMapResponse:
    """A map as a message."""
    return pb.GetFeatureMapResponse(
        features=indices_to_message(found.features),
        places=array_to_message(found.places),
        firing_rates=array_to_message(found.firing_rates),
        clarities=array_to_message(found.clarities),
        labels=indices_to_message(found.labels),
        words=found.words,
    )


def map_from_message(message: pb.GetFeatureMapResponse) -> FeatureMap:
    """A message as a map."""
    return FeatureMap(
        features=ints_from_message(message.features),
        places=floats_from_message(message.places),
        firing_rates=floats_from_message(message.firing_rates),
        clarities=floats_from_message(message.clarities),
        labels=ints_from_message(message.labels),
        words=tuple(message.words),
    )


def labels_to_message(labels: Labels, everything: Iterable[Said]) -> pb.GetFeatureLabelsResponse:
    """What people said, and what holds, as a message."""
    return pb.GetFeatureLabelsResponse(
        name=labels.name,
        named_by=labels.named_by,
        tags=labels.tags,
        votes=labels.votes,
        said=[_said_to_message(one) for one in everything],
    )


def _said_to_message(one: Said) -> pb.Remark:
    same = {name: getattr(one, name) for name in ("feature", "author", "kind", "text", "value")}
    return pb.Remark(at=one.at.timestamp(), **same)


def labels_from_message(
    message: pb.GetFeatureLabelsResponse,
) -> tuple[Labels, tuple[Said, ...]]:
    """A message as what holds, and everything that was said, in order."""
    everything = tuple(_said_from_message(one) for one in message.said)
    labels = Labels(
        name=message.name,
        named_by=message.named_by,
        tags=tuple(message.tags),
        votes=message.votes,
        notes=tuple(one for one in everything if one.kind == "note"),
    )
    return labels, everything


def _said_from_message(message: pb.Remark) -> Said:
    same = ("feature", "author", "kind", "text", "value")
    at = datetime.fromtimestamp(message.at, UTC)
    return Said.model_validate({"at": at, **{name: getattr(message, name) for name in same}})
