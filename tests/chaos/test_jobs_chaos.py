"""A set while workers are killed with -9 at random, Redis and inference once: as if left alone.

``make chaos`` does the same with 10,000 pictures of Emojiland.
"""

import pytest

from bench.jobs_chaos import Told, compared, distinct, question, run
from steerboard.spec.requests import Prompts
from tests.attribution_service.crew import Crew

PROMPTS = Prompts(prompts=("cat", "dog", "horse", "boat"))


@pytest.mark.timeout(1800)
def test_every_picture_once_as_in_an_undisturbed_run(crew: Crew, tiny_images: list[bytes]) -> None:
    images = distinct(tiny_images, 800)
    spec = question("tiny", "middle", PROMPTS, images)
    told = run(crew, spec, images, seed=7, pause_s=(0.2, 1.0), limit_s=900)
    assert told.holds, told
    assert sum(told.kills.values()) >= 3, told


def test_the_comparison_can_fail(tiny_images: list[bytes]) -> None:
    images = distinct(tiny_images, 3)
    spec = question("tiny", "middle", PROMPTS, images)
    row = {"features": [1, 2], "scores": [2.0, 1.0]}
    whole = [{"pictures": 3}, *({"image": i.sha256, **row} for i in spec.images)]
    assert compared(spec, whole, whole) == Told(3, byte_identical=3)
    for bad in (
        whole[:-1],
        [*whole, whole[-1]],
        [whole[0], whole[2], whole[1], whole[3]],
        [*whole[:3], {**whole[3], "scores": [2.0, 1.1]}],
        [*whole[:3], {**whole[3], "error": "no"}],
    ):
        assert not compared(spec, whole, bad).holds
