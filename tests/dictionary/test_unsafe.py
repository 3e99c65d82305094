"""Files that carry code: refused by the name of what they would call, and never run."""

import gzip
import io
import os
import pickle
import zipfile
from pathlib import Path

import pytest
import torch
from made import PRISMA, Weights

from steerboard.dictionary.formats import read, unpickle
from steerboard.spec.errors import DictionaryMisfit


class Payload:
    """Unpickled by anything that trusts it, it creates the marker."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self):
        return os.mkdir, (str(self.marker),)


def zipped(path: Path, payload: object) -> Path:
    torch.save({"cfg": payload, "state_dict": Weights().tensors()}, path)
    return path


def zipped_in_a_tensor(path: Path, payload: object) -> Path:
    """Among the weights, where a state dict alone is expected."""
    torch.save(Weights().tensors() | {"b_dec": payload}, path)
    return path


def in_the_older_stream(path: Path, payload: object) -> Path:
    saved = {"cfg": payload, "state_dict": Weights().tensors()}
    torch.save(saved, path, _use_new_zipfile_serialization=False)
    return path


def bare(path: Path, payload: object, protocol: int = 4) -> Path:
    saved = {"cfg": payload, "state_dict": Weights().tensors()}
    path.write_bytes(pickle.dumps(saved, protocol=protocol))
    return path


def bare_in_text(path: Path, payload: object) -> Path:
    return bare(path, payload, protocol=0)


def compressed(path: Path, payload: object) -> Path:
    path.write_bytes(gzip.compress(pickle.dumps({"cfg": payload})))
    return path


def behind_a_saev_header(path: Path, payload: object) -> Path:
    buffer = io.BytesIO()
    torch.save({"W_enc": payload}, buffer)
    path.write_bytes(b'{"schema": 1}\n' + buffer.getvalue())
    return path


def inside_a_storage(path: Path, payload: object) -> Path:
    """A bare pickle's storage is a pickle again, in bytes that a scan of the first passes by."""
    inner = io.BytesIO()
    torch.save(payload, inner, _use_new_zipfile_serialization=False)
    path.write_bytes(pickle.dumps({"W_enc": Carrier(inner.getvalue())}))
    return path


class Carrier:
    def __init__(self, data: bytes) -> None:
        self.data = data

    def __reduce__(self):
        return torch.storage._load_from_bytes, (self.data,)


def beside_the_main_pickle(path: Path, payload: object) -> Path:
    zipped(path, PRISMA)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("archive/extra.pkl", pickle.dumps(payload))
    return path


WAYS = [
    (zipped, "evil.pt"),
    (zipped_in_a_tensor, "evil.pt"),
    (in_the_older_stream, "evil.pt"),
    (bare, "evil.pkl"),
    (bare_in_text, "evil.pkl"),
    (compressed, "evil.pkl.gz"),
    (behind_a_saev_header, "sae.pt"),
    (inside_a_storage, "evil.pkl"),
    (beside_the_main_pickle, "evil.pt"),
]


@pytest.mark.parametrize(("way", "name"), WAYS, ids=lambda value: getattr(value, "__name__", ""))
def test_nothing_runs_and_the_global_is_named(way, name, tmp_path):
    marker = tmp_path / "ran"
    path = way(tmp_path / name, Payload(marker))
    with pytest.raises(DictionaryMisfit, match=r"mkdir.*could run code"):
        read(path)
    assert not marker.exists()


def test_the_marker_would_have_been_made(tmp_path):
    """Else the tests above could not fail."""
    marker = tmp_path / "ran"
    path = zipped(tmp_path / "evil.pt", Payload(marker))
    torch.load(path, weights_only=False)
    assert marker.exists()


@pytest.mark.parametrize(
    "pickled",
    [
        b"\x80\x04\x8c\x05posix\x8c\x06system\x93\x8c\x02ls\x85R.",  # names on the stack
        b"cposix\nsystem\n(S'ls'\ntR.",  # by GLOBAL, in text
        b"(S'ls'\niposix\nsystem\n.",  # by INST
        b"\x80\x02\x82\x01.",  # by a number that some process registered
        b"\x80\x04\x8c\x05posix\x94\x8c\x06system\x940h\x00h\x01\x93.",  # out of the memo
    ],
)
def test_every_way_to_name_a_global_is_seen(pickled):
    with pytest.raises(DictionaryMisfit, match="could run code"):
        unpickle.loads("evil.pkl", pickled)


def test_the_second_lock_holds_without_the_first(tmp_path, monkeypatch):
    """The unpickler itself refuses, should reading the opcodes ever miss a name."""
    monkeypatch.setattr(unpickle, "check", lambda *_a, **_k: None)
    marker = tmp_path / "ran"
    for way, name in ((zipped, "evil.pt"), (bare, "evil.pkl"), (in_the_older_stream, "old.pt")):
        with pytest.raises(DictionaryMisfit):
            read(way(tmp_path / name, Payload(marker)))
    assert not marker.exists()


def test_a_settings_class_is_a_record_and_its_code_is_not_imported():
    """A class of the known name is not looked up: what it says arrives, nothing of it runs."""
    built = b"cvit_prisma.sae.config\nVisionModelSAERunnerConfig\n(tR(dS'd_in'\nI6\nsb."
    assert unpickle.loads("config.pkl", built) == {"d_in": 6}


def test_a_whole_model_saved_as_an_object_is_refused_with_the_remedy(tmp_path):
    torch.save(torch.nn.Linear(2, 2), tmp_path / "model.pt")
    with pytest.raises(DictionaryMisfit, match=r"torch.nn.modules.linear.Linear.*state_dict"):
        read(tmp_path / "model.pt")
