"""Clients of the attribution service: jobs and the library."""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any, Generic, TypeVar

from steerboard.api import convert_catalogue as catalogue
from steerboard.api import convert_comparison as comparison
from steerboard.api.channel import MAX_MESSAGE_BYTES, Caller
from steerboard.api.client import missing_digests
from steerboard.api.convert_jobs import (
    JobResult,
    job_result_from_message,
    job_status_from_message,
    job_to_message,
)
from steerboard.api.convert_library import (
    ImageSet,
    feature_card_from_message,
    image_card_from_message,
    image_set_from_message,
)
from steerboard.spec.catalogue import (
    CatalogueInfo,
    ComparedFeatures,
    FeatureCard,
    FeatureMap,
    FeatureQuery,
    FeatureRow,
    Firing,
    ImageCard,
    Kind,
    Labels,
    PairSide,
    Said,
)
from steerboard.spec.digest import image_digest
from steerboard.spec.errors import ImageNotCached, Internal, NotFound
from steerboard.spec.jobs import AttributeJob, AttributeResult, JobSpec, JobStatus
from steerboard.v1 import jobs_pb2, library_pb2
from steerboard.v1.jobs_pb2_grpc import JobServiceStub
from steerboard.v1.library_pb2_grpc import LibraryServiceStub

T = TypeVar("T")


@dataclass(frozen=True)
class Page(Generic[T]):
    """Some of a list; ``next`` is the token of the following page, empty on the last one."""

    items: tuple[T, ...]
    next: str = ""
    total: int = 0


@dataclass(frozen=True)
class FoundFeatures(Page[FeatureRow]):
    """A page of features; ``without_meaning`` says why meaning was left out, where it was."""

    without_meaning: str = ""


class JobClient:
    """Submits jobs and follows them; ``address`` may be several doors to the same queue."""

    def __init__(
        self, address: str | Sequence[str], token: str | None = None, timeout_s: float = 10.0
    ) -> None:
        self._caller = Caller(address, token, timeout_s)
        self._stub = JobServiceStub(self._caller.channel)  # type: ignore[no-untyped-call]

    def submit(self, spec: JobSpec, images: Iterable[bytes] = (), priority: int = 0) -> JobStatus:
        """Ask for a job. Of ``images`` only those travel that the store lacks, a few at a time.

        ``priority`` 1 goes before one's other jobs, -1 after them.
        """
        return job_status_from_message(self._submit(spec, images, priority).status)

    def ask(self, spec: AttributeJob, images: Iterable[bytes] = ()) -> AttributeResult:
        """The answer about one picture: in one call where it is known, else when it is there.

        Raises:
            SteerboardError: What the job failed with.
        """
        response = self._submit(spec, images, 0)
        if response.HasField("result"):
            found = job_result_from_message(response.result)
        else:
            for _ in self.watch(response.status.id):
                pass
            (found,) = self.result(response.status.id)
        if not isinstance(found, AttributeResult):
            raise Internal("the server answered about something else: is it of this version?")
        return found

    def _submit(
        self, spec: JobSpec, images: Iterable[bytes], priority: int
    ) -> jobs_pb2.SubmitResponse:
        """Submit, and send the pictures that are asked for."""
        held: dict[str, bytes] = {}
        sent: set[str] = set()
        message = jobs_pb2.SubmitRequest(spec=job_to_message(spec), priority=priority)
        while True:
            try:
                response: jobs_pb2.SubmitResponse = self._caller.call(self._stub.Submit, message)
                return response
            except ImageNotCached as error:
                held = held or {image_digest(data): data for data in images}
                missing = missing_digests(error)
                if not missing or not held.keys() - sent >= set(missing):
                    raise
                part = [held[d] for d in missing]
                message.ClearField("images")
                message.images.extend(part[: how_many(part)])
                sent.update(missing[: len(message.images)])

    def watch(self, job: str, timeout_s: float | None = 3600.0) -> Iterator[JobStatus]:
        """The state now and at each change; ends with the job."""
        message = jobs_pb2.WatchRequest(id=job)
        for response in self._caller.stream(self._stub.Watch, message, timeout_s):
            yield job_status_from_message(response.status)

    def result(self, job: str, page_size: int = 0) -> Iterator[JobResult]:
        """All results, page after page; of a set that is at work, the pictures that are done."""
        token = ""
        while True:
            page = self.result_page(job, token, page_size)
            yield from page.items
            token = page.next
            if not token:
                return

    def result_page(self, job: str, page_token: str = "", page_size: int = 0) -> Page[JobResult]:
        """One page of results; of a set that is at work, the pictures that are done."""
        message = jobs_pb2.ResultRequest(id=job, page_token=page_token, page_size=page_size)
        response = self._caller.call(self._stub.Result, message)
        found = tuple(job_result_from_message(result) for result in response.results)
        return Page(found, response.next_page_token, len(found))

    def about(self, job: str) -> dict[str, Any]:
        """Spec and provenance of a job, with which it can be had again; raises NotFound."""
        message = jobs_pb2.ResultRequest(id=job, page_size=1)
        response = self._caller.call(self._stub.Result, message)
        if response.about_json:
            found: dict[str, Any] = json.loads(response.about_json)
            return found
        for result in map(job_result_from_message, response.results):
            if isinstance(result, AttributeResult):
                rest = {n: v for n, v in result.provenance.items() if n != "spec"}
                return {"spec": result.provenance.get("spec"), "provenance": rest}
        raise NotFound("the job has no result yet: watch it first", field="id")

    def jobs(self, count: int = 0) -> tuple[JobStatus, ...]:
        """One's own jobs of the last day, the latest first."""
        message = jobs_pb2.ListJobsRequest(count=count)
        response = self._caller.call(self._stub.ListJobs, message)
        return tuple(map(job_status_from_message, response.jobs))

    def cancel(self, job: str) -> JobStatus:
        """Take a job back; its state afterwards."""
        response = self._caller.call(self._stub.Cancel, jobs_pb2.CancelRequest(id=job))
        return job_status_from_message(response.status)

    def close(self) -> None:
        """Give the connection back."""
        self._caller.close()


class LibraryClient:
    """Reads image sets, pictures and feature cards."""

    def __init__(
        self, address: str | Sequence[str], token: str | None = None, timeout_s: float = 10.0
    ) -> None:
        self._caller = Caller(address, token, timeout_s)
        self._stub = LibraryServiceStub(self._caller.channel)  # type: ignore[no-untyped-call]

    def image_sets(self) -> tuple[ImageSet, ...]:
        """All image sets."""
        message = library_pb2.ListImageSetsRequest()
        response = self._caller.call(self._stub.ListImageSets, message)
        return tuple(image_set_from_message(found) for found in response.image_sets)

    def images(
        self,
        image_set: str,
        *,
        split: str = "",
        group: str = "",
        page_token: str = "",
        page_size: int = 0,
    ) -> Page[ImageCard]:
        """One page of a set's pictures; ``split`` and ``group`` narrow it."""
        message = library_pb2.ListImagesRequest(
            image_set=image_set,
            split=split,
            group=group,
            page_token=page_token,
            page_size=page_size,
        )
        response = self._caller.call(self._stub.ListImages, message)
        cards = tuple(image_card_from_message(card) for card in response.images)
        return Page(cards, response.next_page_token, response.total)

    def get_images(self, digests: Sequence[str]) -> dict[str, bytes]:
        """Bytes of pictures by digest; raises ImageNotCached, which lists the missing ones."""
        message = library_pb2.GetImagesRequest(digests=digests)
        response = self._caller.call(self._stub.GetImages, message)
        return {image.sha256: image.data for image in response.images}

    def features(self, dictionary: str, indices: Sequence[int]) -> tuple[FeatureCard, ...]:
        """What is known of features; those without a card are left out."""
        message = library_pb2.GetFeaturesRequest(dictionary=dictionary, indices=indices)
        response = self._caller.call(self._stub.GetFeatures, message)
        return tuple(feature_card_from_message(card) for card in response.features)

    def catalogues(self) -> tuple[CatalogueInfo, ...]:
        """What catalogues there are."""
        message = library_pb2.ListCataloguesRequest()
        response = self._caller.call(self._stub.ListCatalogues, message)
        return tuple(catalogue.info_from_message(info) for info in response.catalogues)

    def search(
        self, query: FeatureQuery, page_token: str = "", page_size: int = 0, pictures: int = 0
    ) -> FoundFeatures:
        """One page of the features that fit."""
        message = catalogue.query_to_message(query, page_token, page_size, pictures)
        response = self._caller.call(self._stub.SearchFeatures, message)
        rows = tuple(map(catalogue.row_from_message, response.features))
        why = response.without_meaning.message if response.HasField("without_meaning") else ""
        return FoundFeatures(rows, response.next_page_token, response.total, why)

    def feature_map(self, dictionary: str) -> FeatureMap:
        """All features of a catalogue as points."""
        message = library_pb2.GetFeatureMapRequest(dictionary=dictionary)
        return catalogue.map_from_message(self._caller.call(self._stub.GetFeatureMap, message))

    def compare(
        self,
        first: str,
        second: str,
        *,
        side: PairSide = "matched",
        floor: float = 0.5,
        page_token: str = "",
        page_size: int = 0,
        pictures: int = 0,
    ) -> ComparedFeatures:
        """One page of two catalogues side by side; raises Unavailable while they are compared."""
        message = comparison.question_to_message(
            first, second, side, floor, page_token, page_size, pictures
        )
        response = self._caller.call(self._stub.CompareFeatures, message)
        return comparison.comparison_from_message(response)

    def thumbnails(self, dictionary: str, digests: Sequence[str]) -> dict[str, bytes]:
        """Small JPEGs by digest; those that the catalogue lacks are left out."""
        message = library_pb2.GetThumbnailsRequest(dictionary=dictionary, digests=digests)
        response = self._caller.call(self._stub.GetThumbnails, message)
        return {image.sha256: image.data for image in response.thumbnails}

    def firing(
        self,
        dictionary: str,
        feature: int,
        image_set: str,
        *,
        split: str = "",
        group: str = "",
        page_token: str = "",
        page_size: int = 0,
    ) -> Firing:
        """Of some pictures of a set those on which a feature fires, strongest first."""
        message = library_pb2.ListFiringRequest(
            dictionary=dictionary,
            feature=feature,
            image_set=image_set,
            split=split,
            group=group,
            page_token=page_token,
            page_size=page_size,
        )
        return catalogue.firing_from_message(self._caller.call(self._stub.ListFiring, message))

    def labels(self, dictionary: str, feature: int) -> tuple[Labels, tuple[Said, ...]]:
        """What people said of a feature: what holds, and everything in order."""
        message = library_pb2.GetFeatureLabelsRequest(dictionary=dictionary, feature=feature)
        return catalogue.labels_from_message(
            self._caller.call(self._stub.GetFeatureLabels, message)
        )

    def say(
        self,
        dictionary: str,
        feature: int,
        author: str,
        kind: Kind,
        text: str = "",
        value: int = 0,
    ) -> tuple[Labels, tuple[Said, ...]]:
        """Say something of a feature; what holds then. Raises InvalidRequest."""
        message = library_pb2.SayOfFeatureRequest(
            dictionary=dictionary,
            feature=feature,
            author=author,
            kind=kind,
            text=text,
            value=value,
        )
        response = self._caller.call(self._stub.SayOfFeature, message)
        return catalogue.labels_from_message(response.labels)

    def close(self) -> None:
        """Give the connection back."""
        self._caller.close()


def how_many(pictures: Sequence[bytes], limit: int = MAX_MESSAGE_BYTES // 2) -> int:
    """How many of the first pictures fit into one message; at least one."""
    sizes = accumulate(map(len, pictures))
    return max(1, sum(size <= limit for size in sizes))
