"""Files that are cut off, contradict themselves, or claim what they do not hold."""

import gzip
import io
import json
import os
import pickle
import re
import struct
import zipfile

import made
import pytest
import torch
from made import D, F, Weights, v6
from safetensors.torch import save_file

from steerboard.dictionary.formats import Hints, read, unpickle
from steerboard.dictionary.native import KEY
from steerboard.spec.errors import DictionaryMisfit, InvalidRequest, NotFound, SteerboardError

PLACE = Hints(site="resid_post.1", tokens="all")


def refusal(path, hints=PLACE):
    with pytest.raises(DictionaryMisfit) as caught:
        read(path, hints)
    return caught.value.message


def weights_of(made_):
    if made_.path.is_file():
        return made_.path
    names = ("sae_weights.safetensors", "sae.safetensors", "ae.pt", "weights.pt")
    return next(made_.path / n for n in names if (made_.path / n).is_file())


@pytest.mark.parametrize("make", made.MAKERS, ids=lambda make: make.__name__)
def test_cut_off_anywhere_it_is_refused_in_one_sentence(make, tmp_path):
    built = make(tmp_path)
    file = weights_of(built)
    whole = file.read_bytes()
    for part in (0.0, 0.1, 0.5, 0.9, 0.999):
        file.write_bytes(whole[: int(len(whole) * part)])
        message = refusal(built.path, built.hints)
        assert file.name in message or built.path.name in message


@pytest.mark.parametrize("make", made.MAKERS, ids=lambda make: make.__name__)
def test_with_flipped_bytes_it_is_read_or_refused_and_nothing_else(make, tmp_path):
    """Whatever a byte does, a person sees our own error or a dictionary; never a traceback."""
    built = make(tmp_path)
    file = weights_of(built)
    whole = file.read_bytes()
    for at in range(0, len(whole), max(1, len(whole) // 40)):
        file.write_bytes(whole[:at] + bytes([whole[at] ^ 0xFF]) + whole[at + 1 :])
        try:
            read(built.path, built.hints)
        except SteerboardError as error:
            assert error.message


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_no_numbers_are_named(tmp_path, value):
    tensors = Weights().tensors()
    tensors["W_dec"][3, 2] = value
    folder = made.saelens_folder(tmp_path / "sae", v6("standard"), tensors)
    assert "W_dec holds NaN or infinity" in refusal(folder)


@pytest.mark.parametrize(
    ("name", "shape"),
    [("W_dec", (F, D + 1)), ("W_dec", (D, F)), ("b_enc", (F, 1)), ("b_dec", (0,))],
)
def test_shapes_that_do_not_fit_are_named(tmp_path, name, shape):
    tensors = Weights().tensors() | {name: torch.ones(shape)}
    folder = made.saelens_folder(tmp_path / "sae", v6("standard"), tensors)
    assert f"{name} is {list(shape)}, expected" in refusal(folder)


def test_a_missing_tensor_is_named(tmp_path):
    tensors = Weights().tensors("W_enc", "W_dec", "b_dec")
    folder = made.saelens_folder(tmp_path / "sae", v6("standard"), tensors)
    assert "tensor b_enc is missing" in refusal(folder)


def test_safetensors_that_declare_more_than_they_hold(tmp_path):
    header = {"W_enc": {"dtype": "F32", "shape": [2**30, 2**30], "data_offsets": [0, 2**62]}}
    text = json.dumps(header).encode()
    folder = tmp_path / "sae"
    folder.mkdir()
    (folder / "sae_weights.safetensors").write_bytes(struct.pack("<Q", len(text)) + text)
    (folder / "cfg.json").write_text(json.dumps(v6("standard")))
    assert "damaged" in refusal(folder)
    (folder / "sae_weights.safetensors").write_bytes(struct.pack("<Q", 2**60) + text)
    assert "damaged" in refusal(folder)


def test_a_tensor_that_is_larger_than_its_storage(tmp_path):
    """Strides of 0 make a terabyte of four bytes; nothing is allocated for it."""
    torch.save({"W_enc": torch.zeros(1).expand(2**20, 2**20)}, tmp_path / "sae.pt")
    assert "exceeds its storage" in refusal(tmp_path / "sae.pt")


def test_a_storage_that_claims_more_than_its_record(tmp_path):
    buffer = io.BytesIO()
    torch.save({"W_enc": torch.zeros(64)}, buffer)
    with zipfile.ZipFile(buffer) as old, zipfile.ZipFile(tmp_path / "sae.pt", "w") as new:
        for info in old.infolist():
            data = old.read(info)
            new.writestr(info.filename, data[:16] if "/data/" in info.filename else data)
    assert "claims 64 numbers" in refusal(tmp_path / "sae.pt")


def test_a_compressed_bomb_stops_at_its_bound(tmp_path, monkeypatch):
    monkeypatch.setattr(unpickle, "MAX_BYTES", 2**20)
    (tmp_path / "d.pkl.gz").write_bytes(gzip.compress(pickle.dumps(b"\0" * 2**21)))
    assert "unpacks to more" in refusal(tmp_path / "d.pkl.gz")
    with zipfile.ZipFile(tmp_path / "sae.pt", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", b"\0" * 2**21)
    assert "compressed inside" in refusal(tmp_path / "sae.pt")


def test_a_file_of_torch_that_is_larger_than_any_dictionary(tmp_path):
    """60 GiB that take no room on the disk: told from its length, before any of it is read."""
    for name, told in (("sae.pt", "has 60.0 GiB.*safetensors"), ("a.safetensors", "damaged")):
        (tmp_path / name).touch()
        os.truncate(tmp_path / name, 60 * 2**30)
        assert re.search(told, refusal(tmp_path / name))


def test_a_zip_file_of_another_program(tmp_path):
    with zipfile.ZipFile(tmp_path / "sae.pt", "w") as archive:
        archive.writestr("word/document.xml", "a letter")
    assert "none of torch.save (it holds word/document.xml)" in refusal(tmp_path / "sae.pt")


def test_a_memo_place_that_would_take_all_memory(tmp_path):
    (tmp_path / "d.pkl").write_bytes(b"\x80\x02K\x01r\xff\xff\xff\x7f.")
    assert "memo place 2147483647" in refusal(tmp_path / "d.pkl")


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_the_same_entry_twice(tmp_path):
    path = tmp_path / "sae.pt"
    torch.save(Weights().tensors(), path)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(archive.namelist()[0], b"another")
    assert "same entry twice" in refusal(path)


def test_a_setting_that_stands_twice(tmp_path):
    folder = made.saelens_standard(tmp_path).path
    text = json.dumps(v6("standard"))
    (folder / "cfg.json").write_text(text.replace('"d_in": 6', '"d_in": 6, "d_in": 7'))
    assert "'d_in' stands twice" in refusal(folder)


@pytest.mark.parametrize("text", ["", "{", "[]", "3", '{"a": NaN}{', "{" * 5000, "\x00"])
def test_settings_that_are_none(tmp_path, text):
    folder = made.saelens_standard(tmp_path).path
    (folder / "cfg.json").write_text(text)
    assert "cfg.json" in refusal(folder)


@pytest.mark.parametrize(
    "changed",
    [
        {"d_in": "six"},
        {"architecture": ["standard"]},
        {"normalize_activations": {"a": 1}},
        {"metadata": "here"},
        {"activation_fn_kwargs": 3},
        {"architecture": "quantum"},
        {"metadata": {"hook_name": 7}},
    ],
)
def test_settings_of_another_kind_than_expected(tmp_path, changed):
    config = v6("topk", k=None) | changed
    folder = made.saelens_folder(tmp_path / "sae", config, Weights().tensors())
    assert refusal(folder, Hints(tokens="all"))


def test_files_that_are_something_else(tmp_path):
    with pytest.raises(NotFound, match="missing"):
        read(tmp_path / "nothing.pt")
    assert "no file of weights" in refusal(tmp_path)
    for name in ("a.pt", "a.pkl", "a.safetensors", "a.bin"):
        (tmp_path / name).write_bytes(b"hello, this is a text")
        assert name in refusal(tmp_path / name)
    torch.save([torch.ones(2)], tmp_path / "list.pt")
    assert "holds a list" in refusal(tmp_path / "list.pt")
    torch.save({"weight": torch.ones(2)}, tmp_path / "model.pt")
    assert "no format that is known" in refusal(tmp_path / "model.pt")


def test_safetensors_are_known_by_content_and_links_by_their_own_place(tmp_path):
    """As caches of downloads keep them: a file named by its digest, a folder of links to such."""
    built, blobs = made.sparsify_topk(tmp_path), tmp_path / "blobs"
    blobs.mkdir()
    for i, file in enumerate(sorted(built.path.iterdir())):
        file.rename(blobs / f"{i}abc")
        file.symlink_to(blobs / f"{i}abc")
    hints = Hints(tokens="all")
    assert read(built.path, hints).header.site == "resid_post.1"
    named_by_digest = tmp_path / "dictionary"
    w = Weights()
    save_file(made.dl_linear(w, "bias"), named_by_digest)
    assert read(named_by_digest, PLACE).header.source == "dictionary_learning"


def test_a_folder_of_several_dictionaries_asks_which(tmp_path):
    for name in ("a.pt", "b.pt"):
        torch.save(Weights().tensors(), tmp_path / name)
    assert "several dictionaries (a.pt, b.pt)" in refusal(tmp_path)


def test_our_own_file_with_a_header_that_lies(tmp_path):
    header = {"schema": 2, "architecture": "groupmax", "k": 5, "site": "resid_post.1"}
    header |= {"tokens": "all", "d_in": D, "d_sae": F}
    path = tmp_path / "d.safetensors"
    lies = [
        ({}, "not 5 equal groups"),
        ({"architecture": "gated"}, "holds tensors"),
        ({"architecture": "topk", "k": F + 1}, "k is 25"),
        ({"architecture": "relu", "groups": [5, 5]}, "do not add up"),
        ({"architecture": "relu", "d_in": 7}, "its header says"),
        ({"schema": 3}, "schema number"),
        ({"schema": None}, "schema number"),
        ({"invented": 1}, "invented"),
    ]
    for changed, told in lies:
        save_file(Weights().tensors(), path, {KEY: json.dumps(header | changed)})
        assert told in refusal(path, Hints())


def test_our_own_file_under_a_hint_of_another_place(tmp_path):
    from steerboard.dictionary.formats import convert

    built = made.saelens_standard(tmp_path)
    convert(built.path, tmp_path / "d.safetensors")
    assert "not to resid_post.2" in refusal(tmp_path / "d.safetensors", Hints(site="resid_post.2"))
    assert "not prefix" in refusal(tmp_path / "d.safetensors", Hints(tokens="prefix"))
    with pytest.raises(InvalidRequest, match=r"\.safetensors"):
        convert(built.path, tmp_path / "d.pt")


def test_an_older_stream_of_an_odd_protocol_is_no_warning(tmp_path):
    built = made.prisma_legacy(tmp_path)
    whole = built.path.read_bytes()
    at = whole.index(b"\x80\x02", 2)  # the second pickle of five
    for protocol in (4, 43):
        built.path.write_bytes(whole[:at] + bytes([0x80, protocol]) + whole[at + 2 :])
        try:
            read(built.path, PLACE)
        except DictionaryMisfit as error:
            assert "old.pt" in error.message
