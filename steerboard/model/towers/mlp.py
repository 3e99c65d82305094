"""An MLP in two halves: its hidden neurons, and their way back into the residual stream.

Between the two lies the site ``mlp_post``: what the output projection reads ``[b, t, h]``, so
after the activation, a gate, and a norm where there is one.
"""

from typing import Any, Protocol

from torch import Tensor, nn

from steerboard.model import torchvision_ops  # noqa: F401  (before open_clip)

from timm.layers.mlp import GluMlp, Mlp, SwiGLU  # isort: skip
from timm.models.vitamin import GeGluMlp


class MlpPass(Protocol):
    """MLP of one block with ``width`` hidden neurons."""

    width: int
    readable: bool

    def hidden(self, x: Tensor) -> Tensor:
        """Normed input ``[b, t, d]`` to ``[b, t, width]``."""

    def project(self, hidden: Tensor) -> Tensor:
        """``[b, t, width]`` to what is added to the residual stream ``[b, t, d]``."""


class SequencePass:
    """open_clip's ``c_fc``, ``gelu``, perhaps ``ln``, ``c_proj``."""

    readable = True

    def __init__(self, module: nn.Sequential) -> None:
        parts: list[Any] = list(module)
        *self.inner, self.output = parts
        self.width: int = self.output.in_features

    def hidden(self, x: Tensor) -> Tensor:
        """See ``MlpPass``."""
        for part in self.inner:
            x = part(x)
        return x

    def project(self, hidden: Tensor) -> Tensor:
        """See ``MlpPass``."""
        out: Tensor = self.output(hidden)
        return out


class TimmMlpPass:
    """timm's MLPs, plain and gated, by the kind of ``module``."""

    readable = True

    def __init__(self, module: Any) -> None:
        self.module = module
        self.output = module.w2 if type(module) is GeGluMlp else module.fc2
        self.width: int = self.output.in_features

    def hidden(self, x: Tensor) -> Tensor:
        """See ``MlpPass``."""
        module = self.module
        if isinstance(module, GeGluMlp):
            x = module.norm(x)
            gated: Tensor = module.act(module.w0(x)) * module.w1(x)
            return gated
        normed: Tensor = module.norm(self._active(x))
        return normed

    def _active(self, x: Tensor) -> Tensor:
        module = self.module
        if isinstance(module, SwiGLU):
            out: Tensor = module.act(module.fc1_g(x)) * module.fc1_x(x)
            return out
        if isinstance(module, GluMlp):
            first, second = module.fc1(x).chunk(2, dim=-1)
            out = first * module.act(second) if module.gate_last else module.act(first) * second
            return out
        out = module.act(module.fc1(x))
        return out

    def project(self, hidden: Tensor) -> Tensor:
        """See ``MlpPass``."""
        out: Tensor = self.output(hidden)
        return out


class WholeMlpPass:
    """An MLP of another kind: run as it is, without a site inside."""

    width = 0
    readable = False

    def __init__(self, module: Any) -> None:
        self.module = module

    def hidden(self, x: Tensor) -> Tensor:
        """See ``MlpPass``; here the whole of it."""
        out: Tensor = self.module(x)
        return out

    def project(self, hidden: Tensor) -> Tensor:
        """See ``MlpPass``; nothing is left to do."""
        return hidden


def read_mlp(module: Any) -> MlpPass:
    """The pass of an MLP module; exact types, since a subclass may compute otherwise."""
    if type(module) is nn.Sequential and isinstance(module[-1], nn.Linear):
        return SequencePass(module)
    known = type(module) in (Mlp, GluMlp, SwiGLU, GeGluMlp)
    # With convolutions instead of linear layers the channels do not come last.
    linear = isinstance(getattr(module, "fc2", getattr(module, "w2", None)), nn.Linear)
    return TimmMlpPass(module) if known and linear else WholeMlpPass(module)
