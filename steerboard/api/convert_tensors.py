"""Arrays and tensors <-> ``Tensor`` messages. Bytes are little-endian in C order on both sides."""

import math
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from steerboard.api.convert_enums import enum_value, enum_word
from steerboard.spec.answers import Floats, Ints
from steerboard.spec.errors import Internal
from steerboard.spec.tensor import DTYPES, Tensor
from steerboard.v1 import types_pb2 as pb

_WIRE = {**DTYPES, "uint32": "<u4"}
_LISTED, _FLOAT32 = np.dtype("<f4"), enum_value(pb.DType, "DTYPE", "float32")
_KINDS = {enum_value(pb.DType, "DTYPE", name): np.dtype(code) for name, code in _WIRE.items()}


def tensor_to_message(tensor: Tensor) -> pb.Tensor:
    """A spec tensor as a message."""
    dtype = enum_value(pb.DType, "DTYPE", tensor.dtype)
    return pb.Tensor(dtype=dtype, shape=tensor.shape, data=tensor.data)


def tensor_plain(message: pb.Tensor) -> dict[str, Any]:
    """Fields of a spec tensor, not yet validated."""
    dtype = enum_word(pb.DType, "DTYPE", message.dtype)
    return {"dtype": dtype, "shape": tuple(message.shape), "data": message.data}


def tensor_from_message(message: pb.Tensor) -> Tensor:
    """A message as a spec tensor; raises pydantic's ValidationError."""
    return Tensor.model_validate(tensor_plain(message))


def array_to_message(array: npt.ArrayLike, dtype: str = "float32") -> pb.Tensor:
    """An array of an answer as a message."""
    values = np.ascontiguousarray(array, dtype=_WIRE[dtype])
    shape = np.shape(array)
    return pb.Tensor(dtype=enum_value(pb.DType, "DTYPE", dtype), shape=shape, data=values.tobytes())


def indices_to_message(array: npt.ArrayLike) -> pb.Tensor:
    """Indices from 0 as unsigned 32-bit numbers."""
    return array_to_message(array, "uint32")


def _array(message: pb.Tensor) -> npt.NDArray[np.generic]:
    kind, data, sides = _KINDS.get(message.dtype), message.data, message.shape
    if kind is not None and len(sides) == 1 and len(data) == sides[0] * kind.itemsize:
        return np.frombuffer(data, kind)  # a list, as most are: an answer holds hundreds
    shape = tuple(sides)
    if kind is None or len(data) != math.prod(shape) * kind.itemsize:
        raise Internal("the server sent an array whose size does not fit its shape: update it")
    return np.frombuffer(data, kind).reshape(shape)


def floats_from_message(message: pb.Tensor) -> Floats:
    """A message as float32."""
    data, sides = message.data, message.shape
    if message.dtype == _FLOAT32 and len(sides) == 1 and len(data) == 4 * sides[0]:
        return np.frombuffer(bytearray(data), _LISTED)  # as most are; of our own memory
    if message.dtype == _FLOAT32 and not data and 0 in sides:
        return _nothing(tuple(sides))  # maps that nobody asked for
    return _array(message).astype(np.float32)


@lru_cache(maxsize=64)
def _nothing(shape: tuple[int, ...]) -> Floats:
    """An array without numbers, which nobody can change."""
    return np.zeros(shape, np.float32)


def ints_from_message(message: pb.Tensor) -> Ints:
    """A message as int64."""
    return _array(message).astype(np.int64)
