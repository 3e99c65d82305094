"""Every format, built key by key, against a forward pass of its own in numpy."""

import numpy as np
import pytest
import torch
from made import MAKERS, D, F

from steerboard.dictionary.formats import convert, read
from steerboard.dictionary.native import read as read_native


def activations(rows=200):
    return np.random.default_rng(9).normal(size=(rows, D)) * 1.5 + 0.7


@pytest.mark.parametrize("make", MAKERS, ids=lambda make: make.__name__)
def test_gives_the_codes_and_the_reconstruction_of_its_own_project(make, tmp_path):
    made = make(tmp_path)
    file, x = read(made.path, made.hints), activations()
    codes, rebuilt = made.forward(x)
    x = torch.from_numpy(x).float()
    z = file.sae.encode(x)
    np.testing.assert_allclose(z, codes, atol=1e-5, rtol=1e-5)
    np.testing.assert_allclose(file.sae.decode(z, x), rebuilt, atol=2e-5, rtol=1e-5)
    assert (codes != 0).any() and (codes == 0).any()
    header = file.header
    assert (header.site, header.tokens, header.gate) == (made.site, made.tokens, made.gate)
    assert (header.d_in, header.d_sae) == (D, F)


@pytest.mark.parametrize("make", MAKERS, ids=lambda make: make.__name__)
def test_converted_it_is_the_same_dictionary(make, tmp_path):
    made = make(tmp_path)
    before = read(made.path, made.hints)
    after = convert(made.path, tmp_path / "own" / "d.safetensors", made.hints)
    x = torch.from_numpy(activations()).float()
    assert after.header == before.header and after.header.schema_ == 2
    assert torch.equal(after.sae.encode(x), before.sae.encode(x))
    again = read(tmp_path / "own" / "d.safetensors")
    assert again.fingerprint == read_native(tmp_path / "own" / "d.safetensors").fingerprint


@pytest.mark.parametrize("make", MAKERS, ids=lambda make: make.__name__)
def test_an_effective_decoder_row_is_the_derivative_of_the_reconstruction(make, tmp_path):
    """Stepping a code in the other project's own forward pass is not possible; ours must agree."""
    made = make(tmp_path)
    sae = read(made.path, made.hints).sae
    x = torch.from_numpy(activations(8)).float()
    z = sae.encode(x)
    feature = int((z != 0).sum(0).argmax())
    moved = z.clone()
    moved[:, feature] += 1
    step = sae.decode(moved, x) - sae.decode(z, x)
    torch.testing.assert_close(step, sae.W_dec[feature] * sae.scale(x), atol=1e-4, rtol=1e-4)
