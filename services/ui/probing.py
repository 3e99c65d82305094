"""The same edits on other pictures, computed behind the page while it goes on.

A newer steer set takes the place of an older one that is still at work.
"""

import logging
import threading
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field

import streamlit as st

from services.ui.backend import Backend, backend
from steerboard.analysis.side_effects import CHUNK, Case, Tally, side_effects
from steerboard.spec.base import Spec
from steerboard.spec.digest import digest
from steerboard.spec.edits import SteerSet
from steerboard.spec.errors import Internal, SteerboardError
from steerboard.spec.requests import Classifier, Encoded

_LOG = logging.getLogger(__name__)
KEPT = 8  # finished probings a page remembers


class Question(Spec):
    """What is asked; ``without`` is the digest of the open picture, which is no other picture."""

    model: str
    fingerprint: str
    classifier: Classifier
    steer: SteerSet
    without: str


@dataclass
class Probing:
    """One question over the probe set, and what is known so far.

    ``cases``, and the ``split`` that they are of, once they are drawn.
    """

    cases: tuple[Case, ...] | None = None
    split: str = ""
    tally: Tally = field(default_factory=Tally)
    trouble: SteerboardError | None = None
    done: bool = False
    given_up: threading.Event = field(default_factory=threading.Event)


def current(question: Question) -> Probing:
    """The page's probing of a question; begun now if it is new, and any other is given up."""
    held: dict[str, Probing] = st.session_state.setdefault("probings", {})
    key = digest(question)
    for other, probing in list(held.items()):
        if other != key and not probing.done:
            probing.given_up.set()
            del held[other]
    if key not in held:
        held[key] = Probing()
        backend().probes.submit(work, held[key], backend(), question)
        while len(held) > KEPT:
            del held[next(iter(held))]
    return held[key]


def forget(probing: Probing) -> None:
    """Let the next look begin anew."""
    held: dict[str, Probing] = st.session_state.setdefault("probings", {})
    for key in [k for k, found in held.items() if found is probing]:
        del held[key]


def work(probing: Probing, services: Backend, asked: Question) -> None:
    """Fill in the tally until all cases are answered or nobody wants to know any more."""
    try:
        cases = services.deck.get(asked.classifier.names)
        probing.split = services.deck.split
        probing.cases = tuple(case for case in cases if case.key != asked.without)
        found = side_effects(
            services.runner,
            asked.model,
            asked.classifier,
            asked.steer,
            pictures(probing, services),
        )
        with closing(found) as parts:
            for part in parts:
                if probing.given_up.is_set():
                    return
                probing.tally += part
    except SteerboardError as error:
        probing.trouble = error
    except Exception:
        _LOG.exception("probing of %s", asked.model)
        probing.trouble = Internal("the log of the page says why")
    finally:
        probing.done = True


def pictures(probing: Probing, services: Backend) -> Iterator[tuple[Case, Encoded]]:
    """Each case with its bytes, read in pieces, while somebody wants to know."""
    cases = probing.cases or ()
    for i in range(0, len(cases), CHUNK):
        if probing.given_up.is_set():
            return
        part = cases[i : i + CHUNK]
        held = services.album.get(case.key for case in part)
        yield from ((c, Encoded(data=held[c.key])) for c in part if c.key in held)
