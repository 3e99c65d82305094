"""Reading any dictionary, with its place in the model; converting it to our own form."""

import hashlib
import json
from dataclasses import replace
from pathlib import Path

from steerboard.dictionary.formats.opened import Found, Hints
from steerboard.dictionary.formats.recognise import recognise
from steerboard.dictionary.native import (
    DictionaryFile,
    Header,
    check_shapes,
    describe,
    is_checkpoint,
    is_native,
    save,
)
from steerboard.dictionary.native import read as read_native
from steerboard.dictionary.sae import Sae
from steerboard.spec.capabilities import TokenSet
from steerboard.spec.errors import DictionaryMisfit, InvalidRequest, NotFound

TOKEN_SETS: tuple[TokenSet, ...] = ("prefix", "patches", "all")
NO_HINTS = Hints()


def read(path: Path, hints: Hints = NO_HINTS) -> DictionaryFile:
    """The dictionary in a file or folder of any known format.

    Args:
        path: A file, or a folder that holds weights and settings.
        hints: What the file does not say itself: site, tokens, a side-car.

    Returns:
        The dictionary; of another project's file the fingerprint covers header and tensors.

    Raises:
        NotFound: Nothing is there.
        DictionaryMisfit: Unsafe, damaged, no known format, or a hint is missing or contradicts it.
    """
    if not path.exists():
        raise NotFound(f"dictionary {path} is missing")
    own = own_file(path)
    if own is not None:
        file = read_native(own)
        _check_native(own.name, file.header, hints)
        return file
    found = recognise(path, hints)
    header = _header(path.name, found, hints)
    check_shapes(path.name, header, found.sae.tensors())
    sae = replace(found.sae, tokens=header.tokens)
    return DictionaryFile(header, sae, _fingerprint(header, sae))


def own_file(path: Path) -> Path | None:
    """The file of our own format that ``path`` is, or that lies in it alone; None for others.

    A folder that training left holds a checkpoint too, which is no dictionary.

    Raises:
        DictionaryMisfit: A checkpoint of a training that has not ended; a folder of several.
    """
    files = sorted(path.glob("*.safetensors")) if path.is_dir() else [path]
    found = [file for file in files if file.is_file() and is_native(file)]
    if len(found) > 1:
        names = ", ".join(file.name for file in found[:5])
        raise DictionaryMisfit(f"{path.name} holds several dictionaries ({names}): name one")
    if not found and any(is_checkpoint(file) for file in files):
        raise DictionaryMisfit(
            f"{path.name} holds a training and no dictionary yet: steerboard dictionary train"
            " --resume goes on with it and writes dictionary.safetensors"
        )
    return found[0] if found else None


def convert(source: Path, target: Path, hints: Hints = NO_HINTS) -> DictionaryFile:
    """Write any dictionary as our own safetensors, and read it back.

    Raises:
        InvalidRequest: ``target`` is there already, is no ``.safetensors``, or cannot be written.
        DictionaryMisfit: As ``read``.
    """
    if target.suffix != ".safetensors":
        raise InvalidRequest(f"{target.name} must end in .safetensors", field="target")
    if target.exists():
        raise InvalidRequest(f"{target} is there already: name another file", field="target")
    file = read(source, hints)
    save(target, file.header, file.sae)
    return read_native(target)


def _check_native(name: str, header: Header, hints: Hints) -> None:
    if hints.site and hints.site != header.site:
        raise DictionaryMisfit(f"{name} belongs to {header.site}, not to {hints.site}")
    if hints.tokens and hints.tokens != header.tokens:
        raise DictionaryMisfit(f"{name} is of tokens {header.tokens}, not {hints.tokens}")


def _header(name: str, found: Found, hints: Hints) -> Header:
    """Place what was found, by its own word or else by the hints."""
    site, tokens = _site(name, found, hints), _tokens(name, found, hints)
    sae = replace(found.sae, tokens=tokens)
    return describe(sae, site, gate=found.gate, source=found.source, facts=found.facts)


def _site(name: str, found: Found, hints: Hints) -> str:
    if found.site and hints.site and found.site != hints.site:
        raise DictionaryMisfit(
            f"{name} says that it belongs to {found.site}, the hint says {hints.site}"
        )
    if not (found.site or hints.site):
        raise DictionaryMisfit(
            f"{name} ({found.source}) does not tell its site: {found.unplaced}."
            " Name it, such as site: resid_post.9"
        )
    return found.site or hints.site


def _tokens(name: str, found: Found, hints: Hints) -> TokenSet:
    if found.tokens and hints.tokens and found.tokens != hints.tokens:
        raise DictionaryMisfit(
            f"{name} says that it is of tokens {found.tokens}, the hint says {hints.tokens}"
        )
    tokens = found.tokens or hints.tokens or found.usual_tokens
    if tokens not in TOKEN_SETS:
        raise DictionaryMisfit(
            f"{name} ({found.source}) does not tell which tokens it was trained on: name them,"
            " tokens: prefix, patches or all"
        )
    return tokens


def _fingerprint(header: Header, sae: Sae) -> str:
    """SHA-256 of the header in canonical JSON and of the tensors' bytes, in the order of names."""
    digest = hashlib.sha256(json.dumps(header.model_dump(mode="json"), sort_keys=True).encode())
    for name, tensor in sorted(sae.tensors().items()):
        digest.update(name.encode() + tensor.contiguous().numpy().tobytes())
    return digest.hexdigest()
