"""Evidence is written over a Runner: over gRPC it is what it is in this process."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

import steerboard as sb
from services.inference.loading import Hosting, load_runner
from steerboard.analysis.evidence.answers import identity_probe
from steerboard.analysis.evidence.pictures import ManifestSet, digest_of
from steerboard.analysis.evidence.run import Options, run_evidence
from steerboard.inprocess.kept import LEAST_BYTES, Kept
from steerboard.spec.errors import ImageNotCached
from steerboard.spec.recipe import Recipe
from steerboard.spec.requests import Predict, Steer
from steerboard.spec.runner import Runner
from tests.inference.conftest import Hosted


def test_a_run_over_grpc_is_the_run_in_this_process(
    runner: Runner, recipe: Recipe, pictures: ManifestSet, tiny_house: Path
) -> None:
    here, rows = run_evidence(runner, recipe, pictures, Options(vocabulary=("red", "green")))
    hosted = Hosted(lambda: load_runner(tiny_house))
    remote = sb.connect(hosted.address)
    try:
        there, others = run_evidence(remote, recipe, pictures, Options(vocabulary=("red", "green")))
    finally:
        remote.close()
        hosted.stop()
    assert [(r.key, r.before, r.after) for r in rows] == [
        (r.key, r.before, r.after) for r in others
    ]
    assert there.overall == here.overall and there.controls == here.controls
    assert there.ripple.kl.mean == pytest.approx(here.ripple.kl.mean, abs=1e-5)
    assert there.downstream[0].forecasts == here.downstream[0].forecasts


def test_a_set_that_was_kept_is_asked_for_by_digest_alone(
    runner: Runner, recipe: Recipe, pictures: ManifestSet, tiny_house: Path, tmp_path: Path
) -> None:
    exact, rows = run_evidence(runner, recipe, pictures, Options(right=4, encoded=2))
    probe, steer = identity_probe(16), recipe.steer
    digests = tuple(sb.Digest(sha256=digest_of(p)) for p in pictures)
    question = Steer(model="tiny", images=digests, classifier=probe, steer_sets=(steer,))
    with served_with(tiny_house, tmp_path) as remote:
        kept, others = run_evidence(remote, recipe, pictures, Options(right=4, encoded=2))
        first = remote.steer(question).results()
    with served_with(tiny_house, tmp_path) as remote:  # which has never seen a picture
        again = remote.steer(question).results()
        with pytest.raises(ImageNotCached):
            remote.predict(Predict(model="tiny", images=digests, classifier=probe))
    for one, two in zip(first, again, strict=True):
        np.testing.assert_allclose(one.clean.logits, two.clean.logits, atol=1e-6)
        np.testing.assert_allclose(one.steered[0].logits, two.steered[0].logits, atol=1e-6)
    assert [(r.key, r.before, r.after) for r in rows] == [
        (r.key, r.before, r.after) for r in others
    ]
    assert kept.overall == exact.overall
    assert any("float16" in line for line in kept.left_out)
    assert not any("float16" in line for line in exact.left_out)


@contextmanager
def served_with(house: Path, folder: Path) -> Iterator[Runner]:
    """A new server whose activations lie on disk."""
    kept = Kept(folder / "kept", LEAST_BYTES)
    hosted = Hosted(lambda: load_runner(house, Hosting(kept=kept)))
    remote = sb.connect(hosted.address)
    try:
        yield remote
    finally:
        remote.close()
        hosted.stop()
        kept.close()
