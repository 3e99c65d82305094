"""A question as a worker reads it is the one that was asked, however many pictures it names."""

import pytest

from services.attribution.asking import parsed
from steerboard.spec.jobs import AttributeSetJob
from steerboard.spec.requests import Digest, Logit
from tests.attribution_service.opened import ONE, PROMPTS

PICTURES = tuple(Digest(sha256=f"{i:064x}") for i in range(40))


def asked(**more: object) -> AttributeSetJob:
    plain = {"model": "m", "images": PICTURES, "classifier": PROMPTS, "dictionary": "d", **more}
    return AttributeSetJob.model_validate(plain)


@pytest.mark.parametrize(
    "spec",
    [
        asked(),
        asked(targets=tuple(Logit(index=i % 2) for i in range(40))),
        asked(method="probe", labels=tuple(i % 2 == 0 for i in range(40))),
    ],
    ids=["plain", "a target each", "labelled"],
)
def test_a_set_is_read_as_it_was_asked(spec: AttributeSetJob) -> None:
    found = parsed(spec.model_dump_json())
    assert isinstance(found, AttributeSetJob)
    assert len(found.images) == 40 and tuple(found.images) == spec.images
    assert found.images[16:32] == spec.images[16:32] and found.images[-1] == spec.images[-1]
    assert found.model_copy(update={"images": spec.images}) == spec


def test_one_picture_is_read_as_it_was_asked() -> None:
    assert parsed(ONE.model_dump_json()) == ONE
