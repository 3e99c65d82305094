"""Reading what other programs pickled without running anything that a stranger wrote.

First the opcodes are read, not executed: every global that a pickle names must be on a list.
Then it is loaded by an unpickler that knows only our own stand-ins: a storage becomes a view of
the file's bytes, whose length is checked, and the known settings classes become inert records.
Holds for torch's zip files, its older stream, and bare pickles, also compressed by gzip.
"""

import gzip
import io
import pickle
import pickletools
import re
import warnings
import zipfile
import zlib
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import torch
from torch import Tensor

from steerboard.spec.errors import DictionaryMisfit

MAX_BYTES = 2**32  # of an unpacked file
MAX_MEMO = 2**20  # a pickle's memo is allocated up to the largest place that it names
KINDS = {
    "Double": torch.float64,
    "Float": torch.float32,
    "Half": torch.float16,
    "BFloat16": torch.bfloat16,
    "Long": torch.int64,
    "Int": torch.int32,
    "Short": torch.int16,
    "Char": torch.int8,
    "Byte": torch.uint8,
    "Bool": torch.bool,
}
STORAGES = {f"torch.{name}Storage": dtype for name, dtype in KINDS.items()}
DTYPES = {str(dtype): str(dtype) for dtype in KINDS.values()}
CONFIG_MODULES = (
    "vit_prisma.sae.config",
    "vit_prisma.sae.training.config",
    "vit_prisma.sae.sae_utils",
    "sae_training.config",
    "src.sae_training.config",
    "sae_lens.config",
    "sae_lens.training.config",
)
CONFIG_CLASSES = (
    "RunnerConfig",
    "CacheActivationsRunnerConfig",
    "LanguageModelSAERunnerConfig",
    "VisionModelSAERunnerConfig",
    "ViTSAERunnerConfig",
)
RECORDS = {f"{module}.{name}" for module in CONFIG_MODULES for name in CONFIG_CLASSES}
RECORDS |= {"torch.device", "pathlib.PosixPath", "pathlib.PurePosixPath", "pathlib.WindowsPath"}
PLAIN = {
    "collections.OrderedDict",
    "torch._utils._rebuild_tensor_v2",
    "torch._utils._rebuild_parameter",
    "torch.storage._load_from_bytes",
    "torch.Size",
    *DTYPES,
}
KNOWN = PLAIN | RECORDS | set(STORAGES)
LEGACY = re.compile(rb"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19\.")  # torch's magic number
DAMAGE = (
    pickle.UnpicklingError,
    zipfile.BadZipFile,
    ArithmeticError,
    AttributeError,
    EOFError,
    LookupError,
    NotImplementedError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
    zlib.error,
)


def load(path: Path) -> Any:
    """What a torch file, a ``.pkl`` or a ``.pkl.gz`` holds; settings classes as dicts.

    Raises:
        DictionaryMisfit: It names a global that is not on the list, or it is damaged.
    """
    return loads(path.name, path.read_bytes())


def loads(name: str, data: bytes) -> Any:
    """The same from bytes; ``name`` is for messages."""
    try:
        if data[:2] == b"\x1f\x8b":
            data = _unzipped(name, data)
        if data[:2] == b"PK":
            return _from_zip(name, zipfile.ZipFile(io.BytesIO(data)))
        if LEGACY.match(data):
            return _from_stream(name, data)
        check(name, io.BytesIO(data))
        return plain(Stranger(name, io.BytesIO(data)).load())
    except DAMAGE as error:
        raise DictionaryMisfit(f"{name} is damaged, or no dictionary: {error}") from error


def _unzipped(name: str, data: bytes) -> bytes:
    found = bytearray()
    with gzip.open(io.BytesIO(data)) as file:
        while block := file.read(2**20):
            found += block
            if len(found) > MAX_BYTES:
                raise DictionaryMisfit(f"{name} unpacks to more than {MAX_BYTES >> 20} MiB")
    return bytes(found)


def _from_zip(name: str, archive: zipfile.ZipFile) -> Any:
    """Read torch's format since 1.6: ``*/data.pkl`` and one record a storage."""
    members = archive.namelist()
    if len(set(members)) != len(members):
        raise DictionaryMisfit(f"{name} holds the same entry twice, so it is not from torch.save")
    if any(info.compress_type != zipfile.ZIP_STORED for info in archive.infolist()):
        raise DictionaryMisfit(f"{name} is compressed inside, so it is not from torch.save")
    for member in members:
        if member.endswith(".pkl"):
            check(name, io.BytesIO(archive.read(member)))
    main, *others = [m for m in members if m.endswith("/data.pkl") or m == "data.pkl"] or [""]
    if not main or others:
        found = ", ".join(members[:3])
        raise DictionaryMisfit(f"{name} is a zip file, but none of torch.save (it holds {found})")
    root = main.removesuffix("data.pkl")
    held: dict[str, bytes] = {}

    def record(key: str) -> bytes:
        return held.setdefault(key, archive.read(f"{root}data/{key}"))

    return plain(Stranger(name, io.BytesIO(archive.read(main)), record).load())


def _from_stream(name: str, data: bytes) -> Any:
    """Read torch's format before 1.6, five pickles and then storages, by its own safe reader."""
    stream = io.BytesIO(data)
    for _ in range(5):
        check(name, stream, allowed=PLAIN | set(STORAGES))
    with warnings.catch_warnings():  # of an unusual protocol, which reading it settles
        warnings.simplefilter("ignore", UserWarning)
        return plain(torch.load(io.BytesIO(data), map_location="cpu", weights_only=True))


def check(name: str, stream: BinaryIO, allowed: set[str] = KNOWN) -> None:
    """Read one pickle's opcodes and refuse globals that are not allowed, by name.

    Raises:
        DictionaryMisfit: The first such global.
    """
    for found in globals_of(stream):
        if found not in allowed:
            raise DictionaryMisfit(
                f"{name} is refused: it is a pickle that names {found}, which could run code."
                " Save only its state_dict, by torch.save or as safetensors, and try again"
            )


def globals_of(stream: BinaryIO) -> Iterator[str]:
    """Every global that one pickle names; ``?`` for one that is put together while it runs."""
    memo: dict[int, str] = {}
    last: list[str] = ["?", "?"]
    for opcode, found, _ in pickletools.genops(stream):
        argument: Any = found
        match opcode.name:
            case "GLOBAL" | "INST":
                yield str(argument).replace(" ", ".")
            case "STACK_GLOBAL":
                yield ".".join(last)
            case "EXT1" | "EXT2" | "EXT4":
                yield f"copyreg extension {argument}"
            case "MEMOIZE":
                memo[len(memo)] = last[1]
            case "BINPUT" | "LONG_BINPUT" | "PUT":
                if int(argument) > MAX_MEMO:
                    raise pickle.UnpicklingError(f"memo place {argument} of no real pickle")
                memo[int(argument)] = last[1]
            case "BINGET" | "LONG_BINGET" | "GET":
                last = [last[1], memo.get(int(argument), "?")]
            case kind if "UNICODE" in kind or "STRING" in kind:
                last = [last[1], str(argument)]


class Record:
    """A settings object as attributes; nothing of its class is there."""

    def __init__(self, *arguments: object) -> None:
        self.__dict__["arguments"] = arguments


class Stranger(pickle.Unpickler):
    """An unpickler in which every name stands for something of ours.

    Args:
        name: Of the file, for messages.
        stream: The pickle.
        record: Bytes of a storage by key, for torch's zip files.
    """

    def __init__(
        self, name: str, stream: BinaryIO, record: Callable[[str], bytes] | None = None
    ) -> None:
        super().__init__(stream)
        self._name, self._record = name, record
        # Made anew for each file: a pickle may set attributes on what it gets.
        self._ours: dict[str, Any] = {
            "collections.OrderedDict": OrderedDict,
            "torch.Size": tuple,
            "torch._utils._rebuild_tensor_v2": lambda *a: rebuilt(*a[:4]),
            "torch._utils._rebuild_parameter": lambda data, *_: data,
            "torch.storage._load_from_bytes": lambda data: nested(self._name, data),
            **STORAGES,
            **DTYPES,
            **{known: type("Record", (Record,), {}) for known in RECORDS},
        }

    def find_class(self, module: str, name: str) -> Any:
        """The stand-in of a global."""
        if f"{module}.{name}" not in self._ours:
            raise pickle.UnpicklingError(f"{module}.{name} is not allowed")
        return self._ours[f"{module}.{name}"]

    def persistent_load(self, pid: Any) -> Tensor:
        """A storage ``[n]`` of a zip file, as long as it says."""
        kind, dtype, key, _location, count = pid
        if kind != "storage" or self._record is None:
            raise pickle.UnpicklingError("a persistent id outside of torch's format")
        data = self._record(str(key))
        if count * torch.empty(0, dtype=dtype).element_size() > len(data):
            raise pickle.UnpicklingError(f"storage {key} claims {count} numbers and has fewer")
        return torch.frombuffer(bytearray(data), dtype=dtype) if data else torch.empty(0)


def rebuilt(storage: Tensor, offset: int, size: Any, stride: Any) -> Tensor:
    """A tensor as a view of its storage, never larger than it."""
    count = 1
    for length in size:
        count *= int(length)
    if count > storage.numel() or min((*size, *stride, offset), default=0) < 0:
        raise pickle.UnpicklingError(f"a tensor of shape {list(size)} exceeds its storage")
    return storage.as_strided(tuple(size), tuple(stride), offset)


def nested(name: str, data: bytes) -> Tensor:
    """A storage that a bare pickle carries as torch's older stream."""
    if not LEGACY.match(data):
        raise pickle.UnpicklingError("a storage in an unknown form")
    found = _from_stream(name, data)
    return torch.empty(0, dtype=found.dtype).set_(found)


def plain(found: Any) -> Any:
    """Records as dicts, all the way down."""
    if isinstance(found, Record):
        own = {key: value for key, value in vars(found).items() if key != "arguments"}
        return plain(own) if own else [plain(a) for a in vars(found).get("arguments", ())]
    if isinstance(found, Mapping):
        return {key: plain(value) for key, value in found.items()}
    if isinstance(found, list | tuple):
        return [plain(value) for value in found]
    return found
