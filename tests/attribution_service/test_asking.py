"""A question as a worker reads it is the one that was asked, however many pictures it names."""

import json

import pytest
from pydantic import ValidationError

from services.attribution.asking import OtherVersion, question
from services.attribution.members import NUMERICS, Asked
from steerboard.api.convert_jobs import job_from_message, job_to_message
from steerboard.api.tokens import Identity
from steerboard.spec.digest import digest
from steerboard.spec.jobs import AttributeSetJob, CatalogueJob, JobSpec
from steerboard.spec.named import MOST
from steerboard.spec.requests import Digest, Logit
from tests.attribution_service.opened import ONE, PROMPTS

PICTURES = tuple(Digest(sha256=f"{i:064x}") for i in range(40))
SETS = [
    {},
    {"targets": tuple(Logit(index=i % 2) for i in range(40))},
    {"method": "probe", "labels": tuple(i % 2 == 0 for i in range(40))},
]


def asked(**more: object) -> AttributeSetJob:
    plain = {"model": "m", "images": PICTURES, "classifier": PROMPTS, "dictionary": "d", **more}
    return AttributeSetJob.model_validate(plain)


def read(spec: JobSpec, numerics: int = NUMERICS) -> JobSpec:
    """As it comes out of a record."""
    who = Identity(subject="ann", lanes=("bulk",))
    return question(Asked("0", spec.model_dump_json(), who, "bulk", 2, numerics))


@pytest.mark.parametrize("more", SETS, ids=["plain", "a target each", "labelled"])
def test_a_set_is_read_as_it_was_asked(more: dict[str, object]) -> None:
    spec = asked(**more)
    for found in (read(spec), job_from_message(job_to_message(spec))):
        assert isinstance(found, AttributeSetJob) and found == spec
        assert digest(found) == digest(spec)
        assert tuple(found.images) == PICTURES and len(found.images) == 40
        assert found.images[16:32] == PICTURES[16:32] and found.images[-1] == PICTURES[-1]


def test_other_pictures_or_another_order_are_another_question() -> None:
    for images in (PICTURES[1:], PICTURES[::-1], (*PICTURES, PICTURES[0])):
        assert asked(images=images) != asked()
        assert digest(asked(images=images)) != digest(asked())


def test_pictures_may_be_named_as_text_or_as_models() -> None:
    texts = [picture.sha256 for picture in PICTURES]
    mixed = [*texts[:3], *PICTURES[3:20], *({"sha256": t} for t in texts[20:])]
    dumped = [picture.model_dump() for picture in PICTURES]
    for images in (texts, mixed, dumped):
        assert asked(images=images) == asked()
    assert json.loads(asked().model_dump_json())["images"] == texts


@pytest.mark.parametrize(
    "wrong", ["F" * 64, "0" * 63, "0" * 65, "", "é" * 64, "0" * 63 + "\n", 7, None]
)
def test_the_picture_that_is_none_is_named(wrong: object) -> None:
    names = [picture.sha256 for picture in PICTURES]
    for images in ([*names[:5], wrong, *names[5:]], [*PICTURES[:5], wrong]):
        with pytest.raises(ValidationError) as caught:
            asked(images=images)
        assert [e["loc"][:2] for e in caught.value.errors()] == [("images", 5)]


def test_two_wrong_lengths_do_not_make_two_right_ones() -> None:
    with pytest.raises(ValidationError):
        asked(images=["0" * 63, "0" * 65])


def test_no_picture_and_too_many_are_refused() -> None:
    for images in ([], ["0" * 64] * (MOST + 1), "0" * 64, None):
        with pytest.raises(ValidationError) as caught:
            CatalogueJob(model="m", images=images, dictionary="d")  # type: ignore[arg-type]
        assert caught.value.errors()[0]["loc"] == ("images",)


def test_one_picture_is_read_as_it_was_asked() -> None:
    assert read(ONE) == ONE


def test_a_job_of_another_release_is_left_to_its_workers() -> None:
    with pytest.raises(OtherVersion, match="start all from one release"):
        read(asked(), NUMERICS + 1)
