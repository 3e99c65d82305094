"""What people get wrong about each format: every trap sprung once, and what catches it."""

import json

import made
import numpy as np
import pytest
import torch
from made import D, F, Weights, keep_top, relu, v5, v6
from safetensors.torch import load_file, save_file

from steerboard.dictionary.formats import Hints, read
from steerboard.spec.errors import DictionaryMisfit

X = np.random.default_rng(9).normal(size=(100, D)) * 1.5 + 0.7
PLACE = Hints(site="resid_post.1", tokens="patches")


def codes(path, hints=None):
    file = read(path, hints or Hints())
    return file.sae.encode(torch.from_numpy(X).float()).numpy()


def settings(folder, **changed):
    """A made SAELens folder with some of its settings changed."""
    path = folder / "cfg.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changed))
    return folder


def refusal(path, hints=None):
    with pytest.raises(DictionaryMisfit) as caught:
        read(path, hints or Hints())
    return caught.value.message


def test_layer_norm_divides_by_the_unbiased_spread_and_adds_eps_to_it(tmp_path):
    w = Weights(1)
    built = made.saelens_layer_norm(tmp_path)

    def with_spread(spread):
        return relu(((X - X.mean(1, keepdims=True)) / spread - w.b_dec) @ w.W_enc + w.b_enc)

    right = with_spread(X.std(1, ddof=1, keepdims=True) + 1e-5)
    biased = with_spread(X.std(1, ddof=0, keepdims=True) + 1e-5)
    found = codes(built.path)
    np.testing.assert_allclose(found, right, atol=1e-5)
    assert np.abs(found - biased).max() > 0.01


def test_the_bias_is_taken_off_after_normalising(tmp_path):
    w = Weights(1)
    found = codes(made.saelens_layer_norm(tmp_path).path)
    wrong = relu(made.layer_norm(X - w.b_dec)[0] @ w.W_enc + w.b_enc)
    assert np.abs(found - wrong).max() > 0.01


def test_prisma_normalises_even_where_its_settings_are_silent(tmp_path):
    built = made.prisma_beside(tmp_path)
    config = {k: v for k, v in made.PRISMA.items() if k != "normalize_activations"}
    (tmp_path / "config.json").write_text(json.dumps(config))
    np.testing.assert_allclose(codes(built.path), built.forward(X)[0], atol=1e-5)


@pytest.mark.parametrize("config", [v5(activation_fn_str="topk"), v6("topk"), v6("topk", k=None)])
def test_top_k_without_k_is_refused_and_not_plain_relu(tmp_path, config):
    folder = made.saelens_folder(tmp_path / "sae", config, Weights().tensors())
    assert "k is None" in refusal(folder)


@pytest.mark.parametrize("k", [0, -3, 2.5, True, "12", 10**9])
def test_a_k_that_is_no_count_is_refused(tmp_path, k):
    folder = made.saelens_folder(tmp_path / "sae", v6("topk", k=k), Weights().tensors())
    assert "k is" in refusal(folder)


@pytest.mark.parametrize("make", [made.saev_1_by_class, made.saev_3, made.attributing_clip_old])
def test_signed_top_k_keeps_negative_values(tmp_path, make):
    built = make(tmp_path)
    assert read(built.path, built.hints).sae.signed
    if make is not made.saev_1_by_class:  # 18 of 24 reach below zero
        assert (codes(built.path, built.hints) < 0).any()


def test_saev_before_and_after_it_stopped_taking_the_bias_off(tmp_path):
    """The same weights under an old and a new header are two dictionaries."""
    w, old, new = Weights(30), tmp_path / "old", tmp_path / "new"
    for folder in (old, new):
        folder.mkdir()
    first = made.saev_first(old)
    header = {"schema": 2, "cfg": {"activation": {"cls": "Relu", "params": {}}}, "lib": "0.2"}
    second = made.saev(new, header, w.forward(relu, bias=False), w)
    with_bias, without = codes(first.path, first.hints), codes(second.path, second.hints)
    np.testing.assert_allclose(with_bias, first.forward(X)[0], atol=1e-5)
    np.testing.assert_allclose(without, second.forward(X)[0], atol=1e-5)
    assert np.abs(with_bias - without).max() > 0.1


def test_of_a_header_between_the_generations_a_side_car_decides(tmp_path):
    built = made.saev_1_by_config(tmp_path)
    (tmp_path / "sae.json").write_text(json.dumps({"subtract_bias": False}))
    expected = Weights(33).forward(relu, bias=False)(X)[0]
    np.testing.assert_allclose(codes(built.path, built.hints), expected, atol=1e-5)


def test_saev_headers_that_are_not_known_are_refused(tmp_path):
    built = made.saev(tmp_path, {"schema": 6, "cfg": {}}, None, Weights())
    assert "schema 6" in refusal(built.path, built.hints)
    header = {"schema": 3, "cfg": {"activation": {"cls": "BatchTopK", "params": {}}}}
    built = made.saev(tmp_path, header, None, Weights())
    assert "activation.threshold is missing" in refusal(built.path, built.hints)


def test_batch_top_k_without_its_threshold_is_refused(tmp_path):
    folder = made.saelens_folder(tmp_path / "sae", v6("batchtopk", k=4.0), Weights().tensors())
    assert "topk_threshold is missing" in refusal(folder)
    built = made.dl_batchtopk(tmp_path)
    saved = torch.load(tmp_path / "ae.pt")
    torch.save(saved | {"threshold": torch.tensor(-1.0)}, tmp_path / "ae.pt")
    assert "training never set it" in refusal(built.path, built.hints)


def test_scaled_training_without_the_scale_is_refused(tmp_path):
    built = made.saelens_scaled(tmp_path)
    (built.path / "activation_scaler.json").unlink()
    assert "activation_scaler.json" in refusal(built.path)


def test_an_old_bool_means_scaling(tmp_path):
    config = v5(normalize_activations=True)
    folder = made.saelens_folder(tmp_path / "sae", config, Weights().tensors())
    assert "activation_scaler.json" in refusal(folder)
    settings(folder, normalize_activations=None)
    np.testing.assert_allclose(codes(folder), Weights().forward(relu)(X)[0], atol=1e-5)


def test_a_scaling_factor_of_ones_is_nothing_and_another_must_be_announced(tmp_path):
    w = Weights(0)
    more = {"scaling_factor": torch.ones(F)}
    folder = made.saelens_folder(tmp_path / "ones", v5(), w.tensors() | more)
    np.testing.assert_allclose(codes(folder), w.forward(relu)(X)[0], atol=1e-5)
    factor = torch.linspace(0.5, 2.0, F)
    for name in ("scaling_factor", "finetuning_scaling_factor"):  # before version 3, and since
        folder = made.saelens_folder(tmp_path / name, v5(), w.tensors() | {name: factor})
        assert "(finetuning_scaling_factor)" in refusal(folder)
        sae = read(settings(folder, finetuning_scaling_factor=True)).sae
        np.testing.assert_allclose(sae.W_dec, w.W_dec * factor[:, None].numpy(), rtol=1e-6)


@pytest.mark.parametrize(
    ("architecture", "activation"),
    [("gated", "tanh-relu"), ("jumprelu", "topk"), ("topk", "relu"), ("standard", "gelu")],
)
def test_an_activation_that_the_architecture_does_not_have_is_refused(
    tmp_path, architecture, activation
):
    """SAELens runs what the two say together; the architecture alone would be another code."""
    config = v5(
        architecture=architecture, activation_fn_str=activation, activation_fn_kwargs={"k": 4}
    )
    w = Weights(0, **made.GATED) if architecture == "gated" else Weights()
    folder = made.saelens_folder(tmp_path / "sae", config, w.tensors())
    assert repr(activation) in refusal(folder)


def test_overcomplete_needs_what_its_state_dict_does_not_hold(tmp_path):
    built = made.overcomplete_batchtopk(tmp_path)
    side = tmp_path / "model.json"
    for lacking in ("arch", "running_threshold", "normalization"):
        full = {"arch": "batchtopk", "running_threshold": 0.8, "normalization": "identity"}
        side.write_text(json.dumps({k: v for k, v in full.items() if k != lacking}))
        assert "side-car" in refusal(built.path, built.hints)
    side.write_text(json.dumps({"arch": "topk", "normalization": "l2"}))
    assert "top_k is None" in refusal(built.path, built.hints)


def test_overcomplete_keeps_what_equals_its_threshold(tmp_path):
    """``z >= t`` there, ``p > t`` here: a code exactly on the threshold tells them apart."""
    tensors = {"encoder.weight": torch.eye(D).repeat(4, 1), "dictionary._weights": torch.ones(F, D)}
    side = {"arch": "batchtopk", "running_threshold": 0.5, "normalization": "identity"}
    built = made.overcomplete(tmp_path, tensors, side, None)
    sae = read(built.path, built.hints).sae
    assert (sae.encode(torch.full((1, D), 0.5)) == 0.5).all()
    assert (sae.encode(torch.full((1, D), 0.4999)) == 0).all()


def test_attributing_clip_without_its_yaml_is_refused(tmp_path):
    built = made.attributing_clip_old(tmp_path)
    (tmp_path / "last.yaml").unlink()
    assert "sae_k" in refusal(built.path)


def test_msae_under_another_name_is_refused(tmp_path):
    built = made.msae_topk(tmp_path)
    assert "name it was saved under" in refusal(built.path.rename(tmp_path / "mine.pt"))


def test_msae_soft_cap_bounds_the_code(tmp_path):
    built = made.msae_topk(tmp_path)
    assert codes(built.path).max() <= 1.5
    other = tmp_path / built.path.name.replace("1.5", "0.0")
    assert codes(built.path.rename(other)).max() > 1.5


def test_tensors_that_nobody_asked_for_are_refused(tmp_path):
    more = {"W_other": torch.ones(3)}
    folder = made.saelens_folder(tmp_path / "sae", v6("standard"), Weights().tensors() | more)
    assert "W_other" in refusal(folder)


@pytest.mark.parametrize(
    ("architecture", "named"),
    [
        ("transcoder", "transcoder"),
        ("skip_transcoder", "skip_transcoder"),
        ("jumprelu_transcoder", "jumprelu_transcoder"),
        ("jumprelu_skip_transcoder", "jumprelu_skip_transcoder"),
        ("crosscoder", "crosscoder"),
        ("temporal", "temporal"),
    ],
)
def test_what_is_no_dictionary_of_one_site_is_refused_by_name(tmp_path, architecture, named):
    folder = made.saelens_folder(tmp_path / "sae", v6(architecture), Weights().tensors())
    assert named in refusal(folder)


def test_transcoders_and_gates_of_other_projects_are_refused_by_name(tmp_path):
    config = made.PRISMA | {"is_transcoder": True}
    torch.save(Weights().tensors(), tmp_path / "weights.pt")
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert "transcoder" in refusal(tmp_path)
    built = made.sparsify_topk(tmp_path)
    path = built.path / "cfg.json"
    for word in ("transcode", "skip_connection"):
        path.write_text(json.dumps({"k": 5, "d_in": D, "activation": "topk", word: True}))
        assert "transcoder" in refusal(built.path, built.hints)
    gated = {"config": made.PATCH, "state_dict": Weights(0, **made.GATED).tensors()}
    torch.save(gated, tmp_path / "gated.pt")
    assert "gated PatchSAE" in refusal(tmp_path / "gated.pt")


def test_encoders_that_are_not_linear_are_refused(tmp_path):
    w = made.oc_weights(50)
    tensors = made.oc_tensors(w) | {"encoder.mlp_blocks.0.0.weight": torch.ones(D, D)}
    side = {"arch": "topk", "top_k": 5, "normalization": "l2"}
    built = made.overcomplete(tmp_path, tensors, side, None)
    assert "not linear" in refusal(built.path, built.hints)
    tensors = made.oc_tensors(w) | {"encoder.final_block.1.running_mean": torch.ones(F)}
    built = made.overcomplete(tmp_path, tensors, side, None)
    assert "not linear" in refusal(built.path, built.hints)


@pytest.mark.parametrize(
    "hook", ["hook_mlp_out", "hook_attn_out", "hook_resid_mid", "ln2.hook_normalized"]
)
def test_a_hook_that_is_no_site_is_named(tmp_path, hook):
    config = v6("standard", metadata={"hook_name": f"blocks.3.{hook}"})
    folder = made.saelens_folder(tmp_path / "sae", config, Weights().tensors())
    assert f"blocks.3.{hook}" in refusal(folder, Hints(site="resid_post.3"))


def test_a_hint_that_contradicts_the_file_is_refused(tmp_path):
    built = made.prisma_pickled(tmp_path)
    assert "the hint says resid_post.2" in refusal(built.path, Hints(site="resid_post.2"))
    assert "tokens prefix" in refusal(built.path, Hints(tokens="patches"))


def test_one_head_of_a_model_is_refused(tmp_path):
    config = v6("standard", metadata={"hook_name": "blocks.3.attn.hook_z", "hook_head_index": 2})
    folder = made.saelens_folder(tmp_path / "sae", config, Weights().tensors())
    assert "one attention head" in refusal(folder)
    torch.save(Weights().tensors(), tmp_path / "weights.pt")
    settings = made.PRISMA | {"hook_point_head_index": 2}
    (tmp_path / "config.json").write_text(json.dumps(settings))
    assert "one attention head" in refusal(tmp_path)


def test_bare_weights_do_not_pass_for_any_of_the_projects_they_fit(tmp_path):
    torch.save(Weights().tensors(), tmp_path / "sae_weights.pt")
    assert "keep the project's own" in refusal(tmp_path / "sae_weights.pt", PLACE)
    w = Weights()
    torch.save(made.dl_linear(w, "b_dec") | {"k": torch.tensor(3)}, tmp_path / "ae.pt")
    assert "trainer.dict_class" in refusal(tmp_path / "ae.pt", PLACE)


def test_dictionary_learning_without_settings_where_the_tensors_leave_no_choice(tmp_path):
    built = made.dl_gated(tmp_path)
    (tmp_path / "config.json").unlink()
    np.testing.assert_allclose(
        codes(tmp_path / "ae.pt", built.hints), built.forward(X)[0], atol=1e-5
    )


def test_widths_in_settings_must_be_those_of_the_tensors(tmp_path):
    built = made.saelens_standard(tmp_path)
    assert "d_sae = 25" in refusal(settings(built.path, d_sae=F + 1))
    assert "d_in = 7" in refusal(settings(built.path, d_in=D + 1, d_sae=F))


def test_half_precision_is_read_as_it_is(tmp_path):
    built = made.saelens_standard(tmp_path)
    path = built.path / "sae_weights.safetensors"
    save_file({k: v.bfloat16() for k, v in load_file(path).items()}, path)
    file = read(built.path)
    assert file.sae.W_enc.dtype == torch.float32
    np.testing.assert_allclose(codes(built.path), built.forward(X)[0], atol=0.1)


def test_a_matryoshka_dictionary_decodes_as_its_last_prefix(tmp_path):
    built = made.dl_matryoshka(tmp_path)
    file = read(built.path, built.hints)
    assert file.header.groups == (6, 18) and file.sae.groups == (6, 18)
    w = Weights(76)
    more = {"topk_threshold": torch.tensor(0.4, dtype=torch.float64)}
    config = v6("matryoshka_batchtopk", k=4.0, matryoshka_widths=[6, 12])
    folder = made.saelens_folder(tmp_path / "sae", config, w.tensors() | more)
    assert read(folder).header.groups == (6, 6, 12)


def test_abs_top_k_goes_by_magnitude(tmp_path):
    w = Weights(77)
    folder = made.saelens_folder(tmp_path / "sae", v6("abstopk", k=4), w.tensors())
    expected = w.forward(lambda p: keep_top(p, 4, np.abs))(X)[0]
    np.testing.assert_allclose(codes(folder), expected, atol=1e-5)
    assert (expected < 0).any()


def test_layer_norm_adds_eps_on_the_way_in_and_not_on_the_way_out(tmp_path):
    """Tokens that hardly vary show it: the spread is then no larger than eps."""
    w, sae = Weights(1), read(made.saelens_layer_norm(tmp_path).path).sae
    x = 1 + X * 1e-5
    wide = torch.from_numpy(x)
    z = sae.to(torch.float64).encode(wide)
    np.testing.assert_allclose(z, w.forward(relu, made.layer_norm)(x)[0], atol=1e-5)
    back = sae.to(torch.float64).decode(z, wide) - wide.mean(1, keepdim=True)
    spread = x.std(1, ddof=1, keepdims=True)
    np.testing.assert_allclose(
        back, (z.numpy() @ w.W_dec + w.b_dec) * spread, rtol=1e-4, atol=1e-12
    )
