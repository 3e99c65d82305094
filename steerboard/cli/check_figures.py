"""The figures of the check that are no rates: dictionaries, faithfulness, identity, speed."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from steerboard.analysis.faithfulness import faithfulness
from steerboard.analysis.flip import says
from steerboard.analysis.shortcut_tasks import BATCH, Bench
from steerboard.spec.capabilities import DictionaryInfo, ModelInfo
from steerboard.spec.edits import SteerSet, scale
from steerboard.spec.requests import Attribute, Encode, Encoded, Steer

IMAGES = 200
PICTURES, STRENGTHS = 8, (-1.0, -0.6, -0.2, 0.3, 1.0)  # of the slider moves that are timed
FORWARDS = 40
SLACK_MS = 10.0


@dataclass(frozen=True)
class Figure:
    """A number, how to write it, and its bound."""

    name: str
    value: float
    text: str
    at_least: float | None = None
    at_most: float | None = None

    @property
    def passed(self) -> bool | None:
        """Whether the bound is kept; None without one."""
        if self.at_least is None and self.at_most is None:
            return None
        low = self.at_least is None or self.value >= self.at_least
        return bool(low and (self.at_most is None or self.value <= self.at_most))


def figures(
    bench: Bench,
    info: ModelInfo,
    images: Sequence[Encoded],
    held_out: Sequence[Encoded],
    config: Path | None,
) -> Iterator[Figure]:
    """All of them; ``images`` have no shortcut, ``held_out`` are all of the split."""
    for dictionary in info.dictionaries:
        yield from quality(info, dictionary)
        yield dead(bench, dictionary, held_out)
    found = faithfulness(bench.runner, bench.question, images[:IMAGES])
    text = f"{found.spearman:.2f} over {found.images} pictures"
    yield Figure("R against ablation: Spearman, top 20", found.spearman, text, at_least=0.8)
    yield Figure("R against ablation: slope", found.slope, f"{found.slope:.2f}")
    yield Figure("R against ablation: sign agreement", found.sign, f"{found.sign:.2f}")
    yield identity(bench, images[:16])
    yield slider(bench, info, images[:PICTURES], config)


def quality(info: ModelInfo, dictionary: DictionaryInfo) -> Iterator[Figure]:
    """How well a dictionary rebuilds each of its token sets, on the calibration pictures."""
    site = info.site(dictionary.site)
    if site is not None:
        ratio = dictionary.size / site.width
        yield Figure(f"{dictionary.id}: size / width", ratio, f"{ratio:.1f}", at_least=8)
    for q in dictionary.quality:
        name = f"{dictionary.id}, {q.tokens}"
        variance, each = q.explained_variance, q.per_dimension
        yield Figure(f"{name}: explained variance", variance, f"{variance:.4f}", at_least=0.90)
        yield Figure(f"{name}: its mean over dimensions", each, f"{each:.3f}", at_least=0.75)
        yield Figure(f"{name}: L0", q.l0, f"{q.l0:.1f}", at_most=32)


def dead(bench: Bench, dictionary: DictionaryInfo, images: Sequence[Encoded]) -> Figure:
    """Share of the latents that fire on no token of the held-out pictures."""
    fired: set[int] = set()
    for start in range(0, len(images), BATCH):
        request = Encode(
            model=bench.question.model,
            images=tuple(images[start : start + BATCH]),
            dictionary=dictionary.id,
        )
        for code in bench.runner.encode(request).results():
            fired.update(code.features.tolist())
    share = 1 - len(fired) / dictionary.size
    text = f"{share:.3f} over {len(images)} pictures"
    return Figure(f"{dictionary.id}: dead share, held out", share, text, at_most=0.10)


def identity(bench: Bench, images: Sequence[Encoded]) -> Figure:
    """An empty steer set against the clean answer of the same batch, bit for bit."""
    q = bench.question
    request = Steer(
        model=q.model, images=tuple(images), classifier=q.classifier, steer_sets=(SteerSet(),)
    )
    answers = bench.runner.steer(request).results()
    same = sum(a.clean.logits.tobytes() == a.steered[0].logits.tobytes() for a in answers)
    share = same / len(answers)
    return Figure("empty steer set is the identity", share, f"{same} of {len(answers)}", at_least=1)


def slider(bench: Bench, info: ModelInfo, images: Sequence[Encoded], config: Path | None) -> Figure:
    """Median milliseconds of a slider move over gRPC, against a forward in this process."""
    q, seen = bench.question, []
    for image in images:
        request = Attribute(
            model=q.model,
            images=(image,),
            classifier=q.classifier,
            dictionary=q.dictionary,
            top_k=1,
        )
        (found,) = bench.runner.attribute(request).one()
        for m in STRENGTHS:
            moved = scale(q.site, q.dictionary, m, *found.features.tolist())
            began = time.perf_counter()
            says(bench.runner, q, image, [moved])
            seen.append(1000 * (time.perf_counter() - began))
    p50 = float(np.median(seen))
    forward = forward_ms(config, info, images[0]) if config is not None else None
    if forward is None:
        return Figure("slider move, p50", p50, f"{p50:.1f} ms")
    text = f"{p50:.1f} ms; forward of two {forward:.1f} ms"
    return Figure("slider move, p50", p50, text, at_most=forward + SLACK_MS)


def forward_ms(config: Path, info: ModelInfo, image: Encoded) -> float:
    """Median milliseconds of the whole image tower for a batch of two, in this process."""
    import torch

    from steerboard.inprocess.config import read_config
    from steerboard.model.load import load

    settings, base = read_config(config)
    loaded = load(base / settings.models[info.id].path)
    pixels = torch.stack([loaded.pixels(image.data)] * 2)
    times = []
    with torch.no_grad():
        for _ in range(FORWARDS):
            began = time.perf_counter()
            loaded.tower.run(loaded.tower.start(pixels), 0)
            times.append(1000 * (time.perf_counter() - began))
    return float(np.median(times))
