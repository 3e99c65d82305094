"""``steerboard bench soak``: many callers for minutes, every answer checked, memory watched.

The service as it is shipped, on Emojiland, behind real gRPC. What each question is answered when it
is asked alone, in this process, is known before; whatever comes back under load must be that.
"""

import itertools
import random
import secrets
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from bench import children
from bench.clock import figure, one
from bench.house import DEMO, EMOJILAND
from bench.report import Line
from bench.stage import Stage
from steerboard.api.client import connect
from steerboard.api.tokens import Identity, sign
from steerboard.inprocess.runner import open_local
from steerboard.spec.answers import Answer
from steerboard.spec.edits import Edit, Feature, Scale, SteerSet
from steerboard.spec.errors import Overloaded
from steerboard.spec.requests import (
    Attribute,
    Embed,
    Encode,
    Encoded,
    Margin,
    Predict,
    Prompts,
    Steer,
)
from steerboard.spec.runner import Question, Runner

PROMPTS = Prompts(prompts=("car", "owl", "guitar", "cup", "boat", "tree"), template="a {}")
TOLERANCE = 2e-4  # float32 in batches of another shape


@dataclass
class Tally:
    """What callers were told, and how large the server was meanwhile."""

    answered: int = 0
    wrong: list[str] = field(default_factory=list)
    refused: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    sizes: list[tuple[float, int, int]] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)


def questions(runner: Runner, count: int = 96) -> list[Question]:
    """Of every kind, over the demo's pictures, with edits of its dictionaries; fixed by a seed."""
    info, draw = runner.model(EMOJILAND), random.Random(0)
    files = sorted((DEMO / "images" / "test").glob("*.jpg"))[:48]
    data = [file.read_bytes() for file in files]
    found: list[Question] = []
    for i in range(count):
        images = tuple(Encoded(data=draw.choice(data)) for _ in range(1 + i % 3))
        asked: dict[str, Any] = {"model": EMOJILAND, "images": images}
        book = draw.choice(info.dictionaries)
        edits = tuple(
            Edit(
                site=book.site,
                unit=Feature(dictionary=book.id, index=index),
                op=Scale(m=draw.choice((-1.0, -0.5, 1.0))),
            )
            for index in draw.sample(range(book.size), draw.randint(1, 6))
        )
        kinds: list[Question] = [
            Steer(
                **asked,
                classifier=PROMPTS,
                steer_sets=(SteerSet(edits=edits),),
                targets=(Margin(),),
            ),
            Predict(**asked, classifier=PROMPTS),
            Steer(**asked, classifier=PROMPTS, steer_sets=(SteerSet(), SteerSet(edits=edits))),
            Attribute(
                **asked, classifier=PROMPTS, dictionary=book.id, targets=(Margin(),), top_k=8
            ),
            Encode(**asked, dictionary=book.id),
            Embed(**asked),
        ]
        found.append(kinds[i % len(kinds)])
    return found


def numbers(value: Any) -> Iterator[np.ndarray]:
    """All dense numbers of an answer; of sparse lists the values only, by falling size.

    (Which of two equal features comes first may differ from batch to batch.)
    """
    if isinstance(value, Answer):
        for item in value.results():
            yield from numbers(item)
    elif isinstance(value, tuple | list):
        for part in value:
            yield from numbers(part)
    elif isinstance(value, np.ndarray) and value.dtype == np.float32:
        yield np.sort(value.ravel())
    elif isinstance(value, float):
        yield np.array([value], np.float32)
    elif hasattr(value, "__dataclass_fields__"):
        for name in value.__dataclass_fields__:
            yield from numbers(getattr(value, name))


def alike(found: Answer[Any], right: Answer[Any]) -> bool:
    """The same numbers up to the noise of another batch, relative to the largest of each list."""
    pairs = itertools.zip_longest(numbers(found), numbers(right))
    return all(
        a is not None
        and b is not None
        and a.shape == b.shape
        and bool(np.all(np.abs(a - b) <= TOLERANCE * max(1.0, float(np.abs(b).max(initial=0)))))
        for a, b in pairs
    )


def ask(runner: Runner, question: Question) -> Answer[Any]:
    answer: Answer[Any] = getattr(runner, type(question).__name__.lower())(question)
    return answer


def compare(stage: Stage) -> Iterator[Line]:
    """Callers side by side for the time that is asked; see the module."""
    local = open_local(DEMO, "soak")
    asked = questions(local)
    rights = [ask(local, question) for question in asked]
    local.close()
    secret, tally = secrets.token_hex(32), Tally()
    with children.house(DEMO, stage.threads, secret) as (address, process):
        spent = _load(stage, address, process, secret, list(zip(asked, rights, strict=True)), tally)
    row = f"soak, {stage.size.soak_callers} callers, {spent:.0f} s"
    yield Line(row, "answers a second", one(tally.answered / spent), unit="1/s")
    yield Line(
        row, "wrong answers", one(len(tally.wrong)), at_most=0, details={"wrong": tally.wrong[:5]}
    )
    yield Line(row, "refused with the seconds to wait", one(tally.refused))
    faults = sum(tally.faults.values())
    yield Line(row, "other errors", one(faults), at_most=0, details=dict(tally.faults))
    late = [told for told in tally.sizes if told[0] > spent / 2]
    held = windows([(at, size / 2**20) for at, size, _ in late])
    yield Line(row, "resident memory in the second half, 5 s at a time", figure(held), unit="MiB")
    growth = max(held) / min(held) - 1
    yield Line(row, "its largest over its smallest, less 1", one(growth), at_most=0.05)
    # Files that are mapped (programs, libraries) the system drops and reads again as it likes.
    own = windows([(at, size / 2**20) for at, _, size in late])
    yield Line(row, "of it what is no file's, 5 s at a time", figure(own), unit="MiB")
    half = len(own) // 2 or 1
    grown = float(np.median(own[half:] or own) / np.median(own[:half]) - 1)
    yield Line(row, "that in the last quarter over the third, less 1", one(grown))


def windows(found: list[tuple[float, float]], seconds: float = 5.0) -> list[float]:
    """Medians of 5 s each: a batch that is computed holds memory for a moment."""
    grouped: dict[int, list[float]] = {}
    for at, value in found:
        grouped.setdefault(int(at // seconds), []).append(value)
    return [float(np.median(values)) for values in grouped.values()] or [0.0]


def _load(
    stage: Stage,
    address: str,
    process: int,
    secret: str,
    known: list[tuple[Question, Answer[Any]]],
    tally: Tally,
) -> float:
    """Let all callers ask; seconds that it took."""
    stop = threading.Event()
    threads = [
        threading.Thread(target=_caller, args=(i, address, secret, known, tally, stop))
        for i in range(stage.size.soak_callers)
    ]
    begun = time.monotonic()
    for thread in threads:
        thread.start()
    while (at := time.monotonic() - begun) < stage.size.soak_s:
        tally.sizes.append((at, resident(process), resident(process, "RssAnon")))
        time.sleep(0.5)
    stop.set()
    for thread in threads:
        thread.join()
    return time.monotonic() - begun


def _caller(
    i: int,
    address: str,
    secret: str,
    known: list[tuple[Question, Answer[Any]]],
    tally: Tally,
    stop: threading.Event,
) -> None:
    """One person: asks, checks, asks again; refused, waits as long as was said."""
    draw = random.Random(i)
    runner = connect(address, sign(Identity(subject=f"caller {i}"), secret), 60.0)
    while not stop.is_set():
        question, right = draw.choice(known)
        try:
            found = ask(runner, question)
        except Overloaded as full:
            with tally.lock:
                tally.refused += 1
                if full.retry_after_s is None:
                    tally.faults["refused without a time"] += 1
            stop.wait(full.retry_after_s or 1.0)
            continue
        except Exception as fault:
            with tally.lock:
                tally.faults[f"{type(fault).__name__}: {fault}"[:200]] += 1
            continue
        same = alike(found, right)
        with tally.lock:
            tally.answered += 1
            if not same:
                tally.wrong.append(repr(question)[:300])
    runner.close()


def resident(process: int, what: str = "VmRSS") -> int:
    """Bytes of memory that a process holds, as Linux tells under the name ``what``."""
    told = Path(f"/proc/{process}/status").read_text()
    line = next(line for line in told.splitlines() if line.startswith(what))
    return int(line.split()[1]) * 1024
