"""A whole set over one stream: ``stream``, pictures a second of JPEGs beside the model alone."""

import io
import os
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
from PIL import Image

from bench import children
from bench.clients import OverGrpc
from bench.clock import figure, in_turn, ratios
from bench.raw import PROMPTS, Classifier
from bench.report import Line
from bench.rows_serving import best_batch, raw_speed
from bench.stage import Stage
from steerboard.api.client import connect
from steerboard.model.load import LoadedModel
from steerboard.spec.requests import Encoded, Predict, Prompts
from steerboard.spec.runner import Runner

SIZE = (320, 240)
ROUNDS = 3  # of so many pictures each
A_QUESTION = 8  # pictures


def compare_stream(stage: Stage) -> Iterator[Line]:
    """Pictures a second of ``RunStream``, each JPEG new; and what the same cores do by themselves.

    Those decode first, on all cores, and then compute in the best batch: the times add up.
    """
    for architecture in stage.size.streamed:
        with children.starting(architecture, stage.threads, there=stage.there) as coming:
            drawn, model = jpegs(stage.size.streamed_pictures), stage.loaded(architecture)
            server = coming.ready()
            yield from _stream(stage, architecture, server, model, drawn)


def _stream(
    stage: Stage, architecture: str, server: OverGrpc, model: LoadedModel, drawn: list[bytes]
) -> Iterator[Line]:
    raw, runner = Classifier(model), connect(server.address, None, 300.0)
    batch = best_batch(raw, stage.size.tried, server.size)
    sets = (numbered(drawn, i) for i in range(2 * ROUNDS))
    ask = partial(streamed, runner, architecture)
    ask(numbered(drawn[:64], -1))  # Once before anything is counted: batches find their size.
    calls: dict[str, Callable[[], float]] = {
        "stream": lambda: ask(next(sets)),
        "model alone": lambda: raw_speed(raw, batch, server.size),
        "decoding alone": lambda: decoded(model, next(sets)),
    }
    found = in_turn(calls, min(ROUNDS, stage.size.rounds))
    runner.close()
    row = f"stream {architecture}, {len(drawn)} JPEGs"
    for name, values in found.items():
        yield Line(row, f"{name}, pictures a second", figure(values), unit="1/s")
    both = zip(found["model alone"], found["decoding alone"], strict=True)
    alone = [1 / (1 / model + 1 / decoding) for model, decoding in both]
    yield Line(row, "stream / decoding and then the model", ratios(found["stream"], alone))


def jpegs(count: int) -> list[bytes]:
    """Encoded pictures with some structure, no two alike."""
    draw, found = np.random.default_rng(0), list[bytes]()
    for _ in range(count):
        coarse = draw.integers(0, 256, (24, 32, 3), np.uint8)
        held = io.BytesIO()
        Image.fromarray(coarse).resize(SIZE, Image.Resampling.BICUBIC).save(held, "JPEG")
        found.append(held.getvalue())
    return found


def numbered(drawn: Sequence[bytes], number: int) -> list[bytes]:
    """The same pictures as files that nobody has seen: what is behind a JPEG's end is not read."""
    return [data + number.to_bytes(4, signed=True) for data in drawn]


def streamed(runner: Runner, architecture: str, files: Sequence[bytes]) -> float:
    """Pictures a second of one stream of questions; every picture must be answered."""
    prompts = Prompts(prompts=PROMPTS, template="{}")
    questions = (
        Predict(
            model=architecture,
            images=tuple(Encoded(data=data) for data in files[i : i + A_QUESTION]),
            classifier=prompts,
        )
        for i in range(0, len(files), A_QUESTION)
    )
    begun, count = time.perf_counter(), 0
    for _, answer in runner.stream(questions):
        if isinstance(answer, Exception):
            raise answer
        count += len(answer.results())
    if count != len(files):
        raise RuntimeError(f"{count} answers for {len(files)} pictures")
    return count / (time.perf_counter() - begun)


def decoded(model: LoadedModel, files: Sequence[bytes]) -> float:
    """Pictures a second that all cores bring to the model's size."""
    begun = time.perf_counter()
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        count = sum(1 for _ in pool.map(model.pixels, files))
    return count / (time.perf_counter() - begun)
