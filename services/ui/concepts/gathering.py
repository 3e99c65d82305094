"""What a model says of every picture of a set, asked for once behind the page and kept.

Concepts are then settled at once: they only divide the same answers in different ways.
"""

import logging
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import numpy.typing as npt
import streamlit as st
from scipy import sparse

from services.ui.backend import RETRIED_AFTER_S, Backend, backend, model
from steerboard.analysis.responses import strongest
from steerboard.spec.answers import Code, Embedding
from steerboard.spec.errors import Internal, SteerboardError
from steerboard.spec.requests import Embed, Encode, Encoded, ImageRef

_LOG = logging.getLogger(__name__)
CHUNK, KEPT = 16, 6
Kind = Literal["code", "embedding"]
Row = tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]


@dataclass
class Gathering:
    """Answers about ``pictures``, by their places; ``width`` is that of a row."""

    pictures: tuple[str, ...]
    rows: dict[int, Row] = field(default_factory=dict)
    failed: int = 0
    width: int = 0
    trouble: SteerboardError | None = None
    done: bool = False
    ended: float = 0.0

    @property
    def stale(self) -> bool:
        """Whether what went wrong is long enough ago to try again."""
        return self.trouble is not None and time.monotonic() - self.ended > RETRIED_AFTER_S

    @property
    def ready(self) -> bool:
        """Whether all that could be answered was."""
        return self.done and self.trouble is None and bool(self.rows)

    def matrix(self) -> tuple[npt.NDArray[np.int64], sparse.csc_array]:
        """Places of the pictures that were answered ``[n]``, and their rows ``[n, width]``."""
        places = sorted(list(self.rows))  # another thread goes on filling it
        found = [self.rows[place] for place in places]
        starts = np.cumsum([0, *(len(features) for features, _ in found)])
        columns = np.concatenate([features for features, _ in found])
        values = np.concatenate([values for _, values in found])
        shape = (len(found), self.width)
        return np.array(places), sparse.csr_array((values, columns, starts), shape=shape).tocsc()


@st.cache_resource(show_spinner=False)
def shelf() -> dict[tuple[str, ...], Gathering]:
    """All gatherings of this process: everybody's, for they are the same for all."""
    return {}


LOCK = threading.Lock()


def current(kind: Kind, dictionary: str, pictures: tuple[str, ...]) -> Gathering:
    """The gathering of these pictures; begun now if it is new."""
    book = model().dictionary(dictionary)
    key = (kind, model().fingerprint, book.fingerprint if book else "", *pictures)
    with LOCK:
        held = shelf()
        if key in held and not held[key].stale:
            return held[key]
        now = held[key] = Gathering(pictures)
        while len(held) > KEPT:
            del held[next(iter(held))]
    backend().probes.submit(work, now, backend(), kind, model().id, dictionary)
    return now


def work(now: Gathering, services: Backend, kind: Kind, name: str, dictionary: str) -> None:
    """Fill in the rows, in the lane that lets people go first."""
    asked: list[list[int]] = []
    try:
        questions = questioned(now, services, kind, name, dictionary, asked)
        for number, answer in services.runner.stream(questions):
            if isinstance(answer, SteerboardError):
                raise answer
            for place, item in zip(asked[number], answer.items, strict=True):
                keep(now, place, item)
    except SteerboardError as error:
        now.trouble = error
    except Exception:
        _LOG.exception("gathering of %s", name)
        now.trouble = Internal("the log of the page says why")
    finally:
        now.ended, now.done = time.monotonic(), True


def questioned(
    now: Gathering,
    services: Backend,
    kind: Kind,
    name: str,
    dictionary: str,
    asked: list[list[int]],
) -> Iterator[Encode | Embed]:
    """The questions, whose pictures are read in pieces; ``asked`` is told their places."""
    for start in range(0, len(now.pictures), CHUNK):
        part = now.pictures[start : start + CHUNK]
        held = services.album.get(part)
        places = [start + i for i, digest in enumerate(part) if digest in held]
        now.failed += len(part) - len(places)
        if not places:
            continue
        asked.append(places)
        images: tuple[ImageRef, ...] = tuple(Encoded(data=held[now.pictures[i]]) for i in places)
        if kind == "code":
            yield Encode(model=name, images=images, dictionary=dictionary)
        else:
            yield Embed(model=name, images=images)


def keep(now: Gathering, place: int, item: Code | Embedding | SteerboardError) -> None:
    """One picture's answer as a sparse row: the largest activation of each feature."""
    if isinstance(item, Code):
        now.width = item.shape[1]
        now.rows[place] = strongest(item)
    elif isinstance(item, Embedding):
        now.width = len(item.values)
        now.rows[place] = np.arange(now.width), item.values.astype(np.float32)
    else:
        now.failed += 1
