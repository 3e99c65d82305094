"""Job records in Redis: accepted chunks, closed by the last one. No chord, no lost job.

A job's id is the content address of its question, so the same question asked twice is the same
job: it is joined while it runs and answered from its record when it is done. Chunk results are
stored before a chunk counts as done, which makes a second delivery harmless.
"""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import redis

from steerboard.spec.errors import NotFound, SteerboardError, Unavailable
from steerboard.spec.jobs import JobSpec, JobState, JobStatus

KEEP_S = 24 * 3600
ENDED: tuple[JobState, ...] = ("done", "failed", "cancelled")
# Opens a record unless the question is already running or answered; answers what it found.
_OPEN = """
local state = redis.call('HGET', KEYS[1], 'state')
if state and state ~= 'failed' and state ~= 'cancelled' then return state end
redis.call('DEL', KEYS[1], KEYS[2], KEYS[3])
redis.call('HSET', KEYS[1], 'state', 'queued', 'spec', ARGV[1], 'total', ARGV[2], 'images', ARGV[3],
           'lane', ARGV[4], 'subject', ARGV[5], 'opened', ARGV[6])
redis.call('EXPIRE', KEYS[1], ARGV[7])
return 'new'
"""
# Counts a chunk, and closes the job with the last one.
_FINISH = """
if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end
redis.call('SADD', KEYS[2], ARGV[1])
redis.call('EXPIRE', KEYS[2], ARGV[2])
local done = redis.call('SCARD', KEYS[2])
if redis.call('HGET', KEYS[1], 'state') == 'cancelled' then return done end
local all = tonumber(redis.call('HGET', KEYS[1], 'total'))
redis.call('HSET', KEYS[1], 'state', done >= all and 'done' or 'running')
return done
"""
_END = """
local state = redis.call('HGET', KEYS[1], 'state')
if state == 'queued' or state == 'running' then
  redis.call('HSET', KEYS[1], 'state', ARGV[1], 'message', ARGV[2])
end
return redis.call('EXISTS', KEYS[1])
"""


@contextmanager
def speaking(what: str = "the queue (Redis)") -> Iterator[None]:
    """A Redis that is away becomes a sentence."""
    try:
        yield
    except (redis.ConnectionError, redis.TimeoutError) as error:
        raise Unavailable(
            f"{what} does not answer: try again in a few seconds", retry_after_s=2.0
        ) from error


class Jobs:
    """Records in the broker's Redis, chunk results in the cache's."""

    def __init__(self, broker: str, cache: str) -> None:
        options: dict[str, Any] = {
            "socket_timeout": 3.0,
            "socket_connect_timeout": 2.0,
            "decode_responses": True,
        }
        self._redis: Any = redis.Redis.from_url(broker, **options)
        self._cache: Any = redis.Redis.from_url(cache, **options)
        self._open = self._redis.register_script(_OPEN)
        self._finish = self._redis.register_script(_FINISH)
        self._end = self._redis.register_script(_END)

    def open(
        self, job: str, spec: JobSpec, chunks: int, images: int, lane: str, subject: str
    ) -> str:
        """Open a record; "new", or the state of the one that is there."""
        with speaking():
            if self._state(job) == "done" and not self._complete(job):
                self._redis.hset(job_key(job), "state", "failed")  # results were evicted
            arguments: list[Any] = [
                spec.model_dump_json(),
                chunks,
                images,
                lane,
                subject,
                time.time(),
                KEEP_S,
            ]
            keys = [job_key(job), done_key(job), tries_key(job)]
            return str(self._open(keys=keys, args=arguments))

    def status(self, job: str) -> JobStatus:
        """Where a job stands; raises NotFound."""
        with speaking():
            record: dict[str, str] = self._redis.hgetall(job_key(job))
            done = int(self._redis.scard(done_key(job)))
        if not record:
            raise NotFound(f"there is no job {job}: it may have expired, ask again", field="id")
        total = int(record["total"])
        rate, left = progress(record, done, total)
        return JobStatus(
            id=job,
            state=record["state"],
            done=done,
            total=total,
            rate=rate,
            seconds_left=left,
            message=record.get("message", ""),
        )

    def spec(self, job: str) -> str | None:
        """The spec as JSON, or None where the job is gone or has ended otherwise."""
        with speaking():
            state, spec = self._redis.hmget(job_key(job), ["state", "spec"])
        return None if state in (None, "failed", "cancelled") else str(spec)

    def try_again(self, job: str, chunk: int) -> int:
        """Count a delivery of a chunk; how many there were."""
        with speaking():
            count = int(self._redis.hincrby(tries_key(job), str(chunk), 1))
            self._redis.expire(tries_key(job), KEEP_S)
        return count

    def has(self, job: str, chunk: int) -> bool:
        """Whether a chunk's result is stored."""
        with speaking("the result cache (Redis)"):
            return bool(self._cache.exists(result_key(job, chunk)))

    def store(self, job: str, chunk: int, results: list[dict[str, Any]]) -> None:
        """Store a chunk's results, then count it."""
        with speaking("the result cache (Redis)"):
            self._cache.set(result_key(job, chunk), json.dumps(results), ex=KEEP_S)
        self.count(job, chunk)

    def count(self, job: str, chunk: int) -> None:
        """Count a stored chunk as done."""
        with speaking():
            self._finish(keys=[job_key(job), done_key(job)], args=[chunk, KEEP_S])

    def result(self, job: str, chunk: int) -> list[dict[str, Any]]:
        """A chunk's results; raises NotFound while they are not there."""
        with speaking("the result cache (Redis)"):
            text = self._cache.get(result_key(job, chunk))
        if text is None:
            raise NotFound(
                f"chunk {chunk + 1} of job {job} is not computed, or no longer kept: ask again",
                field="id",
            )
        found: list[dict[str, Any]] = json.loads(str(text))
        return found

    def end(self, job: str, state: JobState, error: SteerboardError | None = None) -> None:
        """Close a job that has not ended; raises NotFound."""
        with speaking():
            if not self._end(keys=[job_key(job)], args=[state, error.message if error else ""]):
                raise NotFound(f"there is no job {job}", field="id")

    def beat(self, seconds: int = 8) -> None:
        """A worker says that it is alive."""
        with speaking():
            self._redis.set("steerboard:worker", time.time(), ex=seconds)

    def alive(self) -> bool:
        """Whether a worker was heard of lately."""
        with speaking():
            return bool(self._redis.exists("steerboard:worker"))

    def unfinished(self) -> list[tuple[str, str, list[int]]]:
        """Jobs that have not ended: id, lane, chunks not counted."""
        found = []
        with speaking():
            for key in self._redis.scan_iter("steerboard:job:*"):
                job = str(key).rsplit(":", 1)[1]
                state, total, lane = self._redis.hmget(key, ["state", "total", "lane"])
                if state in ("queued", "running"):
                    done = {int(i) for i in self._redis.smembers(done_key(job))}
                    found.append((job, str(lane), [i for i in range(int(total)) if i not in done]))
        return found

    def _state(self, job: str) -> str | None:
        state = self._redis.hget(job_key(job), "state")
        return None if state is None else str(state)

    def _complete(self, job: str) -> bool:
        total = int(self._redis.hget(job_key(job), "total") or 0)
        return all(self._cache.exists(result_key(job, i)) for i in range(total))


def progress(record: dict[str, str], done: int, total: int) -> tuple[float | None, float | None]:
    """Pictures a second since the job was opened, and seconds left."""
    seconds = time.time() - float(record["opened"])
    if not done or seconds <= 0 or record["state"] in ENDED:
        return None, None
    return int(record["images"]) * done / total / seconds, seconds * (total - done) / done


def job_key(job: str) -> str:
    """Hash of a job's record."""
    return f"steerboard:job:{job}"


def done_key(job: str) -> str:
    """Set of its counted chunks."""
    return f"steerboard:done:{job}"


def tries_key(job: str) -> str:
    """Hash of deliveries by chunk."""
    return f"steerboard:tries:{job}"


def result_key(job: str, chunk: int) -> str:
    """A chunk's results in the cache."""
    return f"steerboard:result:{job}:{chunk}"
