"""Evidence is written over a Runner: over gRPC it is what it is in this process."""

from pathlib import Path

import pytest

import steerboard as sb
from services.inference.loading import load_runner
from steerboard.analysis.evidence.pictures import ManifestSet
from steerboard.analysis.evidence.run import Options, run_evidence
from steerboard.spec.recipe import Recipe
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
