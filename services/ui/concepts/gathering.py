"""What a model says of every picture of a set, asked for once behind the page and kept.

Concepts are then settled at once: they only divide the same answers in different ways.
"""

import logging
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import streamlit as st
from scipy import sparse

from services.ui import markup
from services.ui.backend import RETRIED_AFTER_S, Backend, backend, model
from steerboard.analysis.responses import ANY, Place, Row, answers, count, question, strongest
from steerboard.spec.answers import Attribution, Code, Embedding
from steerboard.spec.capabilities import ModelInfo
from steerboard.spec.digest import digest
from steerboard.spec.errors import Internal, SteerboardError
from steerboard.spec.requests import Attribute, Embed, Encode, Encoded, ImageRef

_LOG = logging.getLogger(__name__)
CHUNK, KEPT = 16, 8
LEFT_S = 30.0  # after which nobody looks any more: what was begun waits for somebody to come back
Matrix = tuple[npt.NDArray[np.int64], sparse.csc_array]


@dataclass
class Gathering:
    """Answers about ``pictures``, by their places; ``width`` is that of a row.

    Attributes:
        pictures: Digests.
        where: Whose responses; None: the pictures' embeddings.
        key: What tells it from others.
        kin: What it has in common with those of the same units and model.
        wanted: When somebody last looked.
    """

    pictures: tuple[str, ...]
    where: Place | None = None
    key: str = ""
    kin: str = ""
    rows: dict[int, Row] = field(default_factory=dict)
    failed: set[int] = field(default_factory=set)
    width: int = 0
    trouble: SteerboardError | None = None
    done: bool = False
    at_work: bool = False
    ended: float = 0.0
    wanted: float = field(default_factory=time.monotonic)
    _whole: Matrix | None = None

    @property
    def stale(self) -> bool:
        """Whether what went wrong is long enough ago to try again."""
        return self.trouble is not None and time.monotonic() - self.ended > RETRIED_AFTER_S

    @property
    def ready(self) -> bool:
        """Whether all that could be answered was."""
        return self.done and self.trouble is None and bool(self.rows)

    @property
    def left(self) -> bool:
        """Whether nobody looks any more."""
        return time.monotonic() - self.wanted > LEFT_S

    def looked_at(self) -> None:
        """Somebody waits for it."""
        self.wanted = time.monotonic()

    def learn(self, other: "Gathering") -> None:
        """Take over what one of the same kin knows of these pictures."""
        places = {other.pictures[place]: place for place in list(other.rows)}
        for place, picture in enumerate(self.pictures):
            if picture in places:
                self.rows[place] = other.rows[places[picture]]
        self.width = self.width or other.width

    def matrix(self) -> Matrix:
        """Places of the pictures that were answered ``[n]``, and their rows ``[n, width]``."""
        if self._whole is not None:
            return self._whole
        done, places = self.ready, sorted(list(self.rows))  # another thread goes on filling it
        found = [self.rows[place] for place in places]
        starts = np.cumsum([0, *(len(features) for features, _ in found)])
        columns = np.concatenate([features for features, _ in found])
        values = np.concatenate([values for _, values in found])
        shape = (len(found), self.width)
        table = sparse.csr_array((values, columns, starts), shape=shape).tocsc()
        whole = np.array(places), table
        if done:
            self._whole = whole
        return whole


@st.cache_resource(show_spinner=False)
def shelf() -> dict[str, Gathering]:
    """All gatherings of this process: everybody's, for they are the same for all."""
    return {}


LOCK = threading.Lock()


def current(
    where: Place | None, pictures: tuple[str, ...], info: ModelInfo | None = None
) -> Gathering:
    """The gathering of these pictures; begun now if it is new, gone on with if it was left.

    Args:
        where: Whose responses; None: embeddings.
        pictures: Digests.
        info: Of which model; by default the page's.
    """
    info = info or model()
    kin = kin_of(where, info)
    key = digest(kin, pictures)
    with LOCK:
        held = shelf()
        now = held.get(key)
        if now is None or now.stale:
            now = Gathering(pictures, where, key, kin)
            for other in held.values():
                if other.kin == kin:
                    now.learn(other)
            held[key] = now
            while len(held) > KEPT:
                del held[next(iter(held))]
        now.looked_at()
        if now.done or now.at_work:
            return now
        now.at_work = True
    backend().probes.submit(work, now, backend(), info)
    return now


def kin_of(where: Place | None, info: ModelInfo) -> str:
    """Digest of all that the answer about a picture depends on."""
    if where is None:
        return digest("embedding", info.fingerprint)
    book = info.dictionary(where.dictionary)
    print_ = book.fingerprint if book else ""
    unit = (where.units, where.site, where.directions and digest(where.directions))
    return digest(info.fingerprint, print_, unit, where.tokens)


def work(now: Gathering, services: Backend, info: ModelInfo) -> None:
    """Fill in the rows, in the lane that lets people go first."""
    asked: list[list[int]] = []
    left = False
    try:
        for number, answer in services.runner.stream(questioned(now, services, info, asked)):
            if isinstance(answer, SteerboardError):
                raise answer
            for place, item in zip(asked[number], answer.items, strict=True):
                keep(now, place, item, info)
        left = len(now.rows) + len(now.failed) < len(now.pictures)
    except SteerboardError as error:
        now.trouble = error
    except Exception:
        _LOG.exception("gathering of %s", info.id)
        now.trouble = Internal("the log of the page says why")
    finally:
        with LOCK:
            now.ended, now.done, now.at_work = time.monotonic(), not left, False


def questioned(
    now: Gathering, services: Backend, info: ModelInfo, asked: list[list[int]]
) -> Iterator[Encode | Embed | Attribute]:
    """The questions, whose pictures are read in pieces; ``asked`` is told their places."""
    rest = [i for i in range(len(now.pictures)) if i not in now.rows and i not in now.failed]
    for start in range(0, len(rest), CHUNK):
        if now.left:
            return
        part = rest[start : start + CHUNK]
        held = services.album.get(now.pictures[i] for i in part)
        places = [i for i in part if now.pictures[i] in held]
        now.failed.update(set(part) - set(places))
        if not places:
            continue
        asked.append(places)
        images: tuple[ImageRef, ...] = tuple(Encoded(data=held[now.pictures[i]]) for i in places)
        yield asking(now.where, info, images)


def asking(
    where: Place | None, info: ModelInfo, images: tuple[ImageRef, ...]
) -> Encode | Embed | Attribute:
    """What is asked about some pictures."""
    if where is None:
        return Embed(model=info.id, images=images)
    if where.coded:
        return Encode(model=info.id, images=images, dictionary=where.dictionary)
    return question(info.id, where, images, info.classifier or ANY)


def keep(
    now: Gathering,
    place: int,
    item: Code | Embedding | tuple[Attribution, ...] | SteerboardError,
    info: ModelInfo,
) -> None:
    """One picture's answer as a sparse row: the largest response of each unit."""
    if isinstance(item, SteerboardError):
        now.failed.add(place)
    elif isinstance(item, Code):
        now.width, now.rows[place] = item.shape[1], strongest(item)
    elif isinstance(item, Embedding):
        now.width = len(item.values)
        now.rows[place] = np.arange(now.width), item.values.astype(np.float32)
    else:
        assert now.where is not None
        now.width = count(info, now.where)
        now.rows[place] = answers(now.where, item[0])


def follow(now: Gathering, what: str, look_s: float = 0.5) -> None:
    """A line that follows the work without holding up the page."""

    def look() -> None:
        now.looked_at()
        if now.done:
            st.rerun()
        st.html(markup.busy(f"{what}: {len(now.rows)} of {len(now.pictures)}"))

    st.fragment(look, run_every=look_s)()
