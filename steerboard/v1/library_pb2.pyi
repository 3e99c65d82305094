from steerboard.v1 import jobs_pb2 as _jobs_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

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
