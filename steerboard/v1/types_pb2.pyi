from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class DType(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    DTYPE_UNSPECIFIED: _ClassVar[DType]
    DTYPE_FLOAT32: _ClassVar[DType]
    DTYPE_FLOAT16: _ClassVar[DType]
    DTYPE_INT64: _ClassVar[DType]
    DTYPE_UINT8: _ClassVar[DType]
    DTYPE_UINT32: _ClassVar[DType]

class PartKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    PART_KIND_UNSPECIFIED: _ClassVar[PartKind]
    PART_KIND_CODE: _ClassVar[PartKind]
    PART_KIND_ERROR: _ClassVar[PartKind]
    PART_KIND_SITE: _ClassVar[PartKind]

class MaskKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    MASK_KIND_UNSPECIFIED: _ClassVar[MaskKind]
    MASK_KIND_ALL: _ClassVar[MaskKind]
    MASK_KIND_PREFIX: _ClassVar[MaskKind]
    MASK_KIND_PATCHES: _ClassVar[MaskKind]

class When(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    WHEN_UNSPECIFIED: _ClassVar[When]
    WHEN_ABOVE: _ClassVar[When]
    WHEN_BELOW: _ClassVar[When]

class Per(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    PER_UNSPECIFIED: _ClassVar[Per]
    PER_TOKEN: _ClassVar[Per]
    PER_IMAGE: _ClassVar[Per]

class TokenSet(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    TOKEN_SET_UNSPECIFIED: _ClassVar[TokenSet]
    TOKEN_SET_PREFIX: _ClassVar[TokenSet]
    TOKEN_SET_PATCHES: _ClassVar[TokenSet]
    TOKEN_SET_ALL: _ClassVar[TokenSet]

class Pooling(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    POOLING_UNSPECIFIED: _ClassVar[Pooling]
    POOLING_PREFIX: _ClassVar[Pooling]
    POOLING_PATCHES: _ClassVar[Pooling]
DTYPE_UNSPECIFIED: DType
DTYPE_FLOAT32: DType
DTYPE_FLOAT16: DType
DTYPE_INT64: DType
DTYPE_UINT8: DType
DTYPE_UINT32: DType
PART_KIND_UNSPECIFIED: PartKind
PART_KIND_CODE: PartKind
PART_KIND_ERROR: PartKind
PART_KIND_SITE: PartKind
MASK_KIND_UNSPECIFIED: MaskKind
MASK_KIND_ALL: MaskKind
MASK_KIND_PREFIX: MaskKind
MASK_KIND_PATCHES: MaskKind
WHEN_UNSPECIFIED: When
WHEN_ABOVE: When
WHEN_BELOW: When
PER_UNSPECIFIED: Per
PER_TOKEN: Per
PER_IMAGE: Per
TOKEN_SET_UNSPECIFIED: TokenSet
TOKEN_SET_PREFIX: TokenSet
TOKEN_SET_PATCHES: TokenSet
TOKEN_SET_ALL: TokenSet
POOLING_UNSPECIFIED: Pooling
POOLING_PREFIX: Pooling
POOLING_PATCHES: Pooling

class Tensor(_message.Message):
    __slots__ = ("dtype", "shape", "data")
    DTYPE_FIELD_NUMBER: _ClassVar[int]
    SHAPE_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    dtype: DType
    shape: _containers.RepeatedScalarFieldContainer[int]
    data: bytes
    def __init__(self, dtype: _Optional[_Union[DType, str]] = ..., shape: _Optional[_Iterable[int]] = ..., data: _Optional[bytes] = ...) -> None: ...

class ImageRef(_message.Message):
    __slots__ = ("encoded", "digest", "pixels")
    ENCODED_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    PIXELS_FIELD_NUMBER: _ClassVar[int]
    encoded: bytes
    digest: str
    pixels: Tensor
    def __init__(self, encoded: _Optional[bytes] = ..., digest: _Optional[str] = ..., pixels: _Optional[_Union[Tensor, _Mapping]] = ...) -> None: ...

class Prompts(_message.Message):
    __slots__ = ("prompts", "template")
    PROMPTS_FIELD_NUMBER: _ClassVar[int]
    TEMPLATE_FIELD_NUMBER: _ClassVar[int]
    prompts: _containers.RepeatedScalarFieldContainer[str]
    template: str
    def __init__(self, prompts: _Optional[_Iterable[str]] = ..., template: _Optional[str] = ...) -> None: ...

class Probe(_message.Message):
    __slots__ = ("names", "weight", "bias")
    NAMES_FIELD_NUMBER: _ClassVar[int]
    WEIGHT_FIELD_NUMBER: _ClassVar[int]
    BIAS_FIELD_NUMBER: _ClassVar[int]
    names: _containers.RepeatedScalarFieldContainer[str]
    weight: Tensor
    bias: Tensor
    def __init__(self, names: _Optional[_Iterable[str]] = ..., weight: _Optional[_Union[Tensor, _Mapping]] = ..., bias: _Optional[_Union[Tensor, _Mapping]] = ...) -> None: ...

class Classifier(_message.Message):
    __slots__ = ("prompts", "probe")
    PROMPTS_FIELD_NUMBER: _ClassVar[int]
    PROBE_FIELD_NUMBER: _ClassVar[int]
    prompts: Prompts
    probe: Probe
    def __init__(self, prompts: _Optional[_Union[Prompts, _Mapping]] = ..., probe: _Optional[_Union[Probe, _Mapping]] = ...) -> None: ...

class Logit(_message.Message):
    __slots__ = ("index",)
    INDEX_FIELD_NUMBER: _ClassVar[int]
    index: int
    def __init__(self, index: _Optional[int] = ...) -> None: ...

class Margin(_message.Message):
    __slots__ = ("index", "against")
    INDEX_FIELD_NUMBER: _ClassVar[int]
    AGAINST_FIELD_NUMBER: _ClassVar[int]
    index: int
    against: int
    def __init__(self, index: _Optional[int] = ..., against: _Optional[int] = ...) -> None: ...

class Cosine(_message.Message):
    __slots__ = ("index",)
    INDEX_FIELD_NUMBER: _ClassVar[int]
    index: int
    def __init__(self, index: _Optional[int] = ...) -> None: ...

class LogProb(_message.Message):
    __slots__ = ("index",)
    INDEX_FIELD_NUMBER: _ClassVar[int]
    index: int
    def __init__(self, index: _Optional[int] = ...) -> None: ...

class ProbeOutput(_message.Message):
    __slots__ = ("weight", "bias")
    WEIGHT_FIELD_NUMBER: _ClassVar[int]
    BIAS_FIELD_NUMBER: _ClassVar[int]
    weight: Tensor
    bias: float
    def __init__(self, weight: _Optional[_Union[Tensor, _Mapping]] = ..., bias: _Optional[float] = ...) -> None: ...

class UnitActivation(_message.Message):
    __slots__ = ("site", "unit")
    SITE_FIELD_NUMBER: _ClassVar[int]
    UNIT_FIELD_NUMBER: _ClassVar[int]
    site: str
    unit: Unit
    def __init__(self, site: _Optional[str] = ..., unit: _Optional[_Union[Unit, _Mapping]] = ...) -> None: ...

class Target(_message.Message):
    __slots__ = ("logit", "margin", "cosine", "log_prob", "probe", "unit")
    LOGIT_FIELD_NUMBER: _ClassVar[int]
    MARGIN_FIELD_NUMBER: _ClassVar[int]
    COSINE_FIELD_NUMBER: _ClassVar[int]
    LOG_PROB_FIELD_NUMBER: _ClassVar[int]
    PROBE_FIELD_NUMBER: _ClassVar[int]
    UNIT_FIELD_NUMBER: _ClassVar[int]
    logit: Logit
    margin: Margin
    cosine: Cosine
    log_prob: LogProb
    probe: ProbeOutput
    unit: UnitActivation
    def __init__(self, logit: _Optional[_Union[Logit, _Mapping]] = ..., margin: _Optional[_Union[Margin, _Mapping]] = ..., cosine: _Optional[_Union[Cosine, _Mapping]] = ..., log_prob: _Optional[_Union[LogProb, _Mapping]] = ..., probe: _Optional[_Union[ProbeOutput, _Mapping]] = ..., unit: _Optional[_Union[UnitActivation, _Mapping]] = ...) -> None: ...

class Feature(_message.Message):
    __slots__ = ("dictionary", "index")
    DICTIONARY_FIELD_NUMBER: _ClassVar[int]
    INDEX_FIELD_NUMBER: _ClassVar[int]
    dictionary: str
    index: int
    def __init__(self, dictionary: _Optional[str] = ..., index: _Optional[int] = ...) -> None: ...

class Neuron(_message.Message):
    __slots__ = ("index",)
    INDEX_FIELD_NUMBER: _ClassVar[int]
    index: int
    def __init__(self, index: _Optional[int] = ...) -> None: ...

class Head(_message.Message):
    __slots__ = ("index",)
    INDEX_FIELD_NUMBER: _ClassVar[int]
    index: int
    def __init__(self, index: _Optional[int] = ...) -> None: ...

class Direction(_message.Message):
    __slots__ = ("values",)
    VALUES_FIELD_NUMBER: _ClassVar[int]
    values: Tensor
    def __init__(self, values: _Optional[_Union[Tensor, _Mapping]] = ...) -> None: ...

class Part(_message.Message):
    __slots__ = ("of", "dictionary")
    OF_FIELD_NUMBER: _ClassVar[int]
    DICTIONARY_FIELD_NUMBER: _ClassVar[int]
    of: PartKind
    dictionary: str
    def __init__(self, of: _Optional[_Union[PartKind, str]] = ..., dictionary: _Optional[str] = ...) -> None: ...

class Unit(_message.Message):
    __slots__ = ("feature", "neuron", "head", "direction", "part")
    FEATURE_FIELD_NUMBER: _ClassVar[int]
    NEURON_FIELD_NUMBER: _ClassVar[int]
    HEAD_FIELD_NUMBER: _ClassVar[int]
    DIRECTION_FIELD_NUMBER: _ClassVar[int]
    PART_FIELD_NUMBER: _ClassVar[int]
    feature: Feature
    neuron: Neuron
    head: Head
    direction: Direction
    part: Part
    def __init__(self, feature: _Optional[_Union[Feature, _Mapping]] = ..., neuron: _Optional[_Union[Neuron, _Mapping]] = ..., head: _Optional[_Union[Head, _Mapping]] = ..., direction: _Optional[_Union[Direction, _Mapping]] = ..., part: _Optional[_Union[Part, _Mapping]] = ...) -> None: ...

class Scale(_message.Message):
    __slots__ = ("m",)
    M_FIELD_NUMBER: _ClassVar[int]
    m: float
    def __init__(self, m: _Optional[float] = ...) -> None: ...

class Set(_message.Message):
    __slots__ = ("value", "everywhere")
    VALUE_FIELD_NUMBER: _ClassVar[int]
    EVERYWHERE_FIELD_NUMBER: _ClassVar[int]
    value: float
    everywhere: bool
    def __init__(self, value: _Optional[float] = ..., everywhere: bool = ...) -> None: ...

class Add(_message.Message):
    __slots__ = ("alpha",)
    ALPHA_FIELD_NUMBER: _ClassVar[int]
    alpha: float
    def __init__(self, alpha: _Optional[float] = ...) -> None: ...

class Remove(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class Op(_message.Message):
    __slots__ = ("scale", "set", "add", "remove")
    SCALE_FIELD_NUMBER: _ClassVar[int]
    SET_FIELD_NUMBER: _ClassVar[int]
    ADD_FIELD_NUMBER: _ClassVar[int]
    REMOVE_FIELD_NUMBER: _ClassVar[int]
    scale: Scale
    set: Set
    add: Add
    remove: Remove
    def __init__(self, scale: _Optional[_Union[Scale, _Mapping]] = ..., set: _Optional[_Union[Set, _Mapping]] = ..., add: _Optional[_Union[Add, _Mapping]] = ..., remove: _Optional[_Union[Remove, _Mapping]] = ...) -> None: ...

class Cell(_message.Message):
    __slots__ = ("row", "column")
    ROW_FIELD_NUMBER: _ClassVar[int]
    COLUMN_FIELD_NUMBER: _ClassVar[int]
    row: int
    column: int
    def __init__(self, row: _Optional[int] = ..., column: _Optional[int] = ...) -> None: ...

class Mask(_message.Message):
    __slots__ = ("kind", "cells")
    KIND_FIELD_NUMBER: _ClassVar[int]
    CELLS_FIELD_NUMBER: _ClassVar[int]
    kind: MaskKind
    cells: _containers.RepeatedCompositeFieldContainer[Cell]
    def __init__(self, kind: _Optional[_Union[MaskKind, str]] = ..., cells: _Optional[_Iterable[_Union[Cell, _Mapping]]] = ...) -> None: ...

class Condition(_message.Message):
    __slots__ = ("unit", "when", "tau", "per")
    UNIT_FIELD_NUMBER: _ClassVar[int]
    WHEN_FIELD_NUMBER: _ClassVar[int]
    TAU_FIELD_NUMBER: _ClassVar[int]
    PER_FIELD_NUMBER: _ClassVar[int]
    unit: Unit
    when: When
    tau: float
    per: Per
    def __init__(self, unit: _Optional[_Union[Unit, _Mapping]] = ..., when: _Optional[_Union[When, str]] = ..., tau: _Optional[float] = ..., per: _Optional[_Union[Per, str]] = ...) -> None: ...

class Edit(_message.Message):
    __slots__ = ("site", "unit", "op", "mask", "condition")
    SITE_FIELD_NUMBER: _ClassVar[int]
    UNIT_FIELD_NUMBER: _ClassVar[int]
    OP_FIELD_NUMBER: _ClassVar[int]
    MASK_FIELD_NUMBER: _ClassVar[int]
    CONDITION_FIELD_NUMBER: _ClassVar[int]
    site: str
    unit: Unit
    op: Op
    mask: Mask
    condition: Condition
    def __init__(self, site: _Optional[str] = ..., unit: _Optional[_Union[Unit, _Mapping]] = ..., op: _Optional[_Union[Op, _Mapping]] = ..., mask: _Optional[_Union[Mask, _Mapping]] = ..., condition: _Optional[_Union[Condition, _Mapping]] = ...) -> None: ...

class SteerSet(_message.Message):
    __slots__ = ("edits",)
    EDITS_FIELD_NUMBER: _ClassVar[int]
    edits: _containers.RepeatedCompositeFieldContainer[Edit]
    def __init__(self, edits: _Optional[_Iterable[_Union[Edit, _Mapping]]] = ...) -> None: ...

class Quality(_message.Message):
    __slots__ = ("tokens", "explained_variance", "per_dimension", "cosine", "l0", "dead")
    TOKENS_FIELD_NUMBER: _ClassVar[int]
    EXPLAINED_VARIANCE_FIELD_NUMBER: _ClassVar[int]
    PER_DIMENSION_FIELD_NUMBER: _ClassVar[int]
    COSINE_FIELD_NUMBER: _ClassVar[int]
    L0_FIELD_NUMBER: _ClassVar[int]
    DEAD_FIELD_NUMBER: _ClassVar[int]
    tokens: TokenSet
    explained_variance: float
    per_dimension: float
    cosine: float
    l0: float
    dead: float
    def __init__(self, tokens: _Optional[_Union[TokenSet, str]] = ..., explained_variance: _Optional[float] = ..., per_dimension: _Optional[float] = ..., cosine: _Optional[float] = ..., l0: _Optional[float] = ..., dead: _Optional[float] = ...) -> None: ...

class SiteInfo(_message.Message):
    __slots__ = ("name", "width", "tokens", "units", "heads", "n_bar", "patches_read", "prefix_unread")
    NAME_FIELD_NUMBER: _ClassVar[int]
    WIDTH_FIELD_NUMBER: _ClassVar[int]
    TOKENS_FIELD_NUMBER: _ClassVar[int]
    UNITS_FIELD_NUMBER: _ClassVar[int]
    HEADS_FIELD_NUMBER: _ClassVar[int]
    N_BAR_FIELD_NUMBER: _ClassVar[int]
    PATCHES_READ_FIELD_NUMBER: _ClassVar[int]
    PREFIX_UNREAD_FIELD_NUMBER: _ClassVar[int]
    name: str
    width: int
    tokens: int
    units: _containers.RepeatedScalarFieldContainer[str]
    heads: int
    n_bar: float
    patches_read: bool
    prefix_unread: bool
    def __init__(self, name: _Optional[str] = ..., width: _Optional[int] = ..., tokens: _Optional[int] = ..., units: _Optional[_Iterable[str]] = ..., heads: _Optional[int] = ..., n_bar: _Optional[float] = ..., patches_read: bool = ..., prefix_unread: bool = ...) -> None: ...

class DictionaryInfo(_message.Message):
    __slots__ = ("id", "fingerprint", "site", "tokens", "architecture", "size", "quality")
    ID_FIELD_NUMBER: _ClassVar[int]
    FINGERPRINT_FIELD_NUMBER: _ClassVar[int]
    SITE_FIELD_NUMBER: _ClassVar[int]
    TOKENS_FIELD_NUMBER: _ClassVar[int]
    ARCHITECTURE_FIELD_NUMBER: _ClassVar[int]
    SIZE_FIELD_NUMBER: _ClassVar[int]
    QUALITY_FIELD_NUMBER: _ClassVar[int]
    id: str
    fingerprint: str
    site: str
    tokens: TokenSet
    architecture: str
    size: int
    quality: _containers.RepeatedCompositeFieldContainer[Quality]
    def __init__(self, id: _Optional[str] = ..., fingerprint: _Optional[str] = ..., site: _Optional[str] = ..., tokens: _Optional[_Union[TokenSet, str]] = ..., architecture: _Optional[str] = ..., size: _Optional[int] = ..., quality: _Optional[_Iterable[_Union[Quality, _Mapping]]] = ...) -> None: ...

class Limits(_message.Message):
    __slots__ = ("max_images", "max_prompts", "max_steer_sets", "max_image_bytes", "max_image_pixels")
    MAX_IMAGES_FIELD_NUMBER: _ClassVar[int]
    MAX_PROMPTS_FIELD_NUMBER: _ClassVar[int]
    MAX_STEER_SETS_FIELD_NUMBER: _ClassVar[int]
    MAX_IMAGE_BYTES_FIELD_NUMBER: _ClassVar[int]
    MAX_IMAGE_PIXELS_FIELD_NUMBER: _ClassVar[int]
    max_images: int
    max_prompts: int
    max_steer_sets: int
    max_image_bytes: int
    max_image_pixels: int
    def __init__(self, max_images: _Optional[int] = ..., max_prompts: _Optional[int] = ..., max_steer_sets: _Optional[int] = ..., max_image_bytes: _Optional[int] = ..., max_image_pixels: _Optional[int] = ...) -> None: ...

class Size(_message.Message):
    __slots__ = ("height", "width")
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    WIDTH_FIELD_NUMBER: _ClassVar[int]
    height: int
    width: int
    def __init__(self, height: _Optional[int] = ..., width: _Optional[int] = ...) -> None: ...

class Grid(_message.Message):
    __slots__ = ("rows", "columns")
    ROWS_FIELD_NUMBER: _ClassVar[int]
    COLUMNS_FIELD_NUMBER: _ClassVar[int]
    rows: int
    columns: int
    def __init__(self, rows: _Optional[int] = ..., columns: _Optional[int] = ...) -> None: ...

class ModelInfo(_message.Message):
    __slots__ = ("id", "fingerprint", "architecture", "image_size", "grid", "prefix_tokens", "pooled_from", "embedding_width", "logit_scale", "precision", "sites", "dictionaries", "prompts", "template", "limits", "loaded", "bytes", "server_version", "probe", "resize_mode")
    ID_FIELD_NUMBER: _ClassVar[int]
    FINGERPRINT_FIELD_NUMBER: _ClassVar[int]
    ARCHITECTURE_FIELD_NUMBER: _ClassVar[int]
    IMAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    GRID_FIELD_NUMBER: _ClassVar[int]
    PREFIX_TOKENS_FIELD_NUMBER: _ClassVar[int]
    POOLED_FROM_FIELD_NUMBER: _ClassVar[int]
    EMBEDDING_WIDTH_FIELD_NUMBER: _ClassVar[int]
    LOGIT_SCALE_FIELD_NUMBER: _ClassVar[int]
    PRECISION_FIELD_NUMBER: _ClassVar[int]
    SITES_FIELD_NUMBER: _ClassVar[int]
    DICTIONARIES_FIELD_NUMBER: _ClassVar[int]
    PROMPTS_FIELD_NUMBER: _ClassVar[int]
    TEMPLATE_FIELD_NUMBER: _ClassVar[int]
    LIMITS_FIELD_NUMBER: _ClassVar[int]
    LOADED_FIELD_NUMBER: _ClassVar[int]
    BYTES_FIELD_NUMBER: _ClassVar[int]
    SERVER_VERSION_FIELD_NUMBER: _ClassVar[int]
    PROBE_FIELD_NUMBER: _ClassVar[int]
    RESIZE_MODE_FIELD_NUMBER: _ClassVar[int]
    id: str
    fingerprint: str
    architecture: str
    image_size: Size
    grid: Grid
    prefix_tokens: int
    pooled_from: Pooling
    embedding_width: int
    logit_scale: float
    precision: str
    sites: _containers.RepeatedCompositeFieldContainer[SiteInfo]
    dictionaries: _containers.RepeatedCompositeFieldContainer[DictionaryInfo]
    prompts: _containers.RepeatedScalarFieldContainer[str]
    template: str
    limits: Limits
    loaded: bool
    bytes: int
    server_version: str
    probe: Probe
    resize_mode: str
    def __init__(self, id: _Optional[str] = ..., fingerprint: _Optional[str] = ..., architecture: _Optional[str] = ..., image_size: _Optional[_Union[Size, _Mapping]] = ..., grid: _Optional[_Union[Grid, _Mapping]] = ..., prefix_tokens: _Optional[int] = ..., pooled_from: _Optional[_Union[Pooling, str]] = ..., embedding_width: _Optional[int] = ..., logit_scale: _Optional[float] = ..., precision: _Optional[str] = ..., sites: _Optional[_Iterable[_Union[SiteInfo, _Mapping]]] = ..., dictionaries: _Optional[_Iterable[_Union[DictionaryInfo, _Mapping]]] = ..., prompts: _Optional[_Iterable[str]] = ..., template: _Optional[str] = ..., limits: _Optional[_Union[Limits, _Mapping]] = ..., loaded: bool = ..., bytes: _Optional[int] = ..., server_version: _Optional[str] = ..., probe: _Optional[_Union[Probe, _Mapping]] = ..., resize_mode: _Optional[str] = ...) -> None: ...

class Provenance(_message.Message):
    __slots__ = ("model", "model_fingerprint", "dictionary", "dictionary_fingerprint", "version", "precision")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    MODEL_FINGERPRINT_FIELD_NUMBER: _ClassVar[int]
    DICTIONARY_FIELD_NUMBER: _ClassVar[int]
    DICTIONARY_FINGERPRINT_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    PRECISION_FIELD_NUMBER: _ClassVar[int]
    model: str
    model_fingerprint: str
    dictionary: str
    dictionary_fingerprint: str
    version: str
    precision: str
    def __init__(self, model: _Optional[str] = ..., model_fingerprint: _Optional[str] = ..., dictionary: _Optional[str] = ..., dictionary_fingerprint: _Optional[str] = ..., version: _Optional[str] = ..., precision: _Optional[str] = ...) -> None: ...

class Timing(_message.Message):
    __slots__ = ("queued_ms", "computed_ms", "prefix_hits", "batch_rows")
    QUEUED_MS_FIELD_NUMBER: _ClassVar[int]
    COMPUTED_MS_FIELD_NUMBER: _ClassVar[int]
    PREFIX_HITS_FIELD_NUMBER: _ClassVar[int]
    BATCH_ROWS_FIELD_NUMBER: _ClassVar[int]
    queued_ms: float
    computed_ms: float
    prefix_hits: int
    batch_rows: int
    def __init__(self, queued_ms: _Optional[float] = ..., computed_ms: _Optional[float] = ..., prefix_hits: _Optional[int] = ..., batch_rows: _Optional[int] = ...) -> None: ...
