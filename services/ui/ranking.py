"""Where the ranking of features stands: a job of the workers, or the runner's own scores.

Nothing here waits for the workers: the job door is asked in a thread of its own, and the page
reads what came back. While they do not answer, the runner's own scores stand in, without the
exact check of each feature, and without reference images where the library is away too.
"""

import logging
import time
from collections.abc import Sequence
from concurrent.futures import Future, wait
from dataclasses import dataclass, field

import streamlit as st

from services.ui.backend import AWAY, backend, model
from steerboard.analysis.review import question, reviewed
from steerboard.api.jobs_client import JobClient
from steerboard.spec.catalogue import FeatureCard, name_of
from steerboard.spec.digest import digest
from steerboard.spec.errors import Internal, SteerboardError
from steerboard.spec.jobs import AttributeJob, AttributeResult, JobStatus
from steerboard.spec.methods import is_composed
from steerboard.store.how import How

_LOG = logging.getLogger(__name__)
GLANCE_S = 0.4  # a ranking that is there already is shown at once
PATIENCE_S = 4.0  # how long the page waits for the workers before it shows other scores
KEPT = 16  # rankings a page remembers


@dataclass
class Ranking:
    """One question and what is known of its answer."""

    spec: AttributeJob
    began: float = field(default_factory=time.monotonic)
    status: JobStatus | None = None
    found: AttributeResult | None = None
    trouble: SteerboardError | None = None
    stand_in: AttributeResult | None = None
    asking: "Future[None] | None" = None

    @property
    def job(self) -> str:
        """The job's id, once it has one."""
        return self.status.id if self.status else ""

    @property
    def settled(self) -> bool:
        """Whether looking again as things are would tell nothing new."""
        return self.found is not None or self.failed or self.refused

    @property
    def failed(self) -> bool:
        """Whether the job ended without a result."""
        return self.status is not None and self.status.state in ("failed", "cancelled")

    @property
    def refused(self) -> bool:
        """Whether the question itself was refused."""
        return self.trouble is not None and not isinstance(self.trouble, AWAY)

    @property
    def waiting(self) -> bool:
        """Whether the workers may still answer soon."""
        patient = time.monotonic() - self.began < PATIENCE_S
        return not self.settled and self.trouble is None and patient


def current(spec: AttributeJob) -> Ranking:
    """The page's ranking for a question."""
    held: dict[str, Ranking] = st.session_state.setdefault("rankings", {})
    key = digest(spec)
    if key not in held:
        held[key] = Ranking(spec)
        while len(held) > KEPT:
            del held[next(iter(held))]
    return held[key]


def look(ranking: Ranking, data: bytes, glance_s: float = 0.0) -> None:
    """Ask the job door how far the job is, unless somebody is asking already.

    Args:
        ranking: What is filled in as the answer comes.
        data: The picture; it travels only if the job door lacks it.
        glance_s: Seconds to wait for an answer that may be there already.
    """
    if ranking.settled:
        return
    if ranking.asking is None or ranking.asking.done():
        ranking.asking = backend().threads.submit(ask, backend().jobs, ranking, data)
    if ranking.status is None and ranking.trouble is None:
        wait([ranking.asking], glance_s)


def ask(jobs: JobClient, ranking: Ranking, data: bytes) -> None:
    """Hand the job in, or join the one that runs: the same question is the same job."""
    try:
        status = jobs.submit(ranking.spec, (data,))
        if status.state == "done":
            (found,) = jobs.result(status.id)
            assert isinstance(found, AttributeResult)
            ranking.found = found
        ranking.status, ranking.trouble = status, None
    except SteerboardError as error:
        ranking.trouble = error
    except Exception:
        _LOG.exception("job %s", ranking.job)
        ranking.trouble = Internal("their answer cannot be read: the log of the page says why")


def ask_again(ranking: Ranking) -> None:
    """Forget what went wrong; the next look hands the job in anew."""
    ranking.status = ranking.trouble = None
    ranking.began = time.monotonic()


def stage(ranking: Ranking) -> str:
    """How far the job is, in a word or two."""
    if ranking.status is None:
        return "asking"
    if ranking.status.state == "running" and ranking.status.total > 1:
        return f"{ranking.status.done} of {ranking.status.total} parts"
    return ranking.status.state


def reason(ranking: Ranking) -> str:
    """Why there is no result of the workers."""
    if ranking.trouble is not None:
        return ranking.trouble.message
    if ranking.status is None:
        return "the job door has not answered yet"
    if ranking.failed:
        return ranking.status.message or f"the job was {ranking.status.state}"
    return ranking.status.message or f"the job is {ranking.status.state}: the workers are busy"


def own_scores(ranking: Ranking, data: bytes) -> AttributeResult:
    """The runner's scores for the same question, asked once; raises a SteerboardError."""
    if ranking.stand_in is None:
        spec = ranking.spec
        answer = backend().runner.attribute(question(spec, data))
        (found,) = answer.one()
        cards = known_features(spec.dictionary, found.features.tolist()) if spec.dictionary else ()
        ranking.stand_in = reviewed(found, cards, spec.references, answer.provenance)
    return ranking.stand_in


def own_method(how: How) -> str:
    """By which method the runner scores meanwhile."""
    return "gradient" if is_composed(how.method) else how.method


def known_features(dictionary: str, features: Sequence[int]) -> tuple[FeatureCard, ...]:
    """Cards from the library, which may answer while the workers do not; none where it is away."""
    try:
        return tuple(backend().library.features(name_of(dictionary, model().id), features))
    except SteerboardError:
        return ()
