"""Where a model computes, and in which numbers.

Weights, dictionaries and what is kept of pictures lie on one device. The image tower may compute
in half precision; texts, dictionaries, edits and read-outs are float32 everywhere, and pictures
wait in this machine's memory.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, cast, get_args

import torch
from torch import Tensor

from steerboard.model.tower import Tower
from steerboard.spec.errors import InvalidRequest

Precision = Literal["float32", "bf16", "fp16"]
DTYPES = {"float32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


@dataclass(frozen=True)
class Placement:
    """A device and the precision of the image tower there."""

    device: torch.device
    precision: Precision = "float32"

    @property
    def dtype(self) -> torch.dtype:
        """Of the image tower's weights and residual stream."""
        return DTYPES[self.precision]

    def pixels(self, pictures: Sequence[Tensor]) -> Tensor:
        """Pictures ``[3, h, w]`` of this machine's memory as the tower reads them, joined."""
        return onto(pictures, self.device, self.dtype)


HOST = Placement(torch.device("cpu"))


def choose(device: str = "auto", precision: str = "float32") -> Placement:
    """The placement that these words name; ``auto`` is CUDA where it is at hand.

    Raises:
        InvalidRequest: No such device here, or no such precision.
    """
    if precision not in get_args(Precision):
        raise InvalidRequest(
            f"there is no precision {precision!r}: choose {', '.join(get_args(Precision))}",
            field="precision",
        )
    return Placement(_device(device), cast(Precision, precision))


def _device(name: str) -> torch.device:
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if name == "auto":
        return torch.device("cuda", 0) if count else torch.device("cpu")
    kind, _, number = name.partition(":")
    if kind not in ("cpu", "cuda") or (number and (kind == "cpu" or not number.isdecimal())):
        raise InvalidRequest(
            f"there is no device {name!r}: choose auto, cpu, cuda or cuda:N", field="device"
        )
    if kind == "cpu":
        return torch.device("cpu")
    if int(number or 0) >= count:
        raise InvalidRequest(
            f"device {name} is not here: torch {torch.__version__} sees {count} CUDA devices;"
            " install the driver and a CUDA build of torch, or choose auto or cpu",
            field="device",
        )
    return torch.device("cuda", int(number or 0))


def onto(pictures: Sequence[Tensor], device: torch.device, dtype: torch.dtype) -> Tensor:
    """Tensors of one shape, joined ``[b, ..]`` on the device.

    They are joined in page-locked memory, from which a GPU copies while this thread goes on.
    """
    if device.type != "cuda" or not torch.cuda.is_available():
        return torch.stack(list(pictures)).to(device, dtype)
    shape = (len(pictures), *pictures[0].shape)
    joined = torch.empty(shape, dtype=pictures[0].dtype, pin_memory=True)
    torch.stack(list(pictures), out=joined)
    return joined.to(device, non_blocking=True).to(dtype)


def before(tower: Tower, pictures: Sequence[Tensor]) -> Tensor:
    """Pictures ``[3, h, w]`` where, and as, this tower reads them."""
    like = next(tower.visual.parameters())
    return onto(pictures, like.device, like.dtype)


def full(x: Tensor) -> Tensor:
    """``x`` in float32 where it is in half precision, else as it is."""
    return x.float() if x.dtype in (torch.bfloat16, torch.float16) else x
