"""Dense numbers as they travel: little-endian bytes with dtype and shape."""

import base64
import math
from typing import Literal

import numpy as np
import numpy.typing as npt
from pydantic import field_serializer, field_validator, model_validator

from steerboard.spec.base import Spec

DTYPES = {"float32": "<f4", "float16": "<f2", "int64": "<i8", "uint8": "|u1"}


class Tensor(Spec):
    """An immutable array: ``len(data) == prod(shape) * itemsize``, C order, little-endian."""

    dtype: Literal["float32", "float16", "int64", "uint8"] = "float32"
    shape: tuple[int, ...]
    data: bytes

    @field_validator("data", mode="before")
    @classmethod
    def _from_text(cls, value: object) -> object:
        return base64.b64decode(value) if isinstance(value, str) else value

    @field_serializer("data", when_used="json")
    def _to_text(self, value: bytes) -> str:
        return base64.b64encode(value).decode()

    @model_validator(mode="after")
    def _size_fits(self) -> "Tensor":
        if any(n < 0 for n in self.shape) or len(self.shape) > 8:
            raise ValueError(f"shape {self.shape} has a negative size or more than 8 axes")
        want = math.prod(self.shape) * np.dtype(DTYPES[self.dtype]).itemsize
        if len(self.data) != want:
            raise ValueError(
                f"shape {self.shape} of {self.dtype} needs {want} bytes, not {len(self.data)}"
            )
        if self.dtype.startswith("float") and not np.isfinite(self.numpy()).all():
            raise ValueError("a tensor in a request holds NaN or infinity")
        return self

    def numpy(self) -> npt.NDArray[np.generic]:
        """A read-only view, of ``shape``."""
        return np.frombuffer(self.data, DTYPES[self.dtype]).reshape(self.shape)

    @classmethod
    def of(cls, array: npt.ArrayLike, dtype: str = "float32") -> "Tensor":
        """Copy ``array`` into a tensor of ``dtype``."""
        values = np.ascontiguousarray(array, dtype=DTYPES[dtype])
        return cls(dtype=dtype, shape=values.shape, data=values.tobytes())
