"""The clients of the job door against a real gRPC server with a stub behind it."""

import asyncio
import threading

import grpc
import pytest

from steerboard.api import convert_jobs as j
from steerboard.api import convert_library as lib
from steerboard.api.channel import SHARED_OPTIONS
from steerboard.api.interceptor import Door, caller
from steerboard.api.jobs_client import JobClient, LibraryClient
from steerboard.api.tokens import Identity, sign
from steerboard.spec.catalogue import FeatureCard, ImageCard
from steerboard.spec.digest import image_digest
from steerboard.spec.errors import ImageNotCached, NotFound, Unauthenticated
from steerboard.spec.jobs import AttributeJob, JobStatus
from steerboard.spec.requests import Digest, Prompts
from steerboard.v1 import jobs_pb2, library_pb2
from steerboard.v1 import jobs_pb2_grpc as jobs_grpc
from steerboard.v1 import library_pb2_grpc as library_grpc

SECRET = "s" * 32
ANN = Identity(subject="ann", lanes=("bulk",))
PICTURE = b"a picture"
JOB = AttributeJob(
    model="m",
    image=Digest(sha256=image_digest(PICTURE)),
    classifier=Prompts(prompts=("a", "b")),
    dictionary="d",
)


class Jobs(jobs_grpc.JobServiceServicer):
    def __init__(self):
        self.submitted = []
        self.store = {}

    async def Submit(self, request, context):
        spec = j.job_from_message(request.spec)
        self.submitted.append((spec, caller(), len(request.images)))
        self.store |= {image_digest(data): data for data in request.images}
        if spec.image.sha256 not in self.store:
            raise ImageNotCached("not here", details={"digests": spec.image.sha256})
        status = j.job_status_to_message(JobStatus(id="1", state="queued"))
        return jobs_pb2.SubmitResponse(status=status)

    async def Watch(self, request, context):
        if request.id != "1":
            raise NotFound(f"there is no job {request.id}")
        for state in ("queued", "running", "done"):
            status = j.job_status_to_message(JobStatus(id="1", state=state, rate=2.0))
            yield jobs_pb2.WatchResponse(status=status)

    async def Result(self, request, context):
        page = int(request.page_token or 0)
        found = [j.job_result_to_message({"page": page, "size": request.page_size})]
        following = str(page + 1) if page < 2 else ""
        return jobs_pb2.ResultResponse(results=found, next_page_token=following)

    async def Cancel(self, request, context):
        status = j.job_status_to_message(JobStatus(id=request.id, state="cancelled"))
        return jobs_pb2.CancelResponse(status=status)


class Library(library_grpc.LibraryServiceServicer):
    async def ListImageSets(self, request, context):
        found = lib.image_set_to_message(lib.ImageSet(id="s", size=2, splits=("test",)))
        return library_pb2.ListImageSetsResponse(image_sets=[found])

    async def ListImages(self, request, context):
        card = ImageCard(sha256="0" * 64, path="p", split=request.split, group=request.group)
        found = [lib.image_card_to_message(card)]
        return library_pb2.ListImagesResponse(images=found, next_page_token="t", total=7)

    async def GetImages(self, request, context):
        found = [library_pb2.ImageBytes(sha256=d, data=d.encode()) for d in request.digests]
        return library_pb2.GetImagesResponse(images=found)

    async def GetFeatures(self, request, context):
        cards = [
            FeatureCard(dictionary="d", feature=i, firing_rate=0.5, maximum=1, references=())
            for i in request.indices
        ]
        return library_pb2.GetFeaturesResponse(features=map(lib.feature_card_to_message, cards))


@pytest.fixture
def door():
    """(address, the stub that answers for jobs)."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    jobs = Jobs()

    async def start():
        server = grpc.aio.server(interceptors=[Door(SECRET)], options=SHARED_OPTIONS)
        jobs_grpc.add_JobServiceServicer_to_server(jobs, server)
        library_grpc.add_LibraryServiceServicer_to_server(Library(), server)
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        return server, port

    server, port = asyncio.run_coroutine_threadsafe(start(), loop).result(10)
    yield f"127.0.0.1:{port}", jobs
    asyncio.run_coroutine_threadsafe(server.stop(1), loop).result(10)
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


@pytest.fixture
def client(door):
    client = JobClient(door[0], sign(ANN, SECRET))
    yield client
    client.close()


@pytest.fixture
def library(door):
    client = LibraryClient(door[0], sign(ANN, SECRET))
    yield client
    client.close()


def test_pictures_travel_only_when_the_store_lacks_them(door, client):
    assert client.submit(JOB, [PICTURE, b"another"]).state == "queued"
    assert client.submit(JOB, [PICTURE]).id == "1"
    assert [(who, count) for _, who, count in door[1].submitted] == [(ANN, 0), (ANN, 1), (ANN, 0)]
    assert door[1].submitted[0][0] == JOB


def test_a_picture_that_nobody_has_is_told(client):
    with pytest.raises(ImageNotCached):
        client.submit(JOB)


def test_progress_streams_and_errors_in_it_are_told(client):
    assert [status.state for status in client.watch("1")] == ["queued", "running", "done"]
    with pytest.raises(NotFound, match="no job 9"):
        list(client.watch("9"))


def test_results_come_page_by_page(client):
    assert [page["page"] for page in client.result("1", page_size=5)] == [0, 1, 2]
    page = client.result_page("1", "2", 5)
    assert page.items == ({"page": 2, "size": 5},) and page.next == ""


def test_a_job_can_be_taken_back(client):
    assert client.cancel("1").state == "cancelled"


def test_the_library_is_read(library):
    assert library.image_sets()[0].splits == ("test",)
    page = library.images("s", split="test", group="g")
    assert (page.items[0].split, page.items[0].group, page.next, page.total) == (
        "test",
        "g",
        "t",
        7,
    )
    assert library.get_images(["ab"]) == {"ab": b"ab"}
    assert [card.feature for card in library.features("d", [3, 5])] == [3, 5]


def test_without_a_token_the_door_stays_shut(door):
    client = JobClient(door[0])
    with pytest.raises(Unauthenticated):
        client.cancel("1")
    with pytest.raises(Unauthenticated):
        list(client.watch("1"))
    client.close()


def test_a_watch_that_ctrl_c_met_while_it_began_does_not_keep_its_client_from_closing(
    door, monkeypatch
):
    """gRPC then waits for a call that no thread follows, without end."""

    def interrupted(state):
        raise KeyboardInterrupt

    client = JobClient(door[0], sign(ANN, SECRET))
    monkeypatch.setattr(grpc._channel, "_run_channel_spin_thread", interrupted)
    with pytest.raises(KeyboardInterrupt):
        next(client.watch("1"))
    closing = threading.Thread(target=client.close, daemon=True)
    closing.start()
    closing.join(60)
    assert not closing.is_alive()
