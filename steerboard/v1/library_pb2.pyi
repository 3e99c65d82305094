from google.rpc import status_pb2 as _status_pb2
from steerboard.v1 import jobs_pb2 as _jobs_pb2
from steerboard.v1 import types_pb2 as _types_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Statistic(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    STATISTIC_UNSPECIFIED: _ClassVar[Statistic]
    STATISTIC_FEATURE: _ClassVar[Statistic]
    STATISTIC_FIRING_RATE: _ClassVar[Statistic]
    STATISTIC_MEAN: _ClassVar[Statistic]
    STATISTIC_MAXIMUM: _ClassVar[Statistic]
    STATISTIC_CLARITY: _ClassVar[Statistic]
    STATISTIC_POLYSEMANTICITY: _ClassVar[Statistic]
    STATISTIC_REDUNDANCY: _ClassVar[Statistic]
    STATISTIC_LABEL_SCORE: _ClassVar[Statistic]
    STATISTIC_PRECISION: _ClassVar[Statistic]
    STATISTIC_RELEVANCE: _ClassVar[Statistic]
    STATISTIC_VOTES: _ClassVar[Statistic]
    STATISTIC_AUROC: _ClassVar[Statistic]
    STATISTIC_LIFT: _ClassVar[Statistic]

class Naming(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    NAMING_UNSPECIFIED: _ClassVar[Naming]
    NAMING_LABELLED: _ClassVar[Naming]
    NAMING_UNLABELLED: _ClassVar[Naming]
    NAMING_BY_PEOPLE: _ClassVar[Naming]

class PairSide(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    PAIR_SIDE_UNSPECIFIED: _ClassVar[PairSide]
    PAIR_SIDE_FIRST_ALONE: _ClassVar[PairSide]
    PAIR_SIDE_SECOND_ALONE: _ClassVar[PairSide]

class MatchedBy(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    MATCHED_BY_UNSPECIFIED: _ClassVar[MatchedBy]
    MATCHED_BY_RESPONSES: _ClassVar[MatchedBy]
    MATCHED_BY_MEANINGS: _ClassVar[MatchedBy]
STATISTIC_UNSPECIFIED: Statistic
STATISTIC_FEATURE: Statistic
STATISTIC_FIRING_RATE: Statistic
STATISTIC_MEAN: Statistic
STATISTIC_MAXIMUM: Statistic
STATISTIC_CLARITY: Statistic
STATISTIC_POLYSEMANTICITY: Statistic
STATISTIC_REDUNDANCY: Statistic
STATISTIC_LABEL_SCORE: Statistic
STATISTIC_PRECISION: Statistic
STATISTIC_RELEVANCE: Statistic
STATISTIC_VOTES: Statistic
STATISTIC_AUROC: Statistic
STATISTIC_LIFT: Statistic
NAMING_UNSPECIFIED: Naming
NAMING_LABELLED: Naming
NAMING_UNLABELLED: Naming
NAMING_BY_PEOPLE: Naming
PAIR_SIDE_UNSPECIFIED: PairSide
PAIR_SIDE_FIRST_ALONE: PairSide
PAIR_SIDE_SECOND_ALONE: PairSide
MATCHED_BY_UNSPECIFIED: MatchedBy
MATCHED_BY_RESPONSES: MatchedBy
MATCHED_BY_MEANINGS: MatchedBy

class ListImageSetsRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ImageSet(_message.Message):
    __slots__ = ("id", "title", "size", "splits", "groups")
    ID_FIELD_NUMBER: _ClassVar[int]
    TITLE_FIELD_NUMBER: _ClassVar[int]
    SIZE_FIELD_NUMBER: _ClassVar[int]
    SPLITS_FIELD_NUMBER: _ClassVar[int]
    GROUPS_FIELD_NUMBER: _ClassVar[int]
    id: str
    title: str
    size: int
    splits: _containers.RepeatedScalarFieldContainer[str]
    groups: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, id: _Optional[str] = ..., title: _Optional[str] = ..., size: _Optional[int] = ..., splits: _Optional[_Iterable[str]] = ..., groups: _Optional[_Iterable[str]] = ...) -> None: ...

class ListImageSetsResponse(_message.Message):
    __slots__ = ("image_sets",)
    IMAGE_SETS_FIELD_NUMBER: _ClassVar[int]
    image_sets: _containers.RepeatedCompositeFieldContainer[ImageSet]
    def __init__(self, image_sets: _Optional[_Iterable[_Union[ImageSet, _Mapping]]] = ...) -> None: ...

class ListImagesRequest(_message.Message):
    __slots__ = ("image_set", "split", "group", "page_token", "page_size")
    IMAGE_SET_FIELD_NUMBER: _ClassVar[int]
    SPLIT_FIELD_NUMBER: _ClassVar[int]
    GROUP_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    image_set: str
    split: str
    group: str
    page_token: str
    page_size: int
    def __init__(self, image_set: _Optional[str] = ..., split: _Optional[str] = ..., group: _Optional[str] = ..., page_token: _Optional[str] = ..., page_size: _Optional[int] = ...) -> None: ...

class AttributeValue(_message.Message):
    __slots__ = ("text", "number")
    TEXT_FIELD_NUMBER: _ClassVar[int]
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    text: str
    number: float
    def __init__(self, text: _Optional[str] = ..., number: _Optional[float] = ...) -> None: ...

class ImageCard(_message.Message):
    __slots__ = ("sha256", "path", "split", "group", "label", "attributes")
    class AttributesEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: AttributeValue
        def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[AttributeValue, _Mapping]] = ...) -> None: ...
    SHA256_FIELD_NUMBER: _ClassVar[int]
    PATH_FIELD_NUMBER: _ClassVar[int]
    SPLIT_FIELD_NUMBER: _ClassVar[int]
    GROUP_FIELD_NUMBER: _ClassVar[int]
    LABEL_FIELD_NUMBER: _ClassVar[int]
    ATTRIBUTES_FIELD_NUMBER: _ClassVar[int]
    sha256: str
    path: str
    split: str
    group: str
    label: str
    attributes: _containers.MessageMap[str, AttributeValue]
    def __init__(self, sha256: _Optional[str] = ..., path: _Optional[str] = ..., split: _Optional[str] = ..., group: _Optional[str] = ..., label: _Optional[str] = ..., attributes: _Optional[_Mapping[str, AttributeValue]] = ...) -> None: ...

class ListImagesResponse(_message.Message):
    __slots__ = ("images", "next_page_token", "total")
    IMAGES_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    TOTAL_FIELD_NUMBER: _ClassVar[int]
    images: _containers.RepeatedCompositeFieldContainer[ImageCard]
    next_page_token: str
    total: int
    def __init__(self, images: _Optional[_Iterable[_Union[ImageCard, _Mapping]]] = ..., next_page_token: _Optional[str] = ..., total: _Optional[int] = ...) -> None: ...

class GetImagesRequest(_message.Message):
    __slots__ = ("digests",)
    DIGESTS_FIELD_NUMBER: _ClassVar[int]
    digests: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, digests: _Optional[_Iterable[str]] = ...) -> None: ...

class ImageBytes(_message.Message):
    __slots__ = ("sha256", "data")
    SHA256_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    sha256: str
    data: bytes
    def __init__(self, sha256: _Optional[str] = ..., data: _Optional[bytes] = ...) -> None: ...

class GetImagesResponse(_message.Message):
    __slots__ = ("images",)
    IMAGES_FIELD_NUMBER: _ClassVar[int]
    images: _containers.RepeatedCompositeFieldContainer[ImageBytes]
    def __init__(self, images: _Optional[_Iterable[_Union[ImageBytes, _Mapping]]] = ...) -> None: ...

class GetFeaturesRequest(_message.Message):
    __slots__ = ("dictionary", "indices")
    DICTIONARY_FIELD_NUMBER: _ClassVar[int]
    INDICES_FIELD_NUMBER: _ClassVar[int]
    dictionary: str
    indices: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, dictionary: _Optional[str] = ..., indices: _Optional[_Iterable[int]] = ...) -> None: ...

class FeatureCard(_message.Message):
    __slots__ = ("dictionary", "feature", "firing_rate", "maximum", "references", "mean", "label", "label_score", "clarity", "polysemanticity", "redundancy", "histogram", "classes", "neighbours", "coactive", "sample")
    DICTIONARY_FIELD_NUMBER: _ClassVar[int]
    FEATURE_FIELD_NUMBER: _ClassVar[int]
    FIRING_RATE_FIELD_NUMBER: _ClassVar[int]
    MAXIMUM_FIELD_NUMBER: _ClassVar[int]
    REFERENCES_FIELD_NUMBER: _ClassVar[int]
    MEAN_FIELD_NUMBER: _ClassVar[int]
    LABEL_FIELD_NUMBER: _ClassVar[int]
    LABEL_SCORE_FIELD_NUMBER: _ClassVar[int]
    CLARITY_FIELD_NUMBER: _ClassVar[int]
    POLYSEMANTICITY_FIELD_NUMBER: _ClassVar[int]
    REDUNDANCY_FIELD_NUMBER: _ClassVar[int]
    HISTOGRAM_FIELD_NUMBER: _ClassVar[int]
    CLASSES_FIELD_NUMBER: _ClassVar[int]
    NEIGHBOURS_FIELD_NUMBER: _ClassVar[int]
    COACTIVE_FIELD_NUMBER: _ClassVar[int]
    SAMPLE_FIELD_NUMBER: _ClassVar[int]
    dictionary: str
    feature: int
    firing_rate: float
    maximum: float
    references: _containers.RepeatedCompositeFieldContainer[_jobs_pb2.Reference]
    mean: float
    label: str
    label_score: float
    clarity: float
    polysemanticity: float
    redundancy: float
    histogram: _containers.RepeatedScalarFieldContainer[int]
    classes: _containers.RepeatedCompositeFieldContainer[Detected]
    neighbours: _containers.RepeatedCompositeFieldContainer[Neighbour]
    coactive: _containers.RepeatedCompositeFieldContainer[Neighbour]
    sample: _containers.RepeatedCompositeFieldContainer[_jobs_pb2.Reference]
    def __init__(self, dictionary: _Optional[str] = ..., feature: _Optional[int] = ..., firing_rate: _Optional[float] = ..., maximum: _Optional[float] = ..., references: _Optional[_Iterable[_Union[_jobs_pb2.Reference, _Mapping]]] = ..., mean: _Optional[float] = ..., label: _Optional[str] = ..., label_score: _Optional[float] = ..., clarity: _Optional[float] = ..., polysemanticity: _Optional[float] = ..., redundancy: _Optional[float] = ..., histogram: _Optional[_Iterable[int]] = ..., classes: _Optional[_Iterable[_Union[Detected, _Mapping]]] = ..., neighbours: _Optional[_Iterable[_Union[Neighbour, _Mapping]]] = ..., coactive: _Optional[_Iterable[_Union[Neighbour, _Mapping]]] = ..., sample: _Optional[_Iterable[_Union[_jobs_pb2.Reference, _Mapping]]] = ...) -> None: ...

class Detected(_message.Message):
    __slots__ = ("name", "ap", "auroc", "lift", "positives")
    NAME_FIELD_NUMBER: _ClassVar[int]
    AP_FIELD_NUMBER: _ClassVar[int]
    AUROC_FIELD_NUMBER: _ClassVar[int]
    LIFT_FIELD_NUMBER: _ClassVar[int]
    POSITIVES_FIELD_NUMBER: _ClassVar[int]
    name: str
    ap: float
    auroc: float
    lift: float
    positives: int
    def __init__(self, name: _Optional[str] = ..., ap: _Optional[float] = ..., auroc: _Optional[float] = ..., lift: _Optional[float] = ..., positives: _Optional[int] = ...) -> None: ...

class Neighbour(_message.Message):
    __slots__ = ("feature", "value")
    FEATURE_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    feature: int
    value: float
    def __init__(self, feature: _Optional[int] = ..., value: _Optional[float] = ...) -> None: ...

class GetFeaturesResponse(_message.Message):
    __slots__ = ("features",)
    FEATURES_FIELD_NUMBER: _ClassVar[int]
    features: _containers.RepeatedCompositeFieldContainer[FeatureCard]
    def __init__(self, features: _Optional[_Iterable[_Union[FeatureCard, _Mapping]]] = ...) -> None: ...

class ListCataloguesRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class StatisticRange(_message.Message):
    __slots__ = ("statistic", "low", "high", "known")
    STATISTIC_FIELD_NUMBER: _ClassVar[int]
    LOW_FIELD_NUMBER: _ClassVar[int]
    HIGH_FIELD_NUMBER: _ClassVar[int]
    KNOWN_FIELD_NUMBER: _ClassVar[int]
    statistic: Statistic
    low: float
    high: float
    known: int
    def __init__(self, statistic: _Optional[_Union[Statistic, str]] = ..., low: _Optional[float] = ..., high: _Optional[float] = ..., known: _Optional[int] = ...) -> None: ...

class CatalogueClass(_message.Message):
    __slots__ = ("name", "positives")
    NAME_FIELD_NUMBER: _ClassVar[int]
    POSITIVES_FIELD_NUMBER: _ClassVar[int]
    name: str
    positives: int
    def __init__(self, name: _Optional[str] = ..., positives: _Optional[int] = ...) -> None: ...

class CatalogueInfo(_message.Message):
    __slots__ = ("dictionary", "fingerprint", "model", "pictures", "features", "size", "label_floor", "classes", "statistics", "rows", "columns", "labelled", "name", "trouble")
    DICTIONARY_FIELD_NUMBER: _ClassVar[int]
    FINGERPRINT_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    PICTURES_FIELD_NUMBER: _ClassVar[int]
    FEATURES_FIELD_NUMBER: _ClassVar[int]
    SIZE_FIELD_NUMBER: _ClassVar[int]
    LABEL_FLOOR_FIELD_NUMBER: _ClassVar[int]
    CLASSES_FIELD_NUMBER: _ClassVar[int]
    STATISTICS_FIELD_NUMBER: _ClassVar[int]
    ROWS_FIELD_NUMBER: _ClassVar[int]
    COLUMNS_FIELD_NUMBER: _ClassVar[int]
    LABELLED_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    TROUBLE_FIELD_NUMBER: _ClassVar[int]
    dictionary: str
    fingerprint: str
    model: str
    pictures: int
    features: int
    size: int
    label_floor: float
    classes: _containers.RepeatedCompositeFieldContainer[CatalogueClass]
    statistics: _containers.RepeatedCompositeFieldContainer[StatisticRange]
    rows: int
    columns: int
    labelled: int
    name: str
    trouble: str
    def __init__(self, dictionary: _Optional[str] = ..., fingerprint: _Optional[str] = ..., model: _Optional[str] = ..., pictures: _Optional[int] = ..., features: _Optional[int] = ..., size: _Optional[int] = ..., label_floor: _Optional[float] = ..., classes: _Optional[_Iterable[_Union[CatalogueClass, _Mapping]]] = ..., statistics: _Optional[_Iterable[_Union[StatisticRange, _Mapping]]] = ..., rows: _Optional[int] = ..., columns: _Optional[int] = ..., labelled: _Optional[int] = ..., name: _Optional[str] = ..., trouble: _Optional[str] = ...) -> None: ...

class ListCataloguesResponse(_message.Message):
    __slots__ = ("catalogues",)
    CATALOGUES_FIELD_NUMBER: _ClassVar[int]
    catalogues: _containers.RepeatedCompositeFieldContainer[CatalogueInfo]
    def __init__(self, catalogues: _Optional[_Iterable[_Union[CatalogueInfo, _Mapping]]] = ...) -> None: ...

class StatisticFilter(_message.Message):
    __slots__ = ("statistic", "low", "high")
    STATISTIC_FIELD_NUMBER: _ClassVar[int]
    LOW_FIELD_NUMBER: _ClassVar[int]
    HIGH_FIELD_NUMBER: _ClassVar[int]
    statistic: Statistic
    low: float
    high: float
    def __init__(self, statistic: _Optional[_Union[Statistic, str]] = ..., low: _Optional[float] = ..., high: _Optional[float] = ...) -> None: ...

class SearchFeaturesRequest(_message.Message):
    __slots__ = ("dictionary", "words", "image", "class_name", "filters", "naming", "tag", "sort", "ascending", "page_token", "page_size", "pictures")
    DICTIONARY_FIELD_NUMBER: _ClassVar[int]
    WORDS_FIELD_NUMBER: _ClassVar[int]
    IMAGE_FIELD_NUMBER: _ClassVar[int]
    CLASS_NAME_FIELD_NUMBER: _ClassVar[int]
    FILTERS_FIELD_NUMBER: _ClassVar[int]
    NAMING_FIELD_NUMBER: _ClassVar[int]
    TAG_FIELD_NUMBER: _ClassVar[int]
    SORT_FIELD_NUMBER: _ClassVar[int]
    ASCENDING_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PICTURES_FIELD_NUMBER: _ClassVar[int]
    dictionary: str
    words: str
    image: _types_pb2.ImageRef
    class_name: str
    filters: _containers.RepeatedCompositeFieldContainer[StatisticFilter]
    naming: Naming
    tag: str
    sort: Statistic
    ascending: bool
    page_token: str
    page_size: int
    pictures: int
    def __init__(self, dictionary: _Optional[str] = ..., words: _Optional[str] = ..., image: _Optional[_Union[_types_pb2.ImageRef, _Mapping]] = ..., class_name: _Optional[str] = ..., filters: _Optional[_Iterable[_Union[StatisticFilter, _Mapping]]] = ..., naming: _Optional[_Union[Naming, str]] = ..., tag: _Optional[str] = ..., sort: _Optional[_Union[Statistic, str]] = ..., ascending: bool = ..., page_token: _Optional[str] = ..., page_size: _Optional[int] = ..., pictures: _Optional[int] = ...) -> None: ...

class FeatureRow(_message.Message):
    __slots__ = ("feature", "label", "name", "votes", "tags", "firing_rate", "maximum", "mean", "clarity", "polysemanticity", "redundancy", "label_score", "class_name", "precision", "relevance", "activation", "pictures", "auroc", "lift")
    FEATURE_FIELD_NUMBER: _ClassVar[int]
    LABEL_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    VOTES_FIELD_NUMBER: _ClassVar[int]
    TAGS_FIELD_NUMBER: _ClassVar[int]
    FIRING_RATE_FIELD_NUMBER: _ClassVar[int]
    MAXIMUM_FIELD_NUMBER: _ClassVar[int]
    MEAN_FIELD_NUMBER: _ClassVar[int]
    CLARITY_FIELD_NUMBER: _ClassVar[int]
    POLYSEMANTICITY_FIELD_NUMBER: _ClassVar[int]
    REDUNDANCY_FIELD_NUMBER: _ClassVar[int]
    LABEL_SCORE_FIELD_NUMBER: _ClassVar[int]
    CLASS_NAME_FIELD_NUMBER: _ClassVar[int]
    PRECISION_FIELD_NUMBER: _ClassVar[int]
    RELEVANCE_FIELD_NUMBER: _ClassVar[int]
    ACTIVATION_FIELD_NUMBER: _ClassVar[int]
    PICTURES_FIELD_NUMBER: _ClassVar[int]
    AUROC_FIELD_NUMBER: _ClassVar[int]
    LIFT_FIELD_NUMBER: _ClassVar[int]
    feature: int
    label: str
    name: str
    votes: int
    tags: _containers.RepeatedScalarFieldContainer[str]
    firing_rate: float
    maximum: float
    mean: float
    clarity: float
    polysemanticity: float
    redundancy: float
    label_score: float
    class_name: str
    precision: float
    relevance: float
    activation: float
    pictures: _containers.RepeatedScalarFieldContainer[str]
    auroc: float
    lift: float
    def __init__(self, feature: _Optional[int] = ..., label: _Optional[str] = ..., name: _Optional[str] = ..., votes: _Optional[int] = ..., tags: _Optional[_Iterable[str]] = ..., firing_rate: _Optional[float] = ..., maximum: _Optional[float] = ..., mean: _Optional[float] = ..., clarity: _Optional[float] = ..., polysemanticity: _Optional[float] = ..., redundancy: _Optional[float] = ..., label_score: _Optional[float] = ..., class_name: _Optional[str] = ..., precision: _Optional[float] = ..., relevance: _Optional[float] = ..., activation: _Optional[float] = ..., pictures: _Optional[_Iterable[str]] = ..., auroc: _Optional[float] = ..., lift: _Optional[float] = ...) -> None: ...

class SearchFeaturesResponse(_message.Message):
    __slots__ = ("features", "next_page_token", "total", "without_meaning")
    FEATURES_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    TOTAL_FIELD_NUMBER: _ClassVar[int]
    WITHOUT_MEANING_FIELD_NUMBER: _ClassVar[int]
    features: _containers.RepeatedCompositeFieldContainer[FeatureRow]
    next_page_token: str
    total: int
    without_meaning: _status_pb2.Status
    def __init__(self, features: _Optional[_Iterable[_Union[FeatureRow, _Mapping]]] = ..., next_page_token: _Optional[str] = ..., total: _Optional[int] = ..., without_meaning: _Optional[_Union[_status_pb2.Status, _Mapping]] = ...) -> None: ...

class GetFeatureMapRequest(_message.Message):
    __slots__ = ("dictionary",)
    DICTIONARY_FIELD_NUMBER: _ClassVar[int]
    dictionary: str
    def __init__(self, dictionary: _Optional[str] = ...) -> None: ...

class GetFeatureMapResponse(_message.Message):
    __slots__ = ("features", "places", "firing_rates", "clarities", "labels", "words")
    FEATURES_FIELD_NUMBER: _ClassVar[int]
    PLACES_FIELD_NUMBER: _ClassVar[int]
    FIRING_RATES_FIELD_NUMBER: _ClassVar[int]
    CLARITIES_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    WORDS_FIELD_NUMBER: _ClassVar[int]
    features: _types_pb2.Tensor
    places: _types_pb2.Tensor
    firing_rates: _types_pb2.Tensor
    clarities: _types_pb2.Tensor
    labels: _types_pb2.Tensor
    words: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, features: _Optional[_Union[_types_pb2.Tensor, _Mapping]] = ..., places: _Optional[_Union[_types_pb2.Tensor, _Mapping]] = ..., firing_rates: _Optional[_Union[_types_pb2.Tensor, _Mapping]] = ..., clarities: _Optional[_Union[_types_pb2.Tensor, _Mapping]] = ..., labels: _Optional[_Union[_types_pb2.Tensor, _Mapping]] = ..., words: _Optional[_Iterable[str]] = ...) -> None: ...

class CompareFeaturesRequest(_message.Message):
    __slots__ = ("dictionary", "other", "side", "floor", "page_token", "page_size", "pictures")
    DICTIONARY_FIELD_NUMBER: _ClassVar[int]
    OTHER_FIELD_NUMBER: _ClassVar[int]
    SIDE_FIELD_NUMBER: _ClassVar[int]
    FLOOR_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PICTURES_FIELD_NUMBER: _ClassVar[int]
    dictionary: str
    other: str
    side: PairSide
    floor: float
    page_token: str
    page_size: int
    pictures: int
    def __init__(self, dictionary: _Optional[str] = ..., other: _Optional[str] = ..., side: _Optional[_Union[PairSide, str]] = ..., floor: _Optional[float] = ..., page_token: _Optional[str] = ..., page_size: _Optional[int] = ..., pictures: _Optional[int] = ...) -> None: ...

class FeaturePair(_message.Message):
    __slots__ = ("first", "second", "alike", "cosine", "mutual", "together")
    FIRST_FIELD_NUMBER: _ClassVar[int]
    SECOND_FIELD_NUMBER: _ClassVar[int]
    ALIKE_FIELD_NUMBER: _ClassVar[int]
    COSINE_FIELD_NUMBER: _ClassVar[int]
    MUTUAL_FIELD_NUMBER: _ClassVar[int]
    TOGETHER_FIELD_NUMBER: _ClassVar[int]
    first: FeatureRow
    second: FeatureRow
    alike: float
    cosine: float
    mutual: bool
    together: int
    def __init__(self, first: _Optional[_Union[FeatureRow, _Mapping]] = ..., second: _Optional[_Union[FeatureRow, _Mapping]] = ..., alike: _Optional[float] = ..., cosine: _Optional[float] = ..., mutual: bool = ..., together: _Optional[int] = ...) -> None: ...

class ComparedSide(_message.Message):
    __slots__ = ("features", "matched", "mutual", "shares", "seldom")
    FEATURES_FIELD_NUMBER: _ClassVar[int]
    MATCHED_FIELD_NUMBER: _ClassVar[int]
    MUTUAL_FIELD_NUMBER: _ClassVar[int]
    SHARES_FIELD_NUMBER: _ClassVar[int]
    SELDOM_FIELD_NUMBER: _ClassVar[int]
    features: int
    matched: int
    mutual: int
    shares: _containers.RepeatedScalarFieldContainer[float]
    seldom: int
    def __init__(self, features: _Optional[int] = ..., matched: _Optional[int] = ..., mutual: _Optional[int] = ..., shares: _Optional[_Iterable[float]] = ..., seldom: _Optional[int] = ...) -> None: ...

class CompareFeaturesResponse(_message.Message):
    __slots__ = ("pairs", "next_page_token", "total", "by", "shared", "first", "second")
    PAIRS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    TOTAL_FIELD_NUMBER: _ClassVar[int]
    BY_FIELD_NUMBER: _ClassVar[int]
    SHARED_FIELD_NUMBER: _ClassVar[int]
    FIRST_FIELD_NUMBER: _ClassVar[int]
    SECOND_FIELD_NUMBER: _ClassVar[int]
    pairs: _containers.RepeatedCompositeFieldContainer[FeaturePair]
    next_page_token: str
    total: int
    by: MatchedBy
    shared: int
    first: ComparedSide
    second: ComparedSide
    def __init__(self, pairs: _Optional[_Iterable[_Union[FeaturePair, _Mapping]]] = ..., next_page_token: _Optional[str] = ..., total: _Optional[int] = ..., by: _Optional[_Union[MatchedBy, str]] = ..., shared: _Optional[int] = ..., first: _Optional[_Union[ComparedSide, _Mapping]] = ..., second: _Optional[_Union[ComparedSide, _Mapping]] = ...) -> None: ...

class GetThumbnailsRequest(_message.Message):
    __slots__ = ("dictionary", "digests")
    DICTIONARY_FIELD_NUMBER: _ClassVar[int]
    DIGESTS_FIELD_NUMBER: _ClassVar[int]
    dictionary: str
    digests: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, dictionary: _Optional[str] = ..., digests: _Optional[_Iterable[str]] = ...) -> None: ...

class GetThumbnailsResponse(_message.Message):
    __slots__ = ("thumbnails",)
    THUMBNAILS_FIELD_NUMBER: _ClassVar[int]
    thumbnails: _containers.RepeatedCompositeFieldContainer[ImageBytes]
    def __init__(self, thumbnails: _Optional[_Iterable[_Union[ImageBytes, _Mapping]]] = ...) -> None: ...

class ListFiringRequest(_message.Message):
    __slots__ = ("dictionary", "feature", "image_set", "split", "group", "page_token", "page_size")
    DICTIONARY_FIELD_NUMBER: _ClassVar[int]
    FEATURE_FIELD_NUMBER: _ClassVar[int]
    IMAGE_SET_FIELD_NUMBER: _ClassVar[int]
    SPLIT_FIELD_NUMBER: _ClassVar[int]
    GROUP_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    dictionary: str
    feature: int
    image_set: str
    split: str
    group: str
    page_token: str
    page_size: int
    def __init__(self, dictionary: _Optional[str] = ..., feature: _Optional[int] = ..., image_set: _Optional[str] = ..., split: _Optional[str] = ..., group: _Optional[str] = ..., page_token: _Optional[str] = ..., page_size: _Optional[int] = ...) -> None: ...

class ListFiringResponse(_message.Message):
    __slots__ = ("firing", "seen", "total", "next_page_token", "failed")
    FIRING_FIELD_NUMBER: _ClassVar[int]
    SEEN_FIELD_NUMBER: _ClassVar[int]
    TOTAL_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    FAILED_FIELD_NUMBER: _ClassVar[int]
    firing: _containers.RepeatedCompositeFieldContainer[_jobs_pb2.Reference]
    seen: int
    total: int
    next_page_token: str
    failed: int
    def __init__(self, firing: _Optional[_Iterable[_Union[_jobs_pb2.Reference, _Mapping]]] = ..., seen: _Optional[int] = ..., total: _Optional[int] = ..., next_page_token: _Optional[str] = ..., failed: _Optional[int] = ...) -> None: ...

class Remark(_message.Message):
    __slots__ = ("feature", "author", "at", "kind", "text", "value")
    FEATURE_FIELD_NUMBER: _ClassVar[int]
    AUTHOR_FIELD_NUMBER: _ClassVar[int]
    AT_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    feature: int
    author: str
    at: float
    kind: str
    text: str
    value: int
    def __init__(self, feature: _Optional[int] = ..., author: _Optional[str] = ..., at: _Optional[float] = ..., kind: _Optional[str] = ..., text: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...

class GetFeatureLabelsRequest(_message.Message):
    __slots__ = ("dictionary", "feature")
    DICTIONARY_FIELD_NUMBER: _ClassVar[int]
    FEATURE_FIELD_NUMBER: _ClassVar[int]
    dictionary: str
    feature: int
    def __init__(self, dictionary: _Optional[str] = ..., feature: _Optional[int] = ...) -> None: ...

class GetFeatureLabelsResponse(_message.Message):
    __slots__ = ("name", "named_by", "tags", "votes", "said")
    NAME_FIELD_NUMBER: _ClassVar[int]
    NAMED_BY_FIELD_NUMBER: _ClassVar[int]
    TAGS_FIELD_NUMBER: _ClassVar[int]
    VOTES_FIELD_NUMBER: _ClassVar[int]
    SAID_FIELD_NUMBER: _ClassVar[int]
    name: str
    named_by: str
    tags: _containers.RepeatedScalarFieldContainer[str]
    votes: int
    said: _containers.RepeatedCompositeFieldContainer[Remark]
    def __init__(self, name: _Optional[str] = ..., named_by: _Optional[str] = ..., tags: _Optional[_Iterable[str]] = ..., votes: _Optional[int] = ..., said: _Optional[_Iterable[_Union[Remark, _Mapping]]] = ...) -> None: ...

class SayOfFeatureRequest(_message.Message):
    __slots__ = ("dictionary", "feature", "author", "kind", "text", "value")
    DICTIONARY_FIELD_NUMBER: _ClassVar[int]
    FEATURE_FIELD_NUMBER: _ClassVar[int]
    AUTHOR_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    dictionary: str
    feature: int
    author: str
    kind: str
    text: str
    value: int
    def __init__(self, dictionary: _Optional[str] = ..., feature: _Optional[int] = ..., author: _Optional[str] = ..., kind: _Optional[str] = ..., text: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...

class SayOfFeatureResponse(_message.Message):
    __slots__ = ("labels",)
    LABELS_FIELD_NUMBER: _ClassVar[int]
    labels: GetFeatureLabelsResponse
    def __init__(self, labels: _Optional[_Union[GetFeatureLabelsResponse, _Mapping]] = ...) -> None: ...
