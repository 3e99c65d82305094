"""How far a long chunk is, in words, on a real Redis."""

from services.attribution.compute import size
from services.attribution.records import Records
from steerboard.api.tokens import Identity
from steerboard.spec.errors import Overloaded
from steerboard.spec.jobs import AttributeSetJob
from steerboard.spec.requests import Digest, Prompts

PROMPTS = Prompts(prompts=("cat", "dog"))


def test_words_of_progress_stand_for_a_running_job_alone(records: Records) -> None:
    images = tuple(Digest(sha256=f"{i:064x}") for i in range(40))
    spec = AttributeSetJob(model="m", images=images, classifier=PROMPTS, dictionary="d")
    records.open("j", spec, size(spec), "bulk", Identity(subject="ann"), "")
    records.tell("j", "4 of 9 pictures")
    assert records.status("j").message == ""
    ((job, chunk),) = records.release("bulk")[:1]
    records.start(job, chunk)
    assert records.status("j").message == "4 of 9 pictures"
    records.tell("j", "")
    assert records.status("j").message == "4 of 9 pictures"
    records.end("j", "failed", Overloaded("no room"))
    assert records.status("j").message == "no room"
