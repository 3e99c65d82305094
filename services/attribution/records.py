"""Job records in the broker's Redis: accepted chunks, closed by the last one.

A job's id is the content address of its question, so the same question asked twice is the same
job: it is joined while it runs and answered from its record when it is done. What must happen at
once is a script of ``record_scripts``, where the keys are listed too, or of ``turn_scripts``.
"""

import contextlib
import math
import time
from typing import Any, Literal

import redis

from services.attribution import record_scripts, turn_scripts
from services.attribution.celery_app import VISIBILITY_S
from services.attribution.job_errors import error_from_json, error_to_json
from services.attribution.members import NUMERICS, Asked, Begun, Size, Turn, Turns, begun, pairs
from services.attribution.presence import Presence, key
from services.attribution.redis_link import speaking
from steerboard.api.tokens import Identity
from steerboard.spec.errors import NotFound, Overloaded, SteerboardError
from steerboard.spec.jobs import JobSpec, JobState, JobStatus, Lane

KEEP_S = 24 * 3600
ENDED: tuple[JobState, ...] = ("done", "failed", "cancelled")
MAX_WAITING = 1000  # jobs of one caller in one lane
TURN = {"interactive": 1, "bulk": 16}  # pictures that a caller of weight 1 has in a turn
FULL = 0.8  # of the memory that Redis was given: then no new job is opened
WEIGHTS = 0.1, 10.0
LOST_S = VISIBILITY_S + 10  # longer than Celery needs to hand out again what a dead worker held
SLOW_S = 60  # the same while the queue is not empty
LONGEST_WAIT_S = 4.0
WRITTEN_MS = 1500  # the append-only file is synced every second
HAND_S = 120  # longer than it takes until a message is delivered again
SCRIPTS = {
    **{n: getattr(record_scripts, n) for n in ("OPEN", "DEFER", "END", "LEAVE", "STALE", "MEND")},
    **{n: getattr(turn_scripts, n) for n in ("RELEASE", "START", "FINISH", "FURTHER")},
}
# Of a record what its status tells: a set's question is long, and read by workers alone.
TOLD = ("state", "total", "opened", "message", "kind", "pictures", "priority", "progress")
Deferral = Literal["unsent", "more", "slow", "failed"]


class Records(Presence):
    """The records of all jobs.

    Args:
        broker: URL of the Redis that never evicts.
    """

    def __init__(self, broker: str) -> None:
        super().__init__(broker)
        self._scripts = {n: self._redis.register_script(text) for n, text in SCRIPTS.items()}

    def open(
        self,
        job: str,
        spec: JobSpec,
        size: Size,
        lane: Lane,
        who: Identity,
        gone: str,
        priority: int = 0,
        there: bool = False,
    ) -> str:
        """Open a record: "new", or the state of the one that is there; raises Overloaded.

        Args:
            job: Its id.
            spec: The question.
            size: Of it.
            lane: Of it.
            who: Asks.
            gone: What ``before`` said of a record that is done and whose results are gone.
            priority: Among the jobs of the same caller.
            there: The answer is known: nothing new is to be opened.
        """
        if not there:
            self._leave_room()
        low, high = WEIGHTS
        record = {
            "spec": spec.model_dump_json(),
            "kind": spec.kind,
            "numerics": NUMERICS,
            "submitter": who.model_dump_json(),
            "pictures": size.pictures,
            "price": size.price,
            "weight": min(max(who.weight, low), high),
        }
        fields = [part for pair in record.items() for part in pair]
        found = self._run(
            "OPEN", job, name_of(who), KEEP_S, time.time(), size.chunks, lane, MAX_WAITING, gone,
            priority, who.caller, *fields,
        )  # fmt: skip
        if found == "full":
            raise Overloaded(
                f"{MAX_WAITING} jobs of yours wait already: try again when some are done",
                retry_after_s=10.0,
            )
        if found == "new" and lane == "bulk":
            self._write_down()
        return str(found)

    def status(self, job: str) -> JobStatus:
        """Where a job stands; raises NotFound."""
        with speaking():
            found = self._redis.pipeline(transaction=False)
            found.hmget(key("job", job), TOLD).scard(key("done", job))
            values, done, times = found.lrange(key("times", job), 0, -1).execute()
        record = {name: v for name, v in zip(TOLD, values, strict=True) if v is not None}
        if not record:
            raise unknown(job)
        rate, left = progress(record, int(done), [float(t) for t in times])
        return JobStatus(
            id=job,
            state=record["state"],
            done=int(done),
            total=int(record["total"]),
            rate=rate,
            seconds_left=left,
            message=record.get("progress" if record["state"] == "running" else "message", ""),
            kind=record.get("kind", ""),
            pictures=int(record.get("pictures", 0)),
            priority=int(record.get("priority", 0)),
            submitted=float(record["opened"]),
        )

    def mine(self, who: Identity, count: int) -> list[JobStatus]:
        """The jobs that a caller asked for, the latest first; those that expired are left out."""
        with speaking():
            listed = self._redis.zrevrange(key("mine", name_of(who)), 0, count - 1)
        found = []
        for job in listed:
            with contextlib.suppress(NotFound):
                found.append(self.status(job))
        return found

    def before(self, job: str) -> tuple[JobStatus | None, str]:
        """For a job that is done: where it stands, and when it was opened, as it is written."""
        try:
            found = self.status(job)
        except NotFound:
            return None, ""
        return (found, repr(found.submitted)) if found.state == "done" else (None, "")

    def error(self, job: str) -> SteerboardError | None:
        """Why a job failed, as it was raised; None where it did not."""
        with speaking():
            text = self._redis.hget(key("job", job), "error")
        return error_from_json(text) if text else None

    def wanted(self, job: str) -> bool:
        """Whether somebody still waits for the job."""
        with speaking():
            state = self._redis.hget(key("job", job), "state")
        return state in ("queued", "running")

    def state(self, job: str) -> str:
        """Of a job; empty where there is no record of it."""
        with speaking():
            return str(self._redis.hget(key("job", job), "state") or "")

    def release(self, lane: Lane) -> list[tuple[str, int]]:
        """Chunks whose turn has come, as (job, chunk); they count as handed out from here on."""
        return pairs(self._run("RELEASE", lane, self.room(lane), TURN[lane], time.time()))

    def start(self, job: str, chunk: int, message: str = "") -> Begun | None:
        """Begin a chunk; None where nobody wants it any more.

        Args:
            job: Its id.
            chunk: Of it.
            message: By which it came: whoever has that again is told of this chunk, see ``at``.
        """
        return begun(self._run("START", job, chunk, time.time(), message, HAND_S))

    def asked(self, job: str) -> Asked | None:
        """What is asked; None where the job has ended."""
        with speaking():
            opened, spec, submitter, lane, total, numerics = self._redis.hmget(
                key("job", job), ["opened", "spec", "submitter", "lane", "total", "numerics"]
            )
        if not spec:
            return None
        who = Identity.model_validate_json(submitter)
        return Asked(opened, spec, who, lane, int(total), int(numerics or NUMERICS))

    def further(
        self,
        lane: Lane,
        message: str,
        done: tuple[str, int] | None,
        at: tuple[str, int] | None = None,
        more: bool = True,
    ) -> Turns:
        """Finish a chunk, and begin the one of the lane whose turn is next.

        Args:
            lane: Of the message.
            message: By which the worker came to work.
            done: Chunk whose result it has stored.
            at: Chunk that it is at: what it begins now waits for that one in its hands, and is
                none that another worker has a hand free for.
            more: Whether it wants another at all.
        """
        found = self._run(
            "FURTHER", lane, self.room(lane) if more else 0, TURN[lane], time.time(), message,
            HAND_S, KEEP_S, f"{at[0]}:{at[1]}" if at else "", *(done or ()),
        )  # fmt: skip
        first, started, others = found
        own = Turn(pairs([first])[0], begun(started)) if first else None
        return Turns(own, pairs(others))

    def at(self, message: str) -> list[tuple[str, int]]:
        """The chunks that a message was at when it was delivered before, the older one first."""
        with speaking():
            return pairs(self._redis.lrange(key("held", message), 0, -1))[::-1]

    def moved(self, job: str, chunk: int) -> None:
        """A chunk that lost workers got further: those losses are no longer held against it."""
        with speaking():
            found = self._redis.pipeline(transaction=False)
            found.hset(key("tries", job), f"{chunk}:begun", 1)
            found.expire(key("tries", job), KEEP_S)
            found.execute()

    def tell(self, job: str, progress: str) -> None:
        """Say in words how far a running job is; nothing to say changes nothing."""
        if progress:
            with speaking():
                self._redis.hset(key("job", job), "progress", progress)

    def finish(self, job: str, chunk: int) -> None:
        """Count a chunk whose result is stored."""
        self._run("FINISH", job, chunk, time.time(), KEEP_S)

    def defer(self, job: str, chunk: int, kind: Deferral) -> float:
        """Put a chunk back for another try; seconds for which it has failed without progress."""
        now = time.time()
        since = self._run("DEFER", job, chunk, now, kind, LONGEST_WAIT_S)
        return max(0.0, now - float(since))

    def end(self, job: str, state: JobState, error: SteerboardError | None = None) -> None:
        """Close a job that has not ended; raises NotFound."""
        text = error_to_json(error) if error else ""
        if not self._run("END", job, state, text, error.message if error else ""):
            raise unknown(job)

    def leave(self, job: str, who: Identity) -> int | None:
        """A caller takes its wish back: how many others wait; None where it never asked."""
        left = int(self._run("LEAVE", job, name_of(who)))
        return None if left < 0 else left

    def stale(self, lane: Lane) -> list[tuple[str, int]]:
        """Chunks that were handed out and that Celery has lost; to be sent again."""
        return pairs(self._run("STALE", lane, time.time(), LOST_S, SLOW_S))

    def mend(self) -> int:
        """Put back chunks that are nowhere; how many there were."""
        return sum(int(self._run("MEND", job)) for job in self.waiting())

    def waiting(self) -> list[str]:
        """Jobs that have not ended."""
        with speaking():
            return sorted(self._redis.smembers("steerboard:open"))

    def _write_down(self) -> None:
        """Wait until what was said is on disk: a set that was accepted outlives a killed Redis.

        For single pictures that would take too long; whoever watches one hears that it is gone.
        """
        with speaking(), contextlib.suppress(redis.ResponseError):  # older than 7.2, or no file
            self._redis.execute_command("WAITAOF", 1, 0, WRITTEN_MS)

    def _leave_room(self) -> None:
        """Room for the jobs that run to be finished is kept free of new ones; raises Overloaded."""
        with speaking():
            memory = self._redis.info("memory")
        if memory["used_memory"] > FULL * (memory["maxmemory"] or math.inf):
            raise Overloaded(
                "the queue (Redis) is full: try again when some jobs are done", retry_after_s=30.0
            )

    def _run(self, script: str, *arguments: Any) -> Any:
        with speaking():
            return self._scripts[script](args=list(arguments))


def progress(
    record: dict[str, str], done: int, times: list[float]
) -> tuple[float | None, float | None]:
    """Pictures a second over the last chunks, and seconds left; None where nothing can be said."""
    if record["state"] in ENDED or not times:
        return None, None
    first, gaps = (times[-1], len(times) - 1) if len(times) > 1 else (float(record["opened"]), 1)
    seconds = times[0] - first
    if seconds <= 0:
        return None, None
    each = seconds / gaps
    total = int(record["total"])
    return int(record["pictures"]) / total / each, each * (total - done)


def unknown(job: str) -> NotFound:
    """What is said of a job that is not there."""
    return NotFound(
        f"there is no job {job[:80]!r}: it may have expired, ask again",
        field="id",
        details={"name": job[:80]},
    )


def name_of(who: Identity) -> str:
    """Whose jobs they are: those of a token, whomever its holder speaks for."""
    return f"{who.tenant}/{who.subject}"
