"""The right dictionary passes; the same one paired wrongly is refused, and the table says why."""

from collections.abc import Mapping
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from steerboard.dictionary.gate import GateReport, examine, table
from steerboard.dictionary.native import Gate
from steerboard.dictionary.pairings import Rows
from steerboard.dictionary.quality import measure, quality, split_tokens
from steerboard.dictionary.sae import Sae
from steerboard.spec.capabilities import TokenSet
from steerboard.spec.errors import DictionaryMisfit

WIDTH = 24


def basis(seed: int) -> Tensor:
    source = torch.Generator().manual_seed(seed)
    return torch.linalg.qr(torch.randn(WIDTH, WIDTH, generator=source)).Q


def rows(seed: int, count: int = 600, mean: float = 0.0, massive: float = 1.0) -> Tensor:
    """Two active directions a row; one dimension perhaps many times larger than the others."""
    source = torch.Generator().manual_seed(seed + 100)
    which = torch.rand(count, WIDTH, generator=source).topk(2).indices
    code = torch.zeros(count, WIDTH).scatter(1, which, 1 + torch.rand(count, 2, generator=source))
    x = code @ basis(seed) + mean
    x[:, 0] *= massive
    return x


def sae(seed: int, mean: float = 0.0, tokens: TokenSet = "patches") -> Sae:
    return Sae(
        basis(seed).T.contiguous(),
        torch.zeros(WIDTH),
        basis(seed),
        torch.full((WIDTH,), mean),
        "topk",
        2,
        tokens=tokens,
    )


def site(prefix: int, patches: int, **made: float) -> Rows:
    return {"prefix": rows(prefix, 100, **made), "patches": rows(patches, **made)}


def report(
    book: Sae,
    stated: str = "resid_post.1",
    judge: Gate = "explained_variance",
    backbones: Mapping[str, Rows] | None = None,
    **made: float,
) -> GateReport:
    """Sites 0 to 2: patches made of bases 10, 11, 12; prefixes of 20, 21, 22."""
    sites = {f"resid_post.{i}": site(20 + i, 10 + i, **made) for i in range(3)}
    return examine("d", book, stated, sites[stated], sites, backbones, judge)


def better(found: GateReport) -> list[tuple[str, str]]:
    return [(t.kind, t.name) for t in found.tried if t.better]


def best(found: GateReport) -> tuple[str, str]:
    first = max((t for t in found.tried if t.better), key=lambda t: t.gain)
    return first.kind, first.name


def test_the_right_one_passes() -> None:
    found = report(sae(11))
    assert found.faults == () and better(found) == []
    assert [q.tokens for q in found.quality] == ["patches"]
    assert found.quality[0].explained_variance > 0.99
    found.check()


@pytest.mark.parametrize("stated", ["resid_post.0", "resid_post.2"])
def test_a_neighbouring_layer_is_found(stated: str) -> None:
    found = report(sae(11), stated)
    assert best(found) == ("site", "resid_post.1")
    with pytest.raises(DictionaryMisfit, match=r"resid_post.1 does better.*(?s:.*)<- better"):
        found.check()


def test_another_token_set_is_found() -> None:
    for tokens in ("prefix", "all"):
        found = report(sae(11, tokens=tokens))  # it was made for patches
        assert any("on prefix (floor" in fault for fault in found.faults)
    assert ("tokens", "patches") in better(report(sae(11, tokens="prefix")))
    assert ("tokens", "prefix") in better(report(sae(21, tokens="patches")))


def test_a_bias_that_is_not_taken_off_or_was_lost_is_found() -> None:
    book = sae(11, mean=5.0)
    assert report(book, mean=5.0).faults == ()
    kept = report(replace(book, subtract_bias=False), mean=5.0)
    assert ("input bias", "subtracted") in better(kept) and kept.faults
    lost = report(replace(book, b_dec=torch.zeros(WIDTH)), mean=5.0)
    assert ("input bias", "the mean of these activations") in better(lost) and lost.faults


@pytest.mark.parametrize("kind", ["layer_norm", "constant_norm_rescale"])
def test_a_lost_normalisation_is_found(kind: str) -> None:
    lengths = torch.rand(600, 1, generator=torch.Generator().manual_seed(0)).add(0.5)
    x = rows(11) * lengths
    plain = replace(sae(11), normalize=kind)
    scale, shift = plain.scale(x), plain.shift(x)
    normal = (x - shift) / scale
    # Exact above -5: all of a normalised row, and half of one that is not.
    book = replace(
        sae(3),
        W_enc=torch.eye(WIDTH),
        b_enc=torch.full((WIDTH,), 5.0),
        W_dec=torch.eye(WIDTH),
        b_dec=torch.full((WIDTH,), -5.0),
        architecture="relu",
        subtract_bias=False,
        normalize=kind,
    )
    assert float(normal.abs().max()) < 5.0  # within its linear range
    own = {"patches": x * 200}
    right = examine("d", book, "resid_post.1", own, {"resid_post.1": own})
    assert right.faults == ()
    wrong = examine("d", replace(book, normalize="none"), "resid_post.1", own, {})
    assert ("normalisation", kind) in better(wrong) and wrong.faults


def test_a_mean_and_scale_that_were_never_written_down_are_found() -> None:
    x = rows(11)
    scale = WIDTH**0.5 / x.norm(dim=1).mean()
    jump = replace(
        sae(11), architecture="jumprelu", k=0, threshold=torch.full((WIDTH,), float(scale) * 0.9)
    )
    own = {"patches": x}
    found = examine("d", jump, "resid_post.1", own, {"resid_post.1": own})
    assert ("normalisation", "one scale for all tokens") in better(found) and found.faults


def test_another_backbone_is_refused_and_the_right_one_named() -> None:
    found = report(sae(31), backbones={"other": site(20, 31), "third": site(20, 32)})
    assert best(found) == ("backbone", "other")
    assert any("backbone other does better" in fault for fault in found.faults)
    assert "backbone: no other model was named" in table(report(sae(31)))


def test_a_massive_dimension_alone_does_not_pass() -> None:
    one = torch.zeros(2, WIDTH)
    one[0, 0], one[1, 0] = 1, -1
    lazy = Sae(one.T.contiguous(), torch.zeros(2), one, torch.zeros(WIDTH), tokens="patches")
    found = report(lazy, massive=100.0)
    assert found.quality[0].explained_variance > 0.95
    assert any("massive" in fault for fault in found.faults)


def test_directions_are_judged_by_cosine() -> None:
    book = replace(sae(11), W_dec=3 * basis(11))  # its length was never trained
    assert any("explained variance" in fault for fault in report(book).faults)
    assert report(book, judge="cosine").faults == ()
    away = report(book, "resid_post.2", judge="cosine")
    assert any("cosine" in fault for fault in away.faults)
    assert ("site", "resid_post.1") in better(away)


def test_a_denser_reading_is_no_better_one(monkeypatch: pytest.MonkeyPatch) -> None:
    limit = torch.full((WIDTH,), 0.8)
    book = replace(sae(11), architecture="jumprelu", k=0, threshold=limit)
    noisy = {"patches": rows(11) + 0.3 * torch.randn(600, WIDTH)}
    scaled = ("normalisation", "one scale for all tokens")  # lets the noise through, and fits it

    def found() -> GateReport:
        return examine("d", book, "resid_post.1", noisy, {})

    assert better(found()) == [] and found().faults == ()
    monkeypatch.setattr("steerboard.dictionary.gate.FOR_DENSER", 0.0)
    monkeypatch.setattr("steerboard.dictionary.gate.READING", 0.0)
    assert scaled in better(found())


def test_what_cannot_be_measured_says_why() -> None:
    with pytest.raises(DictionaryMisfit, match=r"24 wide, .* of this model is 8 wide"):
        examine("d", sae(1), "resid_post.1", {"patches": torch.randn(9, 8)}, {})
    with pytest.raises(DictionaryMisfit, match="covers prefix tokens, of which this model has"):
        examine("d", sae(1, tokens="prefix"), "resid_post.1", {"patches": rows(1)}, {})


def test_quality_is_what_numpy_says() -> None:
    x, book = rows(12).double(), sae(11)
    rebuilt = book.decode(book.encode(x.float()), x.float()).double().numpy()
    found = quality(book, x.float(), "patches")
    left, spread = ((x.numpy() - rebuilt) ** 2).sum(0), ((x - x.mean(0)) ** 2).sum(0).numpy()
    assert found.explained_variance == pytest.approx(1 - left.sum() / spread.sum(), abs=1e-5)
    assert found.per_dimension == pytest.approx((1 - left / spread).mean(), abs=1e-5)
    assert measure(book, x.float(), "patches").score == pytest.approx(
        (1 - left / spread).clip(-1).mean(), abs=1e-5
    )


def test_pieces_make_no_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    book, x = sae(11), rows(11)
    whole = quality(book, x, "patches")
    monkeypatch.setattr("steerboard.dictionary.quality.CELLS", 7 * WIDTH)
    pieces = quality(book, x, "patches")
    assert whole.model_dump() == pytest.approx(pieces.model_dump(), abs=1e-5)


def test_tokens_part_into_prefix_and_patches() -> None:
    x = torch.arange(24.0).view(2, 4, 3)
    parts = split_tokens(x, "all", 1)
    assert parts["prefix"].tolist() == x[:, 0].tolist()
    assert len(parts["patches"]) == 6
    assert set(split_tokens(x, "patches", 1)) == {"patches"}
    assert set(split_tokens(x, "all", 0)) == {"patches"}
