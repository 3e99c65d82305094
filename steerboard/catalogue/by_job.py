"""Have a catalogue built by a worker pool: submit, follow, fetch."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Protocol

import fsspec

from steerboard.catalogue.build import RESPONSES, Built, Plan
from steerboard.catalogue.observe import facts
from steerboard.catalogue.shards import SUFFIX
from steerboard.catalogue.thumbnails import THUMBNAILS
from steerboard.images.image_set import ImageSet
from steerboard.images.picture import Broken
from steerboard.spec.errors import NotFound
from steerboard.spec.jobs import CatalogueJob, JobSpec, JobStatus
from steerboard.spec.requests import Digest


class Door(Protocol):
    """Where jobs are submitted."""

    def submit(self, spec: JobSpec, images: Iterable[bytes] = ()) -> JobStatus:
        """Ask for a job."""

    def watch(self, job: str, timeout_s: float | None = ...) -> Iterator[JobStatus]:
        """The state now and at each change."""

    def result(self, job: str, page_size: int = 0) -> Iterator[Any]:
        """All results; raises what the job failed with."""


def build_by_job(
    door: Door,
    images: ImageSet,
    plan: Plan,
    place: str,
    progress: Callable[[int], None],
    submitted: Callable[[str], None] = lambda job: None,
) -> Built:
    """Submit a catalogue job, follow it, and copy its files to ``place``.

    One that is at work already, or done, is joined.

    Args:
        door: Where it is submitted.
        images: The pictures.
        plan: What of them.
        place: fsspec URL of the file.
        progress: Told the pictures observed so far.
        submitted: Told the job's id.

    Raises:
        InvalidRequest: No picture of the set could be read.
        NotFound: The files lie where this machine does not reach.
        SteerboardError: What the job failed with.
    """
    built = Built(place)
    spec, keys = spec_of(images, plan, built)
    job = door.submit(spec, (p.data for p in images.pictures())).id
    submitted(job)
    for status in door.watch(job):
        progress(min(len(spec.images), status.done * len(spec.images) // max(status.total - 1, 1)))
    total, *rows = door.result(job)
    for row in rows:
        if "error" in row:
            built.report.pictures -= 1
            built.report.add(Broken(keys[row["image"]], row["error"]))
    fetch(str(total["place"]), place, plan.beside)
    built.features = int(total["features"])
    return built


def spec_of(images: ImageSet, plan: Plan, built: Built) -> tuple[CatalogueJob, dict[str, str]]:
    """The job over a set, and what its pictures are called."""
    keys: dict[str, str] = {}
    known: list[Sequence[str]] = []
    for picture in images.pictures(built.report):
        keys[picture.sha256] = picture.key
        known.append(tuple(facts(picture)))
    if not keys:
        raise built.report.nothing()
    spec = CatalogueJob(
        model=plan.model,
        images=tuple(Digest(sha256=sha) for sha in keys),
        dictionary=plan.dictionary,
        facts=tuple(map(tuple, known)),
        words=plan.words,
        references=plan.top,
    )
    return spec, keys


def fetch(source: str, place: str, beside: bool = True) -> None:
    """Copy a catalogue, and what lies beside it."""
    stems = source.removesuffix(".parquet"), place.removesuffix(".parquet")
    more = (THUMBNAILS, f"{RESPONSES}{SUFFIX}") if beside else ()
    for ending in (*more, ".parquet"):
        fs, path = fsspec.core.url_to_fs(stems[0] + ending)
        if not fs.exists(path):
            raise NotFound(f"{stems[0]}{ending} is out of reach from here: copy it by other means")
        to, target = fsspec.core.url_to_fs(stems[1] + ending)
        to.makedirs(target.rpartition("/")[0], exist_ok=True)
        with fs.open(path, "rb") as a, to.open(target, "wb") as b:
            while data := a.read(2**22):
                b.write(data)
