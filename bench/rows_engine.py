"""Inside the engine, in this process: what edits cost, what a cached picture saves.

``L`` counts blocks from 1: the output of block L is edited, N - L blocks are behind it.
"""

import itertools
from collections.abc import Iterator

import numpy as np
import torch

from bench.clock import figure, in_turn, ratios, seconds
from bench.house import Plan, pictures
from bench.raw import NEURON
from bench.report import Line
from bench.stage import Stage, scaled
from steerboard.inprocess.kernel import DirectKernel, Row
from steerboard.inprocess.runner import LocalRunner
from steerboard.inprocess.served import ServedModel
from steerboard.spec.edits import Edit, Feature, Mask, Neuron, Scale, SteerSet
from steerboard.spec.requests import Attribute, Margin, Pixels, Prompts
from steerboard.spec.tensor import Tensor

FEATURES = 49_152
CLASSES = 40


def compare_steered(stage: Stage) -> Iterator[Line]:
    """A batch under edits of a wide ReLU dictionary over the same batch without; nothing cached."""
    size = stage.size
    block = scaled(8, len(stage.loaded(size.slider).tower.blocks)) - 1
    served = stage.build(Plan(size.slider, FEATURES, block))
    kernel, tensors = DirectKernel(cache_bytes=0), endless()
    plain = [Row(str(i), next(tensors)) for i in range(size.rows)]
    rng = np.random.default_rng(0)
    steered = [
        Row(row.image, row.pixels, edits(f"resid_post.{block}", rng, 1 + i % 8))
        for i, row in enumerate(plain)
    ]
    kernel.embed(served, plain)
    found = in_turn(
        {
            "steered": lambda: seconds(lambda: kernel.embed(served, steered)),
            "plain": lambda: seconds(lambda: kernel.embed(served, plain)),
        },
        size.rounds,
    )
    what = f"{size.rows} rows, 1 to 8 edits each of {FEATURES} features / unsteered"
    yield Line(
        f"steered {size.slider}", what, ratios(found["steered"], found["plain"]), at_most=1.05
    )


def compare_resteer(stage: Stage) -> Iterator[Line]:
    """A move on a cached picture over a full forward; at the last block's CLS too."""
    architecture = stage.size.slider
    served, kernel, tensors = stage.build(Plan(architecture)), DirectKernel(), endless()
    blocks, cached = len(served.loaded.tower.blocks), Row("cached", next(tensors))
    names = itertools.count()

    def full() -> float:
        row = Row(f"full {next(names)}", next(tensors))
        return seconds(lambda: kernel.embed(served, [row]))

    for layer in (*(scaled(one, blocks) for one in (4, 6, 8, 10, 11)), blocks):
        last, ms = layer == blocks, itertools.count(1)

        def again(layer: int = layer, last: bool = last, ms: "itertools.count[int]" = ms) -> float:
            change = neuron(f"resid_post.{layer - 1}", next(ms) / 1000, last)
            row = Row("cached", cached.pixels, change)
            return seconds(lambda: kernel.embed(served, [row]))

        again()
        found = in_turn({"again": again, "full": full}, max(5, stage.size.moves // 2))
        what = "last block's CLS" if last else f"L = {layer} of {blocks}"
        bound = 0.05 if last else (blocks - layer) / blocks + 0.1
        value = ratios(found["again"], found["full"])
        yield Line(
            f"re-steer {architecture}", f"{what}: a move / a full forward", value, at_most=bound
        )


def compare_attribute(stage: Stage) -> Iterator[Line]:
    """``Attribute`` by gradient on a cached picture over the forward of the part behind the site.

    A question of its own each time: another pair of classes, so no gradient is found in the cache.
    A random dictionary fires far more densely than a trained one, so one is made that fires as
    seldom as those; the dense ones are the worst case.
    """
    architecture = stage.size.slider
    for features, bias in ((8 * 768, -2.0), (FEATURES, -3.5), (FEATURES, -2.0)):
        layer = scaled(8, len(stage.loaded(architecture).tower.blocks))
        served = stage.build(Plan(architecture, features, layer - 1, bias))
        yield from _attribute(stage, served, features, layer)


def _attribute(stage: Stage, served: ServedModel, features: int, layer: int) -> Iterator[Line]:
    site = f"resid_post.{layer - 1}"
    architecture, kernel = stage.size.slider, DirectKernel()
    runner, pixels = LocalRunner({architecture: served}, kernel), pictures(1, 11)[0]
    pairs = itertools.permutations(range(CLASSES), 2)
    prompts = Prompts(prompts=tuple(f"thing {i}" for i in range(CLASSES)))
    picture = Pixels(tensor=Tensor.of(pixels))
    row, ms = Row("cached", torch.from_numpy(pixels)), itertools.count(1)

    def attribute() -> float:
        one, other = next(pairs)
        request = Attribute(
            model=architecture,
            images=(picture,),
            classifier=prompts,
            dictionary="book",
            targets=(Margin(index=one, against=other),),
        )
        return seconds(lambda: runner.attribute(request).one())

    def suffix() -> float:
        change = neuron(site, next(ms) / 1000)
        return seconds(lambda: kernel.embed(served, [Row("cached", row.pixels, change)]))

    attribute(), suffix()
    found = in_turn({"attribute": attribute, "suffix": suffix}, max(5, stage.size.moves // 2))
    runner.close()
    code = served.books["book"].encode(kernel.read(served, [row], site)[0])
    fire = float((code != 0).sum(1).float().mean())
    what = (
        f"gradient, {features} features of which {fire:.0f} fire at a token, L = {layer}, cached"
        " / the suffix's forward"
    )
    yield Line(
        f"attribute {architecture}",
        what,
        ratios(found["attribute"], found["suffix"]),
        at_most=2.5,
        details={"attribute_ms": 1e3 * figure(found["attribute"]).median},
    )


def compare_ablations(stage: Stage) -> Iterator[Line]:
    """64 exact ablations at the middle block over 64 full forwards in the best batch."""
    architecture = stage.size.slider
    blocks = len(stage.loaded(architecture).tower.blocks)
    site = f"resid_post.{blocks // 2 - 1}"
    served = stage.build(Plan(architecture, FEATURES, blocks // 2 - 1))
    kernel, tensors = DirectKernel(), endless()
    pixels, numbers = next(tensors), itertools.count()

    def ablations() -> float:
        start = 64 * next(numbers)
        rows = [Row("cached", pixels, SteerSet(edits=(off(site, start + i),))) for i in range(64)]
        return seconds(lambda: kernel.embed(served, rows))

    def forwards(batch: int) -> float:
        plain = DirectKernel(cache_bytes=0, batch=batch)
        rows = [Row(str(i), next(tensors)) for i in range(64)]
        return seconds(lambda: plain.embed(served, rows))

    kernel.embed(served, [Row("cached", pixels, SteerSet(edits=(off(site, 0),)))])
    found = in_turn(
        {
            "ablations": ablations,
            "forwards": lambda: min(forwards(batch) for batch in (8, 16, 32, 64)),
        },
        min(3, stage.size.rounds),
    )
    value = ratios(found["forwards"], found["ablations"])
    what = f"64 ablations at L = {blocks // 2} of {blocks}: times faster than 64 forwards"
    yield Line(f"ablations {architecture}", what, value, at_least=1.8)


def endless() -> Iterator[torch.Tensor]:
    """Preprocessed pictures, no two alike."""
    for seed in itertools.count(1000):
        yield torch.from_numpy(pictures(1, seed)[0])


def neuron(site: str, m: float, prefix: bool = False) -> SteerSet:
    mask = Mask(kind="prefix" if prefix else "all")
    return SteerSet(edits=(Edit(site=site, unit=Neuron(index=NEURON), op=Scale(m=m), mask=mask),))


def off(site: str, index: int) -> Edit:
    return Edit(site=site, unit=Feature(dictionary="book", index=index), op=Scale(m=-1))


def edits(site: str, rng: np.random.Generator, count: int) -> SteerSet:
    chosen = rng.choice(FEATURES, count, replace=False)
    return SteerSet(edits=tuple(off(site, int(f)) for f in chosen))
