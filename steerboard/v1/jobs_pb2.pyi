from steerboard.v1 import steering_pb2 as _steering_pb2
from steerboard.v1 import types_pb2 as _types_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class JobState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    JOB_STATE_UNSPECIFIED: _ClassVar[JobState]
    JOB_STATE_QUEUED: _ClassVar[JobState]
    JOB_STATE_RUNNING: _ClassVar[JobState]
    JOB_STATE_DONE: _ClassVar[JobState]
    JOB_STATE_FAILED: _ClassVar[JobState]
    JOB_STATE_CANCELLED: _ClassVar[JobState]
JOB_STATE_UNSPECIFIED: JobState
JOB_STATE_QUEUED: JobState
JOB_STATE_RUNNING: JobState
JOB_STATE_DONE: JobState
JOB_STATE_FAILED: JobState
JOB_STATE_CANCELLED: JobState

class AttributeJob(_message.Message):
    __slots__ = ("model", "image", "classifier", "dictionary", "target", "method", "top_k", "verify", "references", "site", "units", "directions", "tokens", "steps", "method_name")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    IMAGE_FIELD_NUMBER: _ClassVar[int]
    CLASSIFIER_FIELD_NUMBER: _ClassVar[int]
    DICTIONARY_FIELD_NUMBER: _ClassVar[int]
    TARGET_FIELD_NUMBER: _ClassVar[int]
    METHOD_FIELD_NUMBER: _ClassVar[int]
    TOP_K_FIELD_NUMBER: _ClassVar[int]
    VERIFY_FIELD_NUMBER: _ClassVar[int]
    REFERENCES_FIELD_NUMBER: _ClassVar[int]
    SITE_FIELD_NUMBER: _ClassVar[int]
    UNITS_FIELD_NUMBER: _ClassVar[int]
    DIRECTIONS_FIELD_NUMBER: _ClassVar[int]
    TOKENS_FIELD_NUMBER: _ClassVar[int]
    STEPS_FIELD_NUMBER: _ClassVar[int]
    METHOD_NAME_FIELD_NUMBER: _ClassVar[int]
    model: str
    image: str
    classifier: _types_pb2.Classifier
    dictionary: str
    target: _types_pb2.Target
    method: _steering_pb2.Method
    top_k: int
    verify: int
    references: int
    site: str
    units: _steering_pb2.UnitKind
    directions: _types_pb2.Tensor
    tokens: _types_pb2.Mask
    steps: int
    method_name: str
    def __init__(self, model: _Optional[str] = ..., image: _Optional[str] = ..., classifier: _Optional[_Union[_types_pb2.Classifier, _Mapping]] = ..., dictionary: _Optional[str] = ..., target: _Optional[_Union[_types_pb2.Target, _Mapping]] = ..., method: _Optional[_Union[_steering_pb2.Method, str]] = ..., top_k: _Optional[int] = ..., verify: _Optional[int] = ..., references: _Optional[int] = ..., site: _Optional[str] = ..., units: _Optional[_Union[_steering_pb2.UnitKind, str]] = ..., directions: _Optional[_Union[_types_pb2.Tensor, _Mapping]] = ..., tokens: _Optional[_Union[_types_pb2.Mask, _Mapping]] = ..., steps: _Optional[int] = ..., method_name: _Optional[str] = ...) -> None: ...

class AttributeSetJob(_message.Message):
    __slots__ = ("model", "images", "classifier", "dictionary", "targets", "method", "top_k", "site", "units", "directions", "tokens", "steps", "method_name", "labels")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    IMAGES_FIELD_NUMBER: _ClassVar[int]
    CLASSIFIER_FIELD_NUMBER: _ClassVar[int]
    DICTIONARY_FIELD_NUMBER: _ClassVar[int]
    TARGETS_FIELD_NUMBER: _ClassVar[int]
    METHOD_FIELD_NUMBER: _ClassVar[int]
    TOP_K_FIELD_NUMBER: _ClassVar[int]
    SITE_FIELD_NUMBER: _ClassVar[int]
    UNITS_FIELD_NUMBER: _ClassVar[int]
    DIRECTIONS_FIELD_NUMBER: _ClassVar[int]
    TOKENS_FIELD_NUMBER: _ClassVar[int]
    STEPS_FIELD_NUMBER: _ClassVar[int]
    METHOD_NAME_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    model: str
    images: _containers.RepeatedScalarFieldContainer[str]
    classifier: _types_pb2.Classifier
    dictionary: str
    targets: _containers.RepeatedCompositeFieldContainer[_types_pb2.Target]
    method: _steering_pb2.Method
    top_k: int
    site: str
    units: _steering_pb2.UnitKind
    directions: _types_pb2.Tensor
    tokens: _types_pb2.Mask
    steps: int
    method_name: str
    labels: _containers.RepeatedScalarFieldContainer[bool]
    def __init__(self, model: _Optional[str] = ..., images: _Optional[_Iterable[str]] = ..., classifier: _Optional[_Union[_types_pb2.Classifier, _Mapping]] = ..., dictionary: _Optional[str] = ..., targets: _Optional[_Iterable[_Union[_types_pb2.Target, _Mapping]]] = ..., method: _Optional[_Union[_steering_pb2.Method, str]] = ..., top_k: _Optional[int] = ..., site: _Optional[str] = ..., units: _Optional[_Union[_steering_pb2.UnitKind, str]] = ..., directions: _Optional[_Union[_types_pb2.Tensor, _Mapping]] = ..., tokens: _Optional[_Union[_types_pb2.Mask, _Mapping]] = ..., steps: _Optional[int] = ..., method_name: _Optional[str] = ..., labels: _Optional[_Iterable[bool]] = ...) -> None: ...

class Facts(_message.Message):
    __slots__ = ("names",)
    NAMES_FIELD_NUMBER: _ClassVar[int]
    names: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, names: _Optional[_Iterable[str]] = ...) -> None: ...

class CatalogueJob(_message.Message):
    __slots__ = ("model", "images", "dictionary", "facts", "words", "references")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    IMAGES_FIELD_NUMBER: _ClassVar[int]
    DICTIONARY_FIELD_NUMBER: _ClassVar[int]
    FACTS_FIELD_NUMBER: _ClassVar[int]
    WORDS_FIELD_NUMBER: _ClassVar[int]
    REFERENCES_FIELD_NUMBER: _ClassVar[int]
    model: str
    images: _containers.RepeatedScalarFieldContainer[str]
    dictionary: str
    facts: _containers.RepeatedCompositeFieldContainer[Facts]
    words: _containers.RepeatedScalarFieldContainer[str]
    references: int
    def __init__(self, model: _Optional[str] = ..., images: _Optional[_Iterable[str]] = ..., dictionary: _Optional[str] = ..., facts: _Optional[_Iterable[_Union[Facts, _Mapping]]] = ..., words: _Optional[_Iterable[str]] = ..., references: _Optional[int] = ...) -> None: ...

class EvidencePicture(_message.Message):
    __slots__ = ("sha256", "key", "label", "facts")
    SHA256_FIELD_NUMBER: _ClassVar[int]
    KEY_FIELD_NUMBER: _ClassVar[int]
    LABEL_FIELD_NUMBER: _ClassVar[int]
    FACTS_FIELD_NUMBER: _ClassVar[int]
    sha256: str
    key: str
    label: str
    facts: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, sha256: _Optional[str] = ..., key: _Optional[str] = ..., label: _Optional[str] = ..., facts: _Optional[_Iterable[str]] = ...) -> None: ...

class EvidenceJob(_message.Message):
    __slots__ = ("recipe", "image_set", "split", "images", "vocabulary", "seed")
    RECIPE_FIELD_NUMBER: _ClassVar[int]
    IMAGE_SET_FIELD_NUMBER: _ClassVar[int]
    SPLIT_FIELD_NUMBER: _ClassVar[int]
    IMAGES_FIELD_NUMBER: _ClassVar[int]
    VOCABULARY_FIELD_NUMBER: _ClassVar[int]
    SEED_FIELD_NUMBER: _ClassVar[int]
    recipe: bytes
    image_set: str
    split: str
    images: _containers.RepeatedCompositeFieldContainer[EvidencePicture]
    vocabulary: _containers.RepeatedScalarFieldContainer[str]
    seed: int
    def __init__(self, recipe: _Optional[bytes] = ..., image_set: _Optional[str] = ..., split: _Optional[str] = ..., images: _Optional[_Iterable[_Union[EvidencePicture, _Mapping]]] = ..., vocabulary: _Optional[_Iterable[str]] = ..., seed: _Optional[int] = ...) -> None: ...

class JobSpec(_message.Message):
    __slots__ = ("attribute", "attribute_set", "catalogue", "evidence")
    ATTRIBUTE_FIELD_NUMBER: _ClassVar[int]
    ATTRIBUTE_SET_FIELD_NUMBER: _ClassVar[int]
    CATALOGUE_FIELD_NUMBER: _ClassVar[int]
    EVIDENCE_FIELD_NUMBER: _ClassVar[int]
    attribute: AttributeJob
    attribute_set: AttributeSetJob
    catalogue: CatalogueJob
    evidence: EvidenceJob
    def __init__(self, attribute: _Optional[_Union[AttributeJob, _Mapping]] = ..., attribute_set: _Optional[_Union[AttributeSetJob, _Mapping]] = ..., catalogue: _Optional[_Union[CatalogueJob, _Mapping]] = ..., evidence: _Optional[_Union[EvidenceJob, _Mapping]] = ...) -> None: ...

class JobStatus(_message.Message):
    __slots__ = ("id", "state", "done", "total", "rate", "seconds_left", "message", "cached", "joined", "kind", "pictures", "priority", "submitted")
    ID_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    DONE_FIELD_NUMBER: _ClassVar[int]
    TOTAL_FIELD_NUMBER: _ClassVar[int]
    RATE_FIELD_NUMBER: _ClassVar[int]
    SECONDS_LEFT_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    CACHED_FIELD_NUMBER: _ClassVar[int]
    JOINED_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    PICTURES_FIELD_NUMBER: _ClassVar[int]
    PRIORITY_FIELD_NUMBER: _ClassVar[int]
    SUBMITTED_FIELD_NUMBER: _ClassVar[int]
    id: str
    state: JobState
    done: int
    total: int
    rate: float
    seconds_left: float
    message: str
    cached: bool
    joined: bool
    kind: str
    pictures: int
    priority: int
    submitted: float
    def __init__(self, id: _Optional[str] = ..., state: _Optional[_Union[JobState, str]] = ..., done: _Optional[int] = ..., total: _Optional[int] = ..., rate: _Optional[float] = ..., seconds_left: _Optional[float] = ..., message: _Optional[str] = ..., cached: bool = ..., joined: bool = ..., kind: _Optional[str] = ..., pictures: _Optional[int] = ..., priority: _Optional[int] = ..., submitted: _Optional[float] = ...) -> None: ...

class SubmitRequest(_message.Message):
    __slots__ = ("spec", "images", "priority")
    SPEC_FIELD_NUMBER: _ClassVar[int]
    IMAGES_FIELD_NUMBER: _ClassVar[int]
    PRIORITY_FIELD_NUMBER: _ClassVar[int]
    spec: JobSpec
    images: _containers.RepeatedScalarFieldContainer[bytes]
    priority: int
    def __init__(self, spec: _Optional[_Union[JobSpec, _Mapping]] = ..., images: _Optional[_Iterable[bytes]] = ..., priority: _Optional[int] = ...) -> None: ...

class SubmitResponse(_message.Message):
    __slots__ = ("status", "result")
    STATUS_FIELD_NUMBER: _ClassVar[int]
    RESULT_FIELD_NUMBER: _ClassVar[int]
    status: JobStatus
    result: JobResult
    def __init__(self, status: _Optional[_Union[JobStatus, _Mapping]] = ..., result: _Optional[_Union[JobResult, _Mapping]] = ...) -> None: ...

class WatchRequest(_message.Message):
    __slots__ = ("id",)
    ID_FIELD_NUMBER: _ClassVar[int]
    id: str
    def __init__(self, id: _Optional[str] = ...) -> None: ...

class WatchResponse(_message.Message):
    __slots__ = ("status",)
    STATUS_FIELD_NUMBER: _ClassVar[int]
    status: JobStatus
    def __init__(self, status: _Optional[_Union[JobStatus, _Mapping]] = ...) -> None: ...

class ResultRequest(_message.Message):
    __slots__ = ("id", "page_token", "page_size")
    ID_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    id: str
    page_token: str
    page_size: int
    def __init__(self, id: _Optional[str] = ..., page_token: _Optional[str] = ..., page_size: _Optional[int] = ...) -> None: ...

class Reference(_message.Message):
    __slots__ = ("image", "activation", "heat")
    IMAGE_FIELD_NUMBER: _ClassVar[int]
    ACTIVATION_FIELD_NUMBER: _ClassVar[int]
    HEAT_FIELD_NUMBER: _ClassVar[int]
    image: str
    activation: float
    heat: _types_pb2.Tensor
    def __init__(self, image: _Optional[str] = ..., activation: _Optional[float] = ..., heat: _Optional[_Union[_types_pb2.Tensor, _Mapping]] = ...) -> None: ...

class RankedFeature(_message.Message):
    __slots__ = ("feature", "score", "activation", "peak", "heat", "measured", "firing_rate", "maximum", "references", "label", "standard_error")
    FEATURE_FIELD_NUMBER: _ClassVar[int]
    SCORE_FIELD_NUMBER: _ClassVar[int]
    ACTIVATION_FIELD_NUMBER: _ClassVar[int]
    PEAK_FIELD_NUMBER: _ClassVar[int]
    HEAT_FIELD_NUMBER: _ClassVar[int]
    MEASURED_FIELD_NUMBER: _ClassVar[int]
    FIRING_RATE_FIELD_NUMBER: _ClassVar[int]
    MAXIMUM_FIELD_NUMBER: _ClassVar[int]
    REFERENCES_FIELD_NUMBER: _ClassVar[int]
    LABEL_FIELD_NUMBER: _ClassVar[int]
    STANDARD_ERROR_FIELD_NUMBER: _ClassVar[int]
    feature: int
    score: float
    activation: float
    peak: float
    heat: _types_pb2.Tensor
    measured: float
    firing_rate: float
    maximum: float
    references: _containers.RepeatedCompositeFieldContainer[Reference]
    label: str
    standard_error: float
    def __init__(self, feature: _Optional[int] = ..., score: _Optional[float] = ..., activation: _Optional[float] = ..., peak: _Optional[float] = ..., heat: _Optional[_Union[_types_pb2.Tensor, _Mapping]] = ..., measured: _Optional[float] = ..., firing_rate: _Optional[float] = ..., maximum: _Optional[float] = ..., references: _Optional[_Iterable[_Union[Reference, _Mapping]]] = ..., label: _Optional[str] = ..., standard_error: _Optional[float] = ...) -> None: ...

class AttributeResult(_message.Message):
    __slots__ = ("index", "against", "value", "features", "rest", "error", "bias", "total", "provenance_json", "kind", "baseline")
    INDEX_FIELD_NUMBER: _ClassVar[int]
    AGAINST_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    FEATURES_FIELD_NUMBER: _ClassVar[int]
    REST_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    BIAS_FIELD_NUMBER: _ClassVar[int]
    TOTAL_FIELD_NUMBER: _ClassVar[int]
    PROVENANCE_JSON_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    BASELINE_FIELD_NUMBER: _ClassVar[int]
    index: int
    against: int
    value: float
    features: _containers.RepeatedCompositeFieldContainer[RankedFeature]
    rest: float
    error: float
    bias: float
    total: float
    provenance_json: str
    kind: str
    baseline: float
    def __init__(self, index: _Optional[int] = ..., against: _Optional[int] = ..., value: _Optional[float] = ..., features: _Optional[_Iterable[_Union[RankedFeature, _Mapping]]] = ..., rest: _Optional[float] = ..., error: _Optional[float] = ..., bias: _Optional[float] = ..., total: _Optional[float] = ..., provenance_json: _Optional[str] = ..., kind: _Optional[str] = ..., baseline: _Optional[float] = ...) -> None: ...

class JobResult(_message.Message):
    __slots__ = ("attribute", "json")
    ATTRIBUTE_FIELD_NUMBER: _ClassVar[int]
    JSON_FIELD_NUMBER: _ClassVar[int]
    attribute: AttributeResult
    json: bytes
    def __init__(self, attribute: _Optional[_Union[AttributeResult, _Mapping]] = ..., json: _Optional[bytes] = ...) -> None: ...

class ResultResponse(_message.Message):
    __slots__ = ("status", "results", "next_page_token", "about_json")
    STATUS_FIELD_NUMBER: _ClassVar[int]
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    ABOUT_JSON_FIELD_NUMBER: _ClassVar[int]
    status: JobStatus
    results: _containers.RepeatedCompositeFieldContainer[JobResult]
    next_page_token: str
    about_json: bytes
    def __init__(self, status: _Optional[_Union[JobStatus, _Mapping]] = ..., results: _Optional[_Iterable[_Union[JobResult, _Mapping]]] = ..., next_page_token: _Optional[str] = ..., about_json: _Optional[bytes] = ...) -> None: ...

class CancelRequest(_message.Message):
    __slots__ = ("id",)
    ID_FIELD_NUMBER: _ClassVar[int]
    id: str
    def __init__(self, id: _Optional[str] = ...) -> None: ...

class CancelResponse(_message.Message):
    __slots__ = ("status",)
    STATUS_FIELD_NUMBER: _ClassVar[int]
    status: JobStatus
    def __init__(self, status: _Optional[_Union[JobStatus, _Mapping]] = ...) -> None: ...

class ListJobsRequest(_message.Message):
    __slots__ = ("count",)
    COUNT_FIELD_NUMBER: _ClassVar[int]
    count: int
    def __init__(self, count: _Optional[int] = ...) -> None: ...

class ListJobsResponse(_message.Message):
    __slots__ = ("jobs",)
    JOBS_FIELD_NUMBER: _ClassVar[int]
    jobs: _containers.RepeatedCompositeFieldContainer[JobStatus]
    def __init__(self, jobs: _Optional[_Iterable[_Union[JobStatus, _Mapping]]] = ...) -> None: ...
