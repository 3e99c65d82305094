"""The row of a stream asks about new pictures, and counts none that was not answered."""

import hashlib
import sys

import numpy as np
import pytest

from bench import children
from bench.rows_stream import A_QUESTION, jpegs, numbered, streamed
from bench.stage import QUICK, Stage
from steerboard.model.images import decode
from steerboard.spec.errors import BadImage


def digests(files):
    return {hashlib.sha256(data).hexdigest() for data in files}


def test_each_round_has_files_that_nobody_has_seen_and_the_same_pictures():
    drawn = jpegs(5)
    rounds = [numbered(drawn, i) for i in range(3)]
    assert len(set().union(*map(digests, rounds))) == 15
    for one, other in zip(drawn, rounds[2], strict=True):
        assert np.array_equal(decode(one), decode(other))


class Lacking:
    """A runner that loses what ``lost`` says of each stream."""

    def __init__(self, runner, lost):
        self._runner, self._lost = runner, lost

    def stream(self, questions):
        for number, answer in self._runner.stream(questions):
            if number != self._lost:
                yield number, answer


def test_pictures_of_a_stream_count_when_all_are_answered(demo_runner):
    files = jpegs(A_QUESTION + 3)
    assert streamed(demo_runner, "emojiland", files) > 0
    with pytest.raises(RuntimeError, match=f"{A_QUESTION} answers for {len(files)}"):
        streamed(Lacking(demo_runner, 1), "emojiland", files)
    with pytest.raises(BadImage):
        streamed(demo_runner, "emojiland", [*files, b"no picture"])


def test_a_server_that_does_not_come_up_is_missing_and_its_last_words_are_told():
    dying = [sys.executable, "-c", "print('there is no model'); raise SystemExit(3)"]
    stage = Stage(QUICK, 1, sys.executable)
    with children.running(dying) as child:
        found = stage._ready({"mosec": children.Coming(child, None, lambda: False)})
    assert found == {} and "there is no model" in stage.missing["mosec"]


def test_a_server_that_comes_up_is_asked():
    waiting = [sys.executable, "-c", "input()"]
    with children.running(waiting) as child:
        answers = iter([False, True])
        assert children.Coming(child, "client", lambda: next(answers)).ready() == "client"
    assert child.process.poll() is not None
