"""Let torchvision from PyPI import beside a CPU-only torch.

The torchvision wheel on PyPI is built for CUDA. Beside a CPU build of torch its compiled
operators do not load, and ``import torchvision`` (hence ``import open_clip``) then fails while
registering shape functions for two of them. CLIP uses neither, so declaring their schemas is
enough. Import this module before open_clip; it does nothing where the operators exist.
"""

import torch

_SCHEMAS = {
    "nms": "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms": "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
}


def _missing(name: str) -> bool:
    return not torch._C._jit_get_schemas_for_operator(f"torchvision::{name}")


def _compiled_operators_load() -> bool:
    """True where torchvision's own extension registers the operators itself."""
    from importlib.util import find_spec
    from pathlib import Path

    spec = find_spec("torchvision")
    if spec is None or spec.origin is None:
        return True
    for library in Path(spec.origin).parent.glob("_C*"):
        try:
            torch.ops.load_library(str(library))
            return True
        except OSError:
            continue
    return False


def _declare_missing() -> "torch.library.Library | None":
    if _compiled_operators_load():
        return None
    library = torch.library.Library("torchvision", "FRAGMENT")
    for name, schema in _SCHEMAS.items():
        if _missing(name):
            library.define(schema)
    return library


# Kept alive for the life of the process: dropping the object would withdraw the schemas.
_DECLARED = _declare_missing()
