"""A CUDA device played on the CPU: real numbers, and each tensor knows where it would lie.

Within ``playing()`` torch answers as it does with one CUDA device: a tensor that was moved or made
there says so, functions refuse to mix it with tensors of this machine's memory, and it is no array
for numpy. So whatever was left behind by mistake (a mask, an index, a constant, a text embedding)
is an error here too. Lone numbers may mix, and an index may lie on the CPU, as with the real one.
"""

from contextlib import contextmanager

import torch
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves, tree_map

CUDA, CPU = torch.device("cuda", 0), torch.device("cpu")
_T = torch.Tensor
_LOOKS = {_T.device.__get__: lambda x: CUDA, _T.is_cuda.__get__: lambda x: True}
_HOME = {_T.numpy, _T.__array__, _T.tolist}
_INDEXED = {_T.__getitem__, _T.__setitem__}
_MOVES = {_T.to, _T.cpu, _T.cuda}
_SETS = {_T.data.__set__}
_FREE = {torch._C._nn._parse_to, torch._has_compatible_shallow_copy_type}
_SCALARS = {_T.item, _T.__float__, _T.__int__, _T.__bool__, _T.__index__}


def there(x):
    """Whether a tensor lies on the device."""
    return isinstance(x, _T) and x.__dict__.get("lies_there", False)


def mark(x, yes):
    if isinstance(x, _T):
        x.__dict__["lies_there"] = yes
    return x


def wanted(args, kwargs):
    """The device that a call names, or None."""
    for x in (kwargs.get("device"), *args):
        if isinstance(x, torch.device):
            return x
        if isinstance(x, str) and x.partition(":")[0] in ("cpu", "cuda"):
            return torch.device(x)
    return None


def without(args, kwargs):
    """The call with the CPU in the device's place, on which all is computed."""
    swap = lambda x: CPU if isinstance(x, torch.device) else x  # noqa: E731
    return tree_map(swap, args), tree_map(swap, kwargs)


class TaggedDevice(TorchFunctionMode):
    """Counts what it saw on the device in ``seen``."""

    def __init__(self):
        super().__init__()
        self.seen = 0

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if func in _LOOKS and there(args[0]):
            return _LOOKS[func](args[0])
        if func in _FREE:
            return func(*args, **kwargs)
        if func in _HOME and there(args[0]):
            raise TypeError("can't convert cuda:0 device type tensor to numpy")
        if func in _SETS:
            mark(args[0], there(args[1]))
            return func(*args, **kwargs)
        if func in _MOVES:
            return self._moved(func, args, kwargs)
        return self._computed(func, args, kwargs)

    def _moved(self, func, args, kwargs):
        device = CPU if func is _T.cpu else wanted(args[1:], kwargs)
        others = [x for x in args[1:] if isinstance(x, _T)]  # x.to(like)
        home = there((others or args)[0]) if device is None else device.type == "cuda"
        if home != there(args[0]):
            result = func(*without(args, kwargs)[0], **without(args, kwargs)[1])
            # A copy: a view of the same numbers would lie in both places.
            return mark(result.clone(), home)
        return mark(func(*without(args, kwargs)[0], **without(args, kwargs)[1]), home)

    def _computed(self, func, args, kwargs):
        tensors = [x for x in tree_leaves((args, kwargs)) if isinstance(x, _T)]
        if func in _INDEXED:
            tensors = [args[0], *(x for x in args[2:] if isinstance(x, _T))]
        places = {there(x) for x in tensors if x.dim() or there(x)}
        if len(places) > 1:
            raise RuntimeError(f"{func} was given tensors of two devices: {shapes(tensors)}")
        device = wanted((), kwargs)
        inside = device.type == "cuda" if device is not None else True in places
        args, kwargs = without(args, kwargs)
        found = func(*args, **kwargs)
        self.seen += inside
        if func not in _SCALARS:
            for x in tree_leaves(found):
                mark(x, inside)
        return found


def shapes(tensors):
    return [(tuple(x.shape), "cuda" if there(x) else "cpu") for x in tensors]


@contextmanager
def playing():
    """Within, in this thread: there is one CUDA device."""
    with TaggedDevice() as mode:
        yield mode
