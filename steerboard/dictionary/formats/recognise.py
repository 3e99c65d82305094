"""Which format a file or folder is in: by its content, the cheap and safe questions first.

1. Folders by the names of their files. 2. A line of JSON and then a torch file. 3. Pickles, once
their opcodes are known to be harmless. 4. By the names of the tensors and settings.
"""

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from torch import Tensor

from steerboard.dictionary.formats import (
    attributing_clip,
    dictionary_learning,
    dn_cbm,
    msae,
    overcomplete,
    patchsae,
    prisma,
    saelens,
    saev,
    sparsify,
    unpickle,
)
from steerboard.dictionary.formats.opened import Found, Hints, Opened, parse_json, read_settings
from steerboard.spec.errors import DictionaryMisfit

Load = Callable[[Opened], Found]
# (weights, settings beside them, format); a folder is in the first that it fits.
FOLDERS: tuple[tuple[str, str, Load], ...] = (
    ("sae_weights.safetensors", "cfg.json", saelens.load),
    ("sae.safetensors", "cfg.json", sparsify.load),
    ("ae.pt", "config.json", dictionary_learning.load),
    ("weights.pt", "config.json", prisma.load),
)
# Folders with one weight file that says itself what it is.
ALONE = ("sae.pt", "last.ckpt", "sparse_autoencoder_final.pt", "*.ckpt", "*.pt", "*.safetensors")
SIDECARS = ("{name}.json", "{stem}.json", "{stem}.yaml", "{stem}.yml", "config.json", "cfg.json")
SETTINGS = ("cfg", "config")
MAX_HEADER = 2**20
LENGTH = 8  # bytes before a safetensors file's header, which is JSON


def recognise(path: Path, hints: Hints) -> Found:
    """The dictionary in a file or folder.

    Raises:
        DictionaryMisfit: No known format, refused as unsafe, or contradicting itself.
    """
    weights, settings, load = _located(path)
    opened = _opened(weights, settings, hints)
    load = load or _by_content(opened)
    try:
        return load(opened)
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        raise opened.misfit(
            f"its settings are not what this format writes: {type(error).__name__} {error}"
        ) from error


def _located(path: Path) -> tuple[Path, Path | None, Load | None]:
    """Weights, settings and format, as far as the names of files tell."""
    folder = path if path.is_dir() else path.parent
    for weights, settings, load in FOLDERS:
        held = (folder / weights).is_file() and (folder / settings).is_file()
        if held and (path.is_dir() or path.name in (weights, settings)):
            return folder / weights, folder / settings, load
    if path.is_file():
        return path, None, None
    for pattern in ALONE:
        found = sorted(path.glob(pattern))
        if len(found) == 1:
            return found[0], None, None
        if found:
            names = ", ".join(file.name for file in found[:5])
            raise DictionaryMisfit(f"{path.name} holds several dictionaries ({names}): name one")
    raise DictionaryMisfit(f"{path.name} holds no file of weights that any known format has")


def _opened(weights: Path, settings: Path | None, hints: Hints) -> Opened:
    header, tensors, config = _content(weights)
    sidecar = _sidecar(weights, hints)
    beside = read_settings(settings) if settings else {}
    return Opened(
        name=weights.name,
        tensors=tensors,
        config=header or config or beside or _pickled_elsewhere(sidecar),
        sidecar=sidecar,
        # Not resolved: in a cache of downloads weights are links to files of other names.
        folder=Path(os.path.abspath(weights)).parent.name,
    )


def _pickled_elsewhere(sidecar: Mapping[str, Any]) -> Mapping[str, Any]:
    """Settings beside a bare state dict are its own where they name a hook."""
    return sidecar if {"hook_point_layer", "block_layer"} & set(sidecar) else {}


def _sidecar(weights: Path, hints: Hints) -> dict[str, Any]:
    if hints.sidecar is not None:
        return read_settings(hints.sidecar)
    scaler = weights.parent / "activation_scaler.json"
    names = [n.format(name=weights.name, stem=weights.stem) for n in SIDECARS]
    found = next((file for n in names if (file := weights.parent / n).is_file()), None)
    own = read_settings(found) if found else {}
    return own | (read_settings(scaler) if scaler.is_file() else {})


def _content(path: Path) -> tuple[dict[str, Any], dict[str, Tensor], Mapping[str, Any]]:
    """A saev header, the tensors, and the settings that a file holds."""
    if path.suffix == ".safetensors" or _begins_like_safetensors(path):
        return {}, _safetensors(path), {}
    if path.stat().st_size > unpickle.MAX_BYTES:
        raise DictionaryMisfit(
            f"{path.name} has {path.stat().st_size / 2**30:.1f} GiB, and torch's files are read up"
            f" to {unpickle.MAX_BYTES >> 30}: save the dictionary's tensors alone, as safetensors"
        )
    data = path.read_bytes()
    header: dict[str, Any] = {}
    if data[:1] == b"{":
        header, data = _split_header(path.name, data)
    return header, *_unpacked(path.name, unpickle.loads(path.name, data))


def _begins_like_safetensors(path: Path) -> bool:
    """Whatever its name: the length of a header that fits into it, and then the header."""
    with path.open("rb") as file:
        start = file.read(LENGTH + 1)
    length = int.from_bytes(start[:LENGTH], "little")
    return start[LENGTH:] == b"{" and length <= path.stat().st_size - LENGTH


def _safetensors(path: Path) -> dict[str, Tensor]:
    """The tensors; nothing is read before the header is known to fit the file."""
    try:
        with safe_open(path, "pt") as file:
            return {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError, ValueError, KeyError, RuntimeError) as error:
        raise DictionaryMisfit(f"{path.name} is damaged, or no safetensors: {error}") from error


def _split_header(name: str, data: bytes) -> tuple[dict[str, Any], bytes]:
    line, _, rest = data.partition(b"\n")
    try:
        if len(line) > MAX_HEADER or not rest:
            raise ValueError("it is not one line of JSON and then weights")
        header = parse_json(line.decode())
    except (ValueError, RecursionError) as error:
        raise DictionaryMisfit(f"{name} begins like a saev file, but {error}") from error
    return header | {"saev": True}, rest


def _unpacked(name: str, found: Any) -> tuple[dict[str, Tensor], Mapping[str, Any]]:
    """Tensors and settings, whichever way a project nests them."""
    if not isinstance(found, Mapping):
        raise DictionaryMisfit(f"{name} holds a {type(found).__name__}, not a dictionary's tensors")
    own: Mapping[str, Any] = next(
        (found[key] for key in SETTINGS if isinstance(found.get(key), Mapping)), {}
    )
    weights = found.get("state_dict", found.get("model", found.get("autoencoder", found)))
    if weights is not found and isinstance(weights, Mapping) and "state_dict" in weights:
        weights = weights["state_dict"]
    if not isinstance(weights, Mapping):
        raise DictionaryMisfit(f"{name} holds no tensors by name")
    if "model" in found:  # MSAE lays the data set's mean and scale beside the model
        own = {key: found[key] for key in msae.PREPROCESS if key in found}
    return {str(k): v for k, v in weights.items() if isinstance(v, Tensor)}, own


def _by_content(opened: Opened) -> Load:
    """The format by the names of tensors and settings.

    Raises:
        DictionaryMisfit: None fits; it says what is missing.
    """
    if opened.config.get("saev"):
        return saev.load
    keys = set(opened.tensors)
    for needed, load in BY_KEYS:
        if needed <= keys:
            return load
    if "W_enc" in keys:
        return _by_settings(opened)
    raise opened.misfit(
        f"no format that is known here has tensors {sorted(keys)[:12]}; see the list of formats"
    )


BY_KEYS: tuple[tuple[set[str], Load], ...] = (
    ({"encoder.0.weight_v"}, attributing_clip.load),
    ({"encoder.0.parametrizations.weight.original1"}, attributing_clip.load),
    ({"dictionary._weights"}, overcomplete.load),
    ({"dictionary.C"}, overcomplete.load),
    ({"pre_bias", "latent_bias"}, msae.load),
    ({"tied_bias"}, dn_cbm.load),
    ({"W_enc", "group_sizes"}, dictionary_learning.load),
    ({"encoder.weight", "decoder.weight"}, dictionary_learning.load),
)


def _by_settings(opened: Opened) -> Load:
    config = opened.config
    if "block_layer" in config and "module_name" in config:
        return patchsae.load
    if "hook_point_layer" in config and "layer_subtype" in config:
        return prisma.load
    if "hook_point" in config or "hook_name" in config:
        return saelens.load
    raise opened.misfit(
        "W_enc and W_dec alone fit SAELens, Prisma and PatchSAE, which compute different codes:"
        " keep the project's own cfg.json or config.json beside it"
    )
