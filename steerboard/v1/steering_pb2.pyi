from google.rpc import status_pb2 as _status_pb2
from steerboard.v1 import types_pb2 as _types_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class TargetKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    TARGET_KIND_UNSPECIFIED: _ClassVar[TargetKind]
    TARGET_KIND_LOGIT: _ClassVar[TargetKind]
    TARGET_KIND_COSINE: _ClassVar[TargetKind]
    TARGET_KIND_LOG_PROB: _ClassVar[TargetKind]
    TARGET_KIND_PROBE: _ClassVar[TargetKind]
    TARGET_KIND_UNIT: _ClassVar[TargetKind]

class Method(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    METHOD_UNSPECIFIED: _ClassVar[Method]
    METHOD_GRADIENT: _ClassVar[Method]
    METHOD_ACTIVATION: _ClassVar[Method]
    METHOD_ENERGY: _ClassVar[Method]
    METHOD_NAMED: _ClassVar[Method]

class UnitKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    UNIT_KIND_UNSPECIFIED: _ClassVar[UnitKind]
    UNIT_KIND_FEATURE: _ClassVar[UnitKind]
    UNIT_KIND_NEURON: _ClassVar[UnitKind]
    UNIT_KIND_HEAD: _ClassVar[UnitKind]
    UNIT_KIND_DIRECTION: _ClassVar[UnitKind]
TARGET_KIND_UNSPECIFIED: TargetKind
TARGET_KIND_LOGIT: TargetKind
TARGET_KIND_COSINE: TargetKind
TARGET_KIND_LOG_PROB: TargetKind
TARGET_KIND_PROBE: TargetKind
TARGET_KIND_UNIT: TargetKind
METHOD_UNSPECIFIED: Method
METHOD_GRADIENT: Method
METHOD_ACTIVATION: Method
METHOD_ENERGY: Method
METHOD_NAMED: Method
UNIT_KIND_UNSPECIFIED: UnitKind
UNIT_KIND_FEATURE: UnitKind
UNIT_KIND_NEURON: UnitKind
UNIT_KIND_HEAD: UnitKind
UNIT_KIND_DIRECTION: UnitKind

class ListModelsRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListModelsResponse(_message.Message):
    __slots__ = ("models",)
    MODELS_FIELD_NUMBER: _ClassVar[int]
    models: _containers.RepeatedCompositeFieldContainer[_types_pb2.ModelInfo]
    def __init__(self, models: _Optional[_Iterable[_Union[_types_pb2.ModelInfo, _Mapping]]] = ...) -> None: ...

class GetModelRequest(_message.Message):
    __slots__ = ("model",)
    MODEL_FIELD_NUMBER: _ClassVar[int]
    model: str
    def __init__(self, model: _Optional[str] = ...) -> None: ...

class GetModelResponse(_message.Message):
    __slots__ = ("model",)
    MODEL_FIELD_NUMBER: _ClassVar[int]
    model: _types_pb2.ModelInfo
    def __init__(self, model: _Optional[_Union[_types_pb2.ModelInfo, _Mapping]] = ...) -> None: ...

class PredictRequest(_message.Message):
    __slots__ = ("model", "images", "classifier")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    IMAGES_FIELD_NUMBER: _ClassVar[int]
    CLASSIFIER_FIELD_NUMBER: _ClassVar[int]
    model: str
    images: _containers.RepeatedCompositeFieldContainer[_types_pb2.ImageRef]
    classifier: _types_pb2.Classifier
    def __init__(self, model: _Optional[str] = ..., images: _Optional[_Iterable[_Union[_types_pb2.ImageRef, _Mapping]]] = ..., classifier: _Optional[_Union[_types_pb2.Classifier, _Mapping]] = ...) -> None: ...

class Prediction(_message.Message):
    __slots__ = ("logits", "probabilities")
    LOGITS_FIELD_NUMBER: _ClassVar[int]
    PROBABILITIES_FIELD_NUMBER: _ClassVar[int]
    logits: _types_pb2.Tensor
    probabilities: _types_pb2.Tensor
    def __init__(self, logits: _Optional[_Union[_types_pb2.Tensor, _Mapping]] = ..., probabilities: _Optional[_Union[_types_pb2.Tensor, _Mapping]] = ...) -> None: ...

class PredictItem(_message.Message):
    __slots__ = ("result", "error")
    RESULT_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    result: Prediction
    error: _status_pb2.Status
    def __init__(self, result: _Optional[_Union[Prediction, _Mapping]] = ..., error: _Optional[_Union[_status_pb2.Status, _Mapping]] = ...) -> None: ...

class PredictResponse(_message.Message):
    __slots__ = ("items", "provenance", "timing")
    ITEMS_FIELD_NUMBER: _ClassVar[int]
    PROVENANCE_FIELD_NUMBER: _ClassVar[int]
    TIMING_FIELD_NUMBER: _ClassVar[int]
    items: _containers.RepeatedCompositeFieldContainer[PredictItem]
    provenance: _types_pb2.Provenance
    timing: _types_pb2.Timing
    def __init__(self, items: _Optional[_Iterable[_Union[PredictItem, _Mapping]]] = ..., provenance: _Optional[_Union[_types_pb2.Provenance, _Mapping]] = ..., timing: _Optional[_Union[_types_pb2.Timing, _Mapping]] = ...) -> None: ...

class SteerRequest(_message.Message):
    __slots__ = ("model", "images", "classifier", "steer_sets", "targets")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    IMAGES_FIELD_NUMBER: _ClassVar[int]
    CLASSIFIER_FIELD_NUMBER: _ClassVar[int]
    STEER_SETS_FIELD_NUMBER: _ClassVar[int]
    TARGETS_FIELD_NUMBER: _ClassVar[int]
    model: str
    images: _containers.RepeatedCompositeFieldContainer[_types_pb2.ImageRef]
    classifier: _types_pb2.Classifier
    steer_sets: _containers.RepeatedCompositeFieldContainer[_types_pb2.SteerSet]
    targets: _containers.RepeatedCompositeFieldContainer[_types_pb2.Target]
    def __init__(self, model: _Optional[str] = ..., images: _Optional[_Iterable[_Union[_types_pb2.ImageRef, _Mapping]]] = ..., classifier: _Optional[_Union[_types_pb2.Classifier, _Mapping]] = ..., steer_sets: _Optional[_Iterable[_Union[_types_pb2.SteerSet, _Mapping]]] = ..., targets: _Optional[_Iterable[_Union[_types_pb2.Target, _Mapping]]] = ...) -> None: ...

class ResolvedTarget(_message.Message):
    __slots__ = ("index", "against", "kind")
    INDEX_FIELD_NUMBER: _ClassVar[int]
    AGAINST_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    index: int
    against: int
    kind: TargetKind
    def __init__(self, index: _Optional[int] = ..., against: _Optional[int] = ..., kind: _Optional[_Union[TargetKind, str]] = ...) -> None: ...

class Steered(_message.Message):
    __slots__ = ("clean", "steered", "targets", "predicted", "measured")
    CLEAN_FIELD_NUMBER: _ClassVar[int]
    STEERED_FIELD_NUMBER: _ClassVar[int]
    TARGETS_FIELD_NUMBER: _ClassVar[int]
    PREDICTED_FIELD_NUMBER: _ClassVar[int]
    MEASURED_FIELD_NUMBER: _ClassVar[int]
    clean: Prediction
    steered: _containers.RepeatedCompositeFieldContainer[Prediction]
    targets: _containers.RepeatedCompositeFieldContainer[ResolvedTarget]
    predicted: _types_pb2.Tensor
    measured: _types_pb2.Tensor
    def __init__(self, clean: _Optional[_Union[Prediction, _Mapping]] = ..., steered: _Optional[_Iterable[_Union[Prediction, _Mapping]]] = ..., targets: _Optional[_Iterable[_Union[ResolvedTarget, _Mapping]]] = ..., predicted: _Optional[_Union[_types_pb2.Tensor, _Mapping]] = ..., measured: _Optional[_Union[_types_pb2.Tensor, _Mapping]] = ...) -> None: ...

class SteerItem(_message.Message):
    __slots__ = ("result", "error")
    RESULT_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    result: Steered
    error: _status_pb2.Status
    def __init__(self, result: _Optional[_Union[Steered, _Mapping]] = ..., error: _Optional[_Union[_status_pb2.Status, _Mapping]] = ...) -> None: ...

class SteerResponse(_message.Message):
    __slots__ = ("items", "provenance", "timing")
    ITEMS_FIELD_NUMBER: _ClassVar[int]
    PROVENANCE_FIELD_NUMBER: _ClassVar[int]
    TIMING_FIELD_NUMBER: _ClassVar[int]
    items: _containers.RepeatedCompositeFieldContainer[SteerItem]
    provenance: _types_pb2.Provenance
    timing: _types_pb2.Timing
    def __init__(self, items: _Optional[_Iterable[_Union[SteerItem, _Mapping]]] = ..., provenance: _Optional[_Union[_types_pb2.Provenance, _Mapping]] = ..., timing: _Optional[_Union[_types_pb2.Timing, _Mapping]] = ...) -> None: ...

class AttributeRequest(_message.Message):
    __slots__ = ("model", "images", "classifier", "dictionary", "targets", "method", "top_k", "maps", "steer", "site", "units", "directions", "tokens", "steps", "method_name")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    IMAGES_FIELD_NUMBER: _ClassVar[int]
    CLASSIFIER_FIELD_NUMBER: _ClassVar[int]
    DICTIONARY_FIELD_NUMBER: _ClassVar[int]
    TARGETS_FIELD_NUMBER: _ClassVar[int]
    METHOD_FIELD_NUMBER: _ClassVar[int]
    TOP_K_FIELD_NUMBER: _ClassVar[int]
    MAPS_FIELD_NUMBER: _ClassVar[int]
    STEER_FIELD_NUMBER: _ClassVar[int]
    SITE_FIELD_NUMBER: _ClassVar[int]
    UNITS_FIELD_NUMBER: _ClassVar[int]
    DIRECTIONS_FIELD_NUMBER: _ClassVar[int]
    TOKENS_FIELD_NUMBER: _ClassVar[int]
    STEPS_FIELD_NUMBER: _ClassVar[int]
    METHOD_NAME_FIELD_NUMBER: _ClassVar[int]
    model: str
    images: _containers.RepeatedCompositeFieldContainer[_types_pb2.ImageRef]
    classifier: _types_pb2.Classifier
    dictionary: str
    targets: _containers.RepeatedCompositeFieldContainer[_types_pb2.Target]
    method: Method
    top_k: int
    maps: bool
    steer: _types_pb2.SteerSet
    site: str
    units: UnitKind
    directions: _types_pb2.Tensor
    tokens: _types_pb2.Mask
    steps: int
    method_name: str
    def __init__(self, model: _Optional[str] = ..., images: _Optional[_Iterable[_Union[_types_pb2.ImageRef, _Mapping]]] = ..., classifier: _Optional[_Union[_types_pb2.Classifier, _Mapping]] = ..., dictionary: _Optional[str] = ..., targets: _Optional[_Iterable[_Union[_types_pb2.Target, _Mapping]]] = ..., method: _Optional[_Union[Method, str]] = ..., top_k: _Optional[int] = ..., maps: bool = ..., steer: _Optional[_Union[_types_pb2.SteerSet, _Mapping]] = ..., site: _Optional[str] = ..., units: _Optional[_Union[UnitKind, str]] = ..., directions: _Optional[_Union[_types_pb2.Tensor, _Mapping]] = ..., tokens: _Optional[_Union[_types_pb2.Mask, _Mapping]] = ..., steps: _Optional[int] = ..., method_name: _Optional[str] = ...) -> None: ...

class Attribution(_message.Message):
    __slots__ = ("target", "value", "features", "scores", "activations", "peaks", "prefix_scores", "rest", "error", "bias", "total", "maps", "baseline")
    TARGET_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    FEATURES_FIELD_NUMBER: _ClassVar[int]
    SCORES_FIELD_NUMBER: _ClassVar[int]
    ACTIVATIONS_FIELD_NUMBER: _ClassVar[int]
    PEAKS_FIELD_NUMBER: _ClassVar[int]
    PREFIX_SCORES_FIELD_NUMBER: _ClassVar[int]
    REST_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    BIAS_FIELD_NUMBER: _ClassVar[int]
    TOTAL_FIELD_NUMBER: _ClassVar[int]
    MAPS_FIELD_NUMBER: _ClassVar[int]
    BASELINE_FIELD_NUMBER: _ClassVar[int]
    target: ResolvedTarget
    value: float
    features: _types_pb2.Tensor
    scores: _types_pb2.Tensor
    activations: _types_pb2.Tensor
    peaks: _types_pb2.Tensor
    prefix_scores: _types_pb2.Tensor
    rest: float
    error: float
    bias: float
    total: float
    maps: _types_pb2.Tensor
    baseline: float
    def __init__(self, target: _Optional[_Union[ResolvedTarget, _Mapping]] = ..., value: _Optional[float] = ..., features: _Optional[_Union[_types_pb2.Tensor, _Mapping]] = ..., scores: _Optional[_Union[_types_pb2.Tensor, _Mapping]] = ..., activations: _Optional[_Union[_types_pb2.Tensor, _Mapping]] = ..., peaks: _Optional[_Union[_types_pb2.Tensor, _Mapping]] = ..., prefix_scores: _Optional[_Union[_types_pb2.Tensor, _Mapping]] = ..., rest: _Optional[float] = ..., error: _Optional[float] = ..., bias: _Optional[float] = ..., total: _Optional[float] = ..., maps: _Optional[_Union[_types_pb2.Tensor, _Mapping]] = ..., baseline: _Optional[float] = ...) -> None: ...

class Attributions(_message.Message):
    __slots__ = ("targets",)
    TARGETS_FIELD_NUMBER: _ClassVar[int]
    targets: _containers.RepeatedCompositeFieldContainer[Attribution]
    def __init__(self, targets: _Optional[_Iterable[_Union[Attribution, _Mapping]]] = ...) -> None: ...

class AttributeItem(_message.Message):
    __slots__ = ("result", "error")
    RESULT_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    result: Attributions
    error: _status_pb2.Status
    def __init__(self, result: _Optional[_Union[Attributions, _Mapping]] = ..., error: _Optional[_Union[_status_pb2.Status, _Mapping]] = ...) -> None: ...

class AttributeResponse(_message.Message):
    __slots__ = ("items", "provenance", "timing")
    ITEMS_FIELD_NUMBER: _ClassVar[int]
    PROVENANCE_FIELD_NUMBER: _ClassVar[int]
    TIMING_FIELD_NUMBER: _ClassVar[int]
    items: _containers.RepeatedCompositeFieldContainer[AttributeItem]
    provenance: _types_pb2.Provenance
    timing: _types_pb2.Timing
    def __init__(self, items: _Optional[_Iterable[_Union[AttributeItem, _Mapping]]] = ..., provenance: _Optional[_Union[_types_pb2.Provenance, _Mapping]] = ..., timing: _Optional[_Union[_types_pb2.Timing, _Mapping]] = ...) -> None: ...

class EncodeRequest(_message.Message):
    __slots__ = ("model", "images", "dictionary", "embed")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    IMAGES_FIELD_NUMBER: _ClassVar[int]
    DICTIONARY_FIELD_NUMBER: _ClassVar[int]
    EMBED_FIELD_NUMBER: _ClassVar[int]
    model: str
    images: _containers.RepeatedCompositeFieldContainer[_types_pb2.ImageRef]
    dictionary: str
    embed: bool
    def __init__(self, model: _Optional[str] = ..., images: _Optional[_Iterable[_Union[_types_pb2.ImageRef, _Mapping]]] = ..., dictionary: _Optional[str] = ..., embed: bool = ...) -> None: ...

class Code(_message.Message):
    __slots__ = ("token_count", "feature_count", "tokens", "features", "values", "embedding")
    TOKEN_COUNT_FIELD_NUMBER: _ClassVar[int]
    FEATURE_COUNT_FIELD_NUMBER: _ClassVar[int]
    TOKENS_FIELD_NUMBER: _ClassVar[int]
    FEATURES_FIELD_NUMBER: _ClassVar[int]
    VALUES_FIELD_NUMBER: _ClassVar[int]
    EMBEDDING_FIELD_NUMBER: _ClassVar[int]
    token_count: int
    feature_count: int
    tokens: _types_pb2.Tensor
    features: _types_pb2.Tensor
    values: _types_pb2.Tensor
    embedding: Embedding
    def __init__(self, token_count: _Optional[int] = ..., feature_count: _Optional[int] = ..., tokens: _Optional[_Union[_types_pb2.Tensor, _Mapping]] = ..., features: _Optional[_Union[_types_pb2.Tensor, _Mapping]] = ..., values: _Optional[_Union[_types_pb2.Tensor, _Mapping]] = ..., embedding: _Optional[_Union[Embedding, _Mapping]] = ...) -> None: ...

class EncodeItem(_message.Message):
    __slots__ = ("result", "error")
    RESULT_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    result: Code
    error: _status_pb2.Status
    def __init__(self, result: _Optional[_Union[Code, _Mapping]] = ..., error: _Optional[_Union[_status_pb2.Status, _Mapping]] = ...) -> None: ...

class EncodeResponse(_message.Message):
    __slots__ = ("items", "provenance", "timing")
    ITEMS_FIELD_NUMBER: _ClassVar[int]
    PROVENANCE_FIELD_NUMBER: _ClassVar[int]
    TIMING_FIELD_NUMBER: _ClassVar[int]
    items: _containers.RepeatedCompositeFieldContainer[EncodeItem]
    provenance: _types_pb2.Provenance
    timing: _types_pb2.Timing
    def __init__(self, items: _Optional[_Iterable[_Union[EncodeItem, _Mapping]]] = ..., provenance: _Optional[_Union[_types_pb2.Provenance, _Mapping]] = ..., timing: _Optional[_Union[_types_pb2.Timing, _Mapping]] = ...) -> None: ...

class EmbedRequest(_message.Message):
    __slots__ = ("model", "images", "texts")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    IMAGES_FIELD_NUMBER: _ClassVar[int]
    TEXTS_FIELD_NUMBER: _ClassVar[int]
    model: str
    images: _containers.RepeatedCompositeFieldContainer[_types_pb2.ImageRef]
    texts: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, model: _Optional[str] = ..., images: _Optional[_Iterable[_Union[_types_pb2.ImageRef, _Mapping]]] = ..., texts: _Optional[_Iterable[str]] = ...) -> None: ...

class Embedding(_message.Message):
    __slots__ = ("values",)
    VALUES_FIELD_NUMBER: _ClassVar[int]
    values: _types_pb2.Tensor
    def __init__(self, values: _Optional[_Union[_types_pb2.Tensor, _Mapping]] = ...) -> None: ...

class EmbedItem(_message.Message):
    __slots__ = ("result", "error")
    RESULT_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    result: Embedding
    error: _status_pb2.Status
    def __init__(self, result: _Optional[_Union[Embedding, _Mapping]] = ..., error: _Optional[_Union[_status_pb2.Status, _Mapping]] = ...) -> None: ...

class EmbedResponse(_message.Message):
    __slots__ = ("items", "provenance", "timing")
    ITEMS_FIELD_NUMBER: _ClassVar[int]
    PROVENANCE_FIELD_NUMBER: _ClassVar[int]
    TIMING_FIELD_NUMBER: _ClassVar[int]
    items: _containers.RepeatedCompositeFieldContainer[EmbedItem]
    provenance: _types_pb2.Provenance
    timing: _types_pb2.Timing
    def __init__(self, items: _Optional[_Iterable[_Union[EmbedItem, _Mapping]]] = ..., provenance: _Optional[_Union[_types_pb2.Provenance, _Mapping]] = ..., timing: _Optional[_Union[_types_pb2.Timing, _Mapping]] = ...) -> None: ...

class RunStreamRequest(_message.Message):
    __slots__ = ("id", "predict", "steer", "attribute", "encode", "embed")
    ID_FIELD_NUMBER: _ClassVar[int]
    PREDICT_FIELD_NUMBER: _ClassVar[int]
    STEER_FIELD_NUMBER: _ClassVar[int]
    ATTRIBUTE_FIELD_NUMBER: _ClassVar[int]
    ENCODE_FIELD_NUMBER: _ClassVar[int]
    EMBED_FIELD_NUMBER: _ClassVar[int]
    id: int
    predict: PredictRequest
    steer: SteerRequest
    attribute: AttributeRequest
    encode: EncodeRequest
    embed: EmbedRequest
    def __init__(self, id: _Optional[int] = ..., predict: _Optional[_Union[PredictRequest, _Mapping]] = ..., steer: _Optional[_Union[SteerRequest, _Mapping]] = ..., attribute: _Optional[_Union[AttributeRequest, _Mapping]] = ..., encode: _Optional[_Union[EncodeRequest, _Mapping]] = ..., embed: _Optional[_Union[EmbedRequest, _Mapping]] = ...) -> None: ...

class RunStreamResponse(_message.Message):
    __slots__ = ("id", "predict", "steer", "attribute", "encode", "embed", "error")
    ID_FIELD_NUMBER: _ClassVar[int]
    PREDICT_FIELD_NUMBER: _ClassVar[int]
    STEER_FIELD_NUMBER: _ClassVar[int]
    ATTRIBUTE_FIELD_NUMBER: _ClassVar[int]
    ENCODE_FIELD_NUMBER: _ClassVar[int]
    EMBED_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    id: int
    predict: PredictResponse
    steer: SteerResponse
    attribute: AttributeResponse
    encode: EncodeResponse
    embed: EmbedResponse
    error: _status_pb2.Status
    def __init__(self, id: _Optional[int] = ..., predict: _Optional[_Union[PredictResponse, _Mapping]] = ..., steer: _Optional[_Union[SteerResponse, _Mapping]] = ..., attribute: _Optional[_Union[AttributeResponse, _Mapping]] = ..., encode: _Optional[_Union[EncodeResponse, _Mapping]] = ..., embed: _Optional[_Union[EmbedResponse, _Mapping]] = ..., error: _Optional[_Union[_status_pb2.Status, _Mapping]] = ...) -> None: ...

class GetNeighboursRequest(_message.Message):
    __slots__ = ("model", "dictionary", "features", "count")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    DICTIONARY_FIELD_NUMBER: _ClassVar[int]
    FEATURES_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    model: str
    dictionary: str
    features: _containers.RepeatedScalarFieldContainer[int]
    count: int
    def __init__(self, model: _Optional[str] = ..., dictionary: _Optional[str] = ..., features: _Optional[_Iterable[int]] = ..., count: _Optional[int] = ...) -> None: ...

class GetNeighboursResponse(_message.Message):
    __slots__ = ("features", "cosines")
    FEATURES_FIELD_NUMBER: _ClassVar[int]
    COSINES_FIELD_NUMBER: _ClassVar[int]
    features: _types_pb2.Tensor
    cosines: _types_pb2.Tensor
    def __init__(self, features: _Optional[_Union[_types_pb2.Tensor, _Mapping]] = ..., cosines: _Optional[_Union[_types_pb2.Tensor, _Mapping]] = ...) -> None: ...
