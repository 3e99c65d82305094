"""Two catalogues side by side <-> messages."""

from steerboard.api.convert_catalogue import row_from_message, row_to_message
from steerboard.api.convert_enums import enum_value, enum_word, optional
from steerboard.spec.catalogue import ComparedFeatures, ComparedSide, FeaturePair, PairSide
from steerboard.v1 import library_pb2 as pb


def question_to_message(
    first: str,
    second: str,
    side: PairSide,
    floor: float,
    page_token: str,
    page_size: int,
    pictures: int,
) -> pb.CompareFeaturesRequest:
    """A question as a message."""
    message = pb.CompareFeaturesRequest(
        dictionary=first,
        other=second,
        floor=floor,
        page_token=page_token,
        page_size=page_size,
        pictures=pictures,
    )
    if side != "matched":
        message.side = enum_value(pb.PairSide, "PAIR_SIDE", side)
    return message


def side_from_message(message: pb.CompareFeaturesRequest) -> PairSide:
    """Which features are asked for; what a newer peer may ask for is read as the partners."""
    match enum_word(pb.PairSide, "PAIR_SIDE", message.side):
        case "first_alone":
            return "first_alone"
        case "second_alone":
            return "second_alone"
    return "matched"


def comparison_to_message(found: ComparedFeatures) -> pb.CompareFeaturesResponse:
    """A page of pairs as a message."""
    return pb.CompareFeaturesResponse(
        pairs=[_pair_to_message(pair) for pair in found.pairs],
        next_page_token=found.next,
        total=found.total,
        by=enum_value(pb.MatchedBy, "MATCHED_BY", found.by),
        shared=found.shared,
        first=_side_to_message(found.first),
        second=_side_to_message(found.second),
    )


def comparison_from_message(message: pb.CompareFeaturesResponse) -> ComparedFeatures:
    """A message as a page of pairs."""
    return ComparedFeatures.model_validate(
        {
            "pairs": tuple(_pair_from_message(pair) for pair in message.pairs),
            "next": message.next_page_token,
            "total": message.total,
            "by": enum_word(pb.MatchedBy, "MATCHED_BY", message.by),
            "shared": message.shared,
            "first": _side_of_message(message.first),
            "second": _side_of_message(message.second),
        }
    )


def _pair_to_message(pair: FeaturePair) -> pb.FeaturePair:
    rows = {"first": pair.first, "second": pair.second}
    shown = {name: row_to_message(row) for name, row in rows.items() if row is not None}
    return pb.FeaturePair(
        alike=pair.alike,
        cosine=pair.cosine,
        mutual=pair.mutual,
        together=pair.together,
        **shown,
    )


def _pair_from_message(message: pb.FeaturePair) -> FeaturePair:
    return FeaturePair(
        first=row_from_message(message.first) if message.HasField("first") else None,
        second=row_from_message(message.second) if message.HasField("second") else None,
        alike=optional(message, "alike"),
        cosine=optional(message, "cosine"),
        mutual=message.mutual,
        together=optional(message, "together"),
    )


def _side_to_message(side: ComparedSide) -> pb.ComparedSide:
    return pb.ComparedSide(
        features=side.features,
        matched=side.matched,
        mutual=side.mutual,
        shares=side.shares,
        seldom=side.seldom,
    )


def _side_of_message(message: pb.ComparedSide) -> ComparedSide:
    return ComparedSide(
        features=message.features,
        matched=message.matched,
        mutual=message.mutual,
        shares=tuple(message.shares),
        seldom=message.seldom,
    )
