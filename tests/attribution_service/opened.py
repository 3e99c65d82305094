"""Jobs in the records, about no picture in particular."""

from services.attribution.compute import size
from services.attribution.members import Size
from services.attribution.records import Records
from steerboard.api.tokens import Identity
from steerboard.spec.jobs import AttributeJob, AttributeSetJob
from steerboard.spec.requests import Digest, Prompts

PROMPTS = Prompts(prompts=("cat", "dog"))
ANN, BOB = Identity(subject="ann"), Identity(subject="bob")
ONE = AttributeJob(model="m", image=Digest(sha256="0" * 64), classifier=PROMPTS, dictionary="d")


def a_set(pictures: int) -> AttributeSetJob:
    images = tuple(Digest(sha256=f"{i:064x}") for i in range(pictures))
    return AttributeSetJob(model="m", images=images, classifier=PROMPTS, dictionary="d")


def open_one(records: Records, job: str, who: Identity = ANN) -> str:
    return records.open(job, ONE, Size(1, 1, 1), "interactive", who, "")


def open_set(records: Records, job: str, pictures: int, who: Identity = ANN) -> str:
    return records.open(job, a_set(pictures), size(a_set(pictures)), "bulk", who, "")
